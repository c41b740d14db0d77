"""``--amp`` in bfloat16, which fairseq's own autocast does not support."""

from typing import Any

import torch
from fairseq.criterions import FairseqCriterion


class InBfloat16:
    """A criterion whose forward pass is computed in bfloat16, inside of fairseq's own autocast.

    Args:
        criterion: what computes the loss; all else is asked of it.
    """

    def __init__(self, criterion: FairseqCriterion):
        self._criterion = criterion

    def __call__(self, model: torch.nn.Module, *args: Any, **kwargs: Any) -> Any:
        """As the criterion."""
        with torch.autocast(next(model.parameters()).device.type, torch.bfloat16):
            return self._criterion(model, *args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._criterion, name)
