"""How a decision is enforced."""

from .mask import as_numbers, mask_tensor, multiply

__all__ = ["as_numbers", "mask_tensor", "multiply"]
