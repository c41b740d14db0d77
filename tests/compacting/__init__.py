"""`fairseq-prune compact`: cut models, held against what they were."""
