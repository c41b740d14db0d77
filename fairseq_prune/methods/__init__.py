"""What a run does between the first selection and the removal: one file for each kind of approach.

To add one: a file here with a dataclass of its settings and a subclass of :class:`~.approach.Approach` that
``@APPROACHES.add`` registers for it and that says what its options are and what it cannot have, the file's import
below, and a row in :mod:`~.table`. In a user's own folder: docs/extending.md.
"""

from torch import nn

from ..pruning.selecting.selector import Selector
from . import (  # noqa: F401  (each registers what it has)
    admm,
    drop_and_grow,
    gated,
    group_lasso,
    growing,
    hard_concrete,
    movement,
    projecting,
    regularised,
    shrinking,
    straight_through,
    tick_tock,
)
from .approach import APPROACHES, Approach, ApproachSettings, Timed
from .method import Method
from .table import METHODS

__all__ = ["APPROACHES", "METHODS", "Approach", "Method", "Timed", "approach_for"]


def approach_for(wanted: ApproachSettings | None, selector: Selector, model: nn.Module, seed: int) -> Approach:
    """The object that does what some settings say; of None, masks at every event, one that is never active."""
    kind = Approach if wanted is None else APPROACHES[type(wanted)]
    return kind(wanted, selector, model, seed)


import fairseq  # noqa: E402, F401  (last: fairseq_prune/__init__.py then registers, with what is above)
