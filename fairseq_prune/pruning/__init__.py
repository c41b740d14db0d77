"""The mathematics of pruning: torch, numpy and scipy only, usable without fairseq."""
