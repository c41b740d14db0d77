"""Criterions for ``--criterion``."""

import fairseq  # noqa: F401  (first: fairseq_prune/__init__.py then registers)
