"""Structural removal in vision models."""
