"""Accuracy and perplexity of teacher-forced predictions, fast enough to be searched over."""

import fairseq  # noqa: F401  (first: fairseq_prune/__init__.py then registers)
