"""The life of a pruning run, between the science and fairseq's training loop."""
