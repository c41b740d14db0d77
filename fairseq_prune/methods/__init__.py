"""What a run does between the first selection and the removal: one class for each kind of approach.

To add one: a dataclass in :mod:`fairseq_prune.methods.settings`, a subclass of
:class:`~.base.Approach` in a module here, and a row in :data:`APPROACHES`.
"""

from torch import nn

from ..pruning.growing import Growth
from ..pruning.selecting.chooser import Chooser
from . import settings
from .approach import Approach
from .gated import Gated
from .growing import GrowingPenalty
from .hard_concrete import HardConcreteGates
from .lagrangian import Drawn
from .movement import Movement, SoftMovement
from .projecting import Projecting
from .regularised import Regularised
from .settings import ApproachSettings
from .shrinking import FreezeAndShrink, Shrink
from .straight_through import StraightThrough
from .tick_tock import TickTockGates

APPROACHES = {
    Growth: GrowingPenalty,
    settings.Projection: Projecting,
    settings.Lagrangian: Drawn,
    settings.StraightThrough: StraightThrough,
    settings.Movement: Movement,
    settings.SoftMovement: SoftMovement,
    settings.Gates: Gated,
    settings.Hoyer: Regularised,
    settings.HardConcrete: HardConcreteGates,
    settings.TickTock: TickTockGates,
    Shrink: FreezeAndShrink,
}


def approach_for(wanted: ApproachSettings | None, chooser: Chooser, model: nn.Module, seed: int) -> Approach | None:
    """The object that does what some settings say; None for None: masks at every event."""
    return None if wanted is None else APPROACHES[type(wanted)](wanted, chooser, model, seed)


import fairseq  # noqa: E402, F401  (last: fairseq_prune/__init__.py then registers, with what is above)
