"""What happens between the first selection and the removal, as data; :mod:`~.growing` has one more."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Projection:
    """Every selection sets what it does not keep to zero, once; then all weights train on.

    Periodic iterative hard thresholding, what the original of the filter, stripe, pattern and irregular methods does.
    """


@dataclass(frozen=True)
class Lagrangian:
    """Weights W are drawn to the nearest ones Z that are as sparse as wanted: ADMM.

    The loss gets rho/2 |W - Z + U|^2; at every selection Z is what it keeps of W + U, then U grows by W - Z.
    Source: Zhang et al., ECCV 2018 (arXiv:1804.03294), eqs. 4 to 9, in scaled form.

    Args:
        rho: weight of the penalty.
    """

    rho: float = 1e-3


@dataclass(frozen=True)
class StraightThrough:
    """The loss is that of the selected weights, but all of them stay and can come back.

    Args:
        decay: what is not selected decays by so much times the learning rate (SR-STE: Zhou et al., ICLR 2021,
            arXiv:2102.04010, eq. 9), and learns from the gradient of the selected ones.
        scored: True (movement pruning: Sanh et al., NeurIPS 2020, arXiv:2005.07683, eqs. 3 and 6): selections go by
            scores that gather -W dL/dW, and what is not selected does not learn.
    """

    decay: float = 0.0
    scored: bool = False
