"""Comparing runtimes on the user's own checkpoints and data, each in a fresh process."""
