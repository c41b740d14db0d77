"""Atomic files, and folders with a single writer; plain Python, for every package."""
