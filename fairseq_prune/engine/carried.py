"""The state that a recurrent decoder takes over from one chunk of a stream to the next."""

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
