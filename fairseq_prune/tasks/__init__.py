"""Tasks that prune: each wraps a fairseq task by :func:`~fairseq_prune.engine.wrap.prunable`."""

import fairseq  # noqa: F401  (first: fairseq_prune/__init__.py then registers)
