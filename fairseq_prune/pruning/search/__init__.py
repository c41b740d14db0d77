"""Searching for pruning rates under an accuracy limit."""
