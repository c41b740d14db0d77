"""Loops over whole trainings: each of their rounds is a fairseq-train run in a folder of its own."""
