"""A student learns from a frozen teacher, whatever its task, criterion and method."""

import fairseq  # noqa: F401  (first: fairseq_prune/__init__.py then registers)
