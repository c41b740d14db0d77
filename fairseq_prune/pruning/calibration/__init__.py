"""Pruning a trained model from the inputs of its layers, in one pass over a few batches."""
