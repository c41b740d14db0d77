"""What a run does between the first selection and the removal: one class for each kind of approach.

To add one: a dataclass in :mod:`fairseq_prune.pruning.approach`, a subclass of
:class:`~.base.Approach` in a module here, and a row in :data:`APPROACHES`.
"""

from ...pruning import approach
from ...pruning.growing import Growth
from .gated import Gated
from .growing import GrowingPenalty
from .hard_concrete import HardConcreteGates
from .lagrangian import Drawn
from .movement import Movement, SoftMovement
from .projecting import Projecting
from .regularised import Regularised
from .straight_through import StraightThrough
from .tick_tock import TickTockGates

APPROACHES = {
    Growth: GrowingPenalty,
    approach.Projection: Projecting,
    approach.Lagrangian: Drawn,
    approach.StraightThrough: StraightThrough,
    approach.Movement: Movement,
    approach.SoftMovement: SoftMovement,
    approach.Gates: Gated,
    approach.Hoyer: Regularised,
    approach.HardConcrete: HardConcreteGates,
    approach.TickTock: TickTockGates,
}


def approach_for(settings, chooser, parameters, seed):
    """The object that does what some settings say; None for None: masks at every event."""
    return settings and APPROACHES[type(settings)](settings, chooser, parameters, seed)
