"""Hostile input: what is drawn, what it is given to, and how the outcome is judged."""
