"""What a pruned model costs and looks like: tables, counts, plots. Needs torch, not fairseq."""
