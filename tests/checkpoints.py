"""Checkpoints made of others."""

import torch

from fairseq_prune.checkpoint.load import load_model, load_task
from fairseq_prune.compat import load_checkpoint


def edited(path, out, edit):
    """Save a checkpoint after ``edit(state dict)``; returns the path."""
    checkpoint = load_checkpoint(path)
    edit(checkpoint["model"])
    torch.save(checkpoint, out)
    return out


def logits(path, tokens):
    """Log-probabilities by fairseq, of a checkpoint of the task that it names."""
    task, _ = load_task(str(path))
    model = load_model(str(path), task).eval()
    inputs = {"src_tokens": tokens}
    if hasattr(model, "encoder"):
        inputs |= {"src_lengths": torch.full((len(tokens),), tokens.shape[1]), "prev_output_tokens": tokens}
    with torch.no_grad():
        return model.get_normalized_probs(model(**inputs), log_probs=True)
