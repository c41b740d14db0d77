"""Accuracy and perplexity of teacher-forced predictions, fast enough to be searched over."""
