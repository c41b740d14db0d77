"""Layers of the SRP architectures."""
