"""Keeping removed weights at zero, and frozen ones at their values."""

from .mask import as_numbers, mask_tensor, multiply

__all__ = ["as_numbers", "mask_tensor", "multiply"]
