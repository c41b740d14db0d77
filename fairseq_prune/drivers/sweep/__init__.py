"""Sweeps: one training for each method, target and seed of a recipe, shared by as many processes as read the folder."""
