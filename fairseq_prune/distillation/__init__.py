"""Training a student with a frozen teacher, for any task, criterion and method."""

import fairseq  # noqa: F401  (first: fairseq_prune/__init__.py then registers)
