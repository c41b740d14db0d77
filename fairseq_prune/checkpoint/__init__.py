"""Checkpoints: reading, restoring, resizing, writing whole."""
