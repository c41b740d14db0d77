"""What happens between the first selection and the removal, as data; :mod:`~.growing` has one more."""

from dataclasses import dataclass

from ..pruning.growing import Growth


class Timed:
    """When the units leave, as :class:`~fairseq_prune.pruning.growing.Growth` says it, too.

    Attributes:
        updates_needed: from an event to the removal at most, where the schedule names no end (count).
        epochs_needed: the same, of those whose time is counted in epochs.
        shorter: what to give for less of it.
    """

    @property
    def updates_needed(self) -> int:
        return 0

    @property
    def epochs_needed(self) -> int:
        return 0

    @property
    def shorter(self) -> str:
        return ""


@dataclass(frozen=True)
class Projection(Timed):
    """Every selection sets what it does not keep to zero, once; then all weights train on.

    Periodic iterative hard thresholding, what the original of the filter, stripe, pattern and irregular methods does.
    """


@dataclass(frozen=True)
class Lagrangian(Timed):
    """Weights W are drawn to the nearest ones Z that are as sparse as wanted: ADMM.

    The loss gets rho/2 |W - Z + U|^2; at every selection Z is what it keeps of W + U, then U grows by W - Z.
    Source: Zhang et al., ECCV 2018 (arXiv:1804.03294), eqs. 4 to 9, in scaled form.

    Args:
        rho: weight of the penalty.
    """

    rho: float = 1e-3


@dataclass(frozen=True)
class StraightThrough(Timed):
    """The loss is that of the selected weights, but all of them stay and can come back.

    Args:
        decay: what is not selected decays by so much times the learning rate (SR-STE: Zhou et al., ICLR 2021,
            arXiv:2102.04010, eq. 9), and learns from the gradient of the selected ones.
    """

    decay: float = 0.0


@dataclass(frozen=True)
class Movement(Timed):
    """As :class:`StraightThrough`, by scores that gather -W dL/dW; what is not selected does not learn.

    Source: Sanh et al., NeurIPS 2020 (arXiv:2005.07683), eqs. 3 and 6, hard movement pruning.
    """


@dataclass(frozen=True)
class SoftMovement(Timed):
    """As :class:`Movement`, where what stays is what sigmoid(score) puts above a threshold, however many they are.

    The loss gets the mean over matrices of their mean sigmoid(score). Scores begin at 0 and follow Adam.
    Source: the paper's section 4.2, soft movement pruning, with Adam as in the authors' code. Theirs lets threshold
    and weight grow; here both are constant, and the schedule says which part of those below the threshold leaves. One
    weight of a matrix stays, where theirs keeps half a percent.

    Args:
        weight: of the regulariser in the loss.
        rate: Adam's learning rate of the scores.
    """

    weight: float = 1.0
    rate: float = 0.01


@dataclass(frozen=True)
class Gates(Timed):
    """Every unit is multiplied by a gate that learns with it; units leave by the size of their gates.

    Gates start at 1, follow momentum 0.9 at the run's learning rate, without weight decay. Once a gate is at or below
    the threshold it is 0 for good. In the end the gates are multiplied into the weights.
    Source: Meng et al., NeurIPS 2020 (arXiv:2009.14410), eqs. 4 to 6, for stripes: the filter skeleton. The paper
    removes what is below the threshold; here the run's target says how many leave, those at 0 first. Others at 0
    begin anew from there.

    Args:
        l1: of the gates' absolute values in the loss.
        threshold: at which a gate closes.
        rate: learning rate of the gates; None: the run's.
    """

    l1: float = 1e-5
    threshold: float = 0.01
    rate: float | None = None


@dataclass(frozen=True)
class Hoyer(Timed):
    """The loss gets the Hoyer-square regulariser of every layer, which draws small units to zero and large ones up.

    Of units with norms n it is (sum n)^2 / sum n^2, from 1 (all but one are zero) to their number (all are equal).
    Source: Yang et al., ICLR 2020 (arXiv:1908.09979), DeepHoyer, eqs. 2 (weights) and 6 (groups, there filters and
    channels; here slices of what writes and of what reads coupled units).

    Args:
        weight: of the sum over layers in the loss.
    """

    weight: float = 1e-3


@dataclass(frozen=True)
class HardConcrete(Timed):
    """Every unit is multiplied by a random gate, which is often exactly 0 or 1, and the loss gets what they let in.

    At every update one gate is drawn for each unit, for the whole batch; validation takes the gates that need no
    drawing. In the end units leave whose gate then is 0, and the other gates are multiplied into the weights.
    Source: Louizos et al., ICLR 2018 (arXiv:1712.01312), eqs. 9 to 13. Theirs multiplies what makes a unit, ours what
    reads it, which batch norm cannot undo; theirs charges by the number of parameters over that of training examples,
    ours by the share of the parameters; their prior on the weights is the run's own weight decay.

    Args:
        weight: of the expected share of the weights whose gates are open in the loss.
        rate: learning rate of the gates; None: the run's.
    """

    weight: float = 10.0
    rate: float | None = None


@dataclass(frozen=True)
class TickTock(Timed):
    """Gates as in :class:`Gates`, which in turns learn alone (tick) and with the weights (tock).

    Intervals between selections are tocks first, then ticks, and so on. A tick adds up |gate times its gradient| over
    updates and then closes the gates of the smallest sums, as many as the schedule says; tocks alone have the penalty.
    Source: You et al., NeurIPS 2019 (arXiv:1909.08174), gate decorators, eqs. 4 to 8. Their gates take the place of
    batch norm's scales, ours begin at 1 behind norm and activation; their classifier learns in ticks, too.

    Args:
        l1: of the gates' absolute values in the loss, in tocks.
        ticks: intervals that are ticks, one after the other (count).
        tocks: intervals that are tocks, one after the other (count).
        rate: learning rate of the gates; None: the run's.
    """

    l1: float = 1e-3
    ticks: int = 10
    tocks: int = 10
    rate: float | None = None


ApproachSettings = Timed | Growth
