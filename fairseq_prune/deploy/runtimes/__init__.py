"""Runtimes for checkpoints, behind one protocol, for ``fairseq-prune bench``."""
