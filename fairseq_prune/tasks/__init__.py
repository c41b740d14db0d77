"""Tasks that prune: any fairseq task wrapped by :func:`~fairseq_prune.tasks.prunable.prunable`."""
