"""Vision for fairseq_prune: datasets, models, a task and adversarial evaluation."""
