"""Optimizers for ``--optimizer``."""
