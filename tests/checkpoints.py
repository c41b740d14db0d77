"""Checkpoints made of others."""

import torch

from fairseq_prune.compat import load_checkpoint


def edited(path, out, edit):
    """Save a checkpoint after ``edit(state dict)``; returns the path."""
    checkpoint = load_checkpoint(path)
    edit(checkpoint["model"])
    torch.save(checkpoint, out)
    return out
