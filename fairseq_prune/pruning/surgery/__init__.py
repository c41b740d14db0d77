"""Structural removal: what a unit owns, which units are removed, and cutting them out."""
