"""Runtimes side by side on the user's own checkpoints and data, each in a fresh process."""
