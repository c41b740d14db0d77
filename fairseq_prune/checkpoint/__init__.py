"""Checkpoints: reading, restoring, resizing and writing them."""
