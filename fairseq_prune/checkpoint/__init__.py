"""Reading, restoring, resizing and writing checkpoints."""
