"""What becomes of a pruned checkpoint before it is used."""

import fairseq  # noqa: F401  (first: fairseq_prune/__init__.py then registers)
