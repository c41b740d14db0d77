"""Criterions for ``--criterion``."""
