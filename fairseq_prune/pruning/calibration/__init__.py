"""Pruning a trained model by what its layers are given, in one pass over a few batches."""
