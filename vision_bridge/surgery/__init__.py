"""Cutting units out of vision models."""
