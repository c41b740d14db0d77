"""Structural removal: what a unit owns, which units leave, and cutting them out."""
