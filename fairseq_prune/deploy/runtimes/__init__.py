"""Ways to run checkpoints, behind one protocol, for ``fairseq-prune bench``."""
