"""Preparing pruned checkpoints for use."""

import fairseq  # noqa: F401  (first: fairseq_prune/__init__.py then registers)
