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


@dataclass(frozen=True)
class Gates:
    """Every unit is multiplied by a gate that learns with it; units leave by the size of their gates.

    Gates start at 1, follow momentum 0.9 at the run's learning rate, without weight decay. Once a gate is at or below
    the threshold it is 0 for good. In the end the gates are multiplied into the weights.
    Source: Meng et al., NeurIPS 2020 (arXiv:2009.14410), eqs. 4 to 6, for stripes: the filter skeleton. The paper
    removes what is below the threshold; here the run's target says how many leave, those at 0 first. Others at 0
    begin anew from there.

    Args:
        l1: of the gates' absolute values in the loss.
        threshold: at which a gate closes.
    """

    l1: float = 1e-5
    threshold: float = 0.01
