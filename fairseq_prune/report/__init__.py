"""What a pruned model costs and looks like: tables, counts and plots. Needs torch, but not fairseq."""
