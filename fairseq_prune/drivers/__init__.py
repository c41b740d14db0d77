"""Loops over whole trainings: each of their rounds is a fairseq-train run in a folder of its own."""

import fairseq  # noqa: F401  (first: fairseq_prune/__init__.py then registers)
