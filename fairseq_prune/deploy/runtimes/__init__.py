"""What can run a checkpoint, each behind one protocol, for ``fairseq-prune bench``."""
