"""The science of pruning: torch and numpy only, usable without fairseq."""
