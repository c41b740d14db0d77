"""The state that a recurrent decoder carries from one chunk of a stream to the next."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch


@dataclass(eq=False)
class Carried:
    """Where a decoder finds the state to start from, and leaves the state that it ends with.

    A decoder says that it can do so by an argument called ``carried``. The object, not the state,
    goes through fairseq's criterions, so that none of them has to know.

    Args:
        state: ``(h, c)``, each [layers, batch, hidden] and detached; None: start from zeros.
    """

    state: tuple[torch.Tensor, ...] | None = None

    def leave(self, state: tuple[torch.Tensor, ...]) -> None:
        """Take the end of a chunk, cut off from its gradients."""
        self.state = tuple(part.detach() for part in state)

    def follow_cut(self, kept: Sequence[torch.Tensor]) -> None:
        """Leave out the units that were cut out of the decoder's layers, unless they are out already.

        Args:
            kept: for each layer, bool [hidden], True = kept; as many of each.
        """
        if self.state is not None and kept and self.state[0].shape[2] == len(kept[0]):
            layers = [units.nonzero().flatten().to(self.state[0].device) for units in kept]
            self.state = tuple(
                torch.stack([values.index_select(1, units) for values, units in zip(part, layers, strict=True)])
                for part in self.state
            )
