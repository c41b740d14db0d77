"""How a decision is enforced."""

from .mask import mask_tensor

__all__ = ["mask_tensor"]
