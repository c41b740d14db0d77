"""Tasks that prune: each wraps a fairseq task by :func:`~fairseq_prune.engine.wrap.prunable`."""
