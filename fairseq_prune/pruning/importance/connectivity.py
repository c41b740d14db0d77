"""Worth by the loss's derivative by a unit's connectivity c, which multiplies the unit."""

from collections.abc import Callable

from torch import Tensor

from ..registry import Registry

CONNECTIVITY_SCORES: Registry[Callable[[Tensor], Tensor]] = Registry("score")


@CONNECTIVITY_SCORES.add("signed")
def signed(gradient: Tensor) -> Tensor:
    """To first order, how much the loss grows when c goes from 1 to 0; SRP's score.

    Args:
        gradient: of the loss of one batch by c, any shape.

    Returns:
        What the batch adds to the score, higher = keep; shape of the gradient.
    """
    return -gradient


@CONNECTIVITY_SCORES.add("squared")
def squared(gradient: Tensor) -> Tensor:
    """The diagonal of the empirical Fisher information, to second order the same growth at a minimum.

    Near convergence the first-order term vanishes and leaves noise; squares of batches do not cancel.
    Source: Theis et al. 2018 (arXiv:1801.05787); Molchanov et al. 2019 (arXiv:1906.10771), eq. 8.
    """
    return gradient.square()
