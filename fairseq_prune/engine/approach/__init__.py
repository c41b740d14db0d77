"""What a run does between the first selection and the removal: one class for each kind of approach.

To add one: a dataclass in :mod:`fairseq_prune.pruning.approach`, a subclass of
:class:`~.base.Approach` in a module here, and a row in :data:`APPROACHES`.
"""

from ...pruning import approach
from ...pruning.growing import Growth
from .gated import Gated
from .growing import GrowingPenalty
from .lagrangian import Drawn
from .projecting import Projecting
from .straight_through import StraightThrough

APPROACHES = {
    Growth: GrowingPenalty,
    approach.Projection: Projecting,
    approach.Lagrangian: Drawn,
    approach.StraightThrough: StraightThrough,
    approach.Gates: Gated,
}


def approach_for(settings, chooser, parameters):
    """The object that does what some settings say; None for None: masks at every event."""
    return settings and APPROACHES[type(settings)](settings, chooser, parameters)
