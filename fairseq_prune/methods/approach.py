"""The interface of approaches: what happens between the first selection and the removal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol

from torch import Tensor, nn

from ..pruning.growing import Growth
from ..pruning.masks import Masks
from ..pruning.registry import Registry
from ..pruning.schedule import Schedule
from ..pruning.selecting import Selection
from ..pruning.selecting.selector import Selector, Values
from ..pruning.times import Position
from ..pruning.units import Layer, UnitKind, WeightAndNode, Width
from .option import Option
from .stand_in import stand_in

if TYPE_CHECKING:
    from fairseq.optim import FairseqOptimizer


class Timed:
    """Base of the settings of approaches: what a plan needs to know of each.

    (:class:`~fairseq_prune.pruning.growing.Growth`, which needs no fairseq, has the same attributes without it.)

    Attributes:
        evidence: kind of evidence needed at events in addition to that of the importance; None: none.
        updates_needed: maximum from an event to the removal, if the schedule has no end (count).
        epochs_needed: the same, for approaches whose time is counted in epochs.
        shorter: advice where a run is too short for that, e.g. ``a lower --pruning-period than 15``.
    """

    @property
    def updates_needed(self) -> int:
        return 0

    @property
    def evidence(self) -> str | None:
        return None

    @property
    def epochs_needed(self) -> int:
        return 0

    @property
    def shorter(self) -> str:
        return ""


ApproachSettings = Timed | Growth


class Select(Protocol):
    """Selects units at the current event of a run.

    Attributes:
        counts: True if the target says how many units are removed; False if a threshold decides.
    """

    @property
    def counts(self) -> bool: ...

    def __call__(self, evidence: Values | None) -> Selection:
        """Select by the current weights and target.

        Args:
            evidence: what is scored, dict of parameter name -> tensor; None: the parameters.
        """

    def gather(self, kind: str) -> Values:
        """Derivatives of the loss, dict of parameter name -> float32 tensor (:mod:`~fairseq_prune.engine.evidence`)."""


APPROACHES: Registry[type[Approach]] = Registry("approach")  # by the class of its settings


class Approach:
    """What happens between the first selection and the removal. This base does nothing; subclasses override hooks.

    Args:
        settings: of the class that it is registered for.
        selector: of the units, :mod:`~fairseq_prune.pruning.selecting`.
        model: ``nn.Module``.
        seed: of random choices.

    Attributes:
        active: True from its first update to the removal.
        parameters: of the model, dict of name -> parameter.
        also_when_skipped: it also acts in steps that are skipped because gradients overflowed.
        options: options that set its settings, :class:`~.option.Option`.
        until_the_end: it begins at the only event of its schedule, and ends at the schedule's end.
        needs_end: the user has to say when units are removed.
        in_rounds: every event begins a round, which ends before the next one.
        gated: units are multiplied by gates, which are their scores and are multiplied into the weights at the end;
            averages (--store-ema) would miss them.
        example_units: a valid value of --prune-units, for messages.
        takes_evidence: it can be combined with importances that score derivatives of the loss.
        weight_normed: it may act on the stored direction of a weight-normalised weight.
        record: plain values about the units at this update, for a file; None: nothing.
    """

    record: dict[str, Any] | None = None
    also_when_skipped = False
    options: tuple[Option, ...] = ()
    until_the_end = in_rounds = gated = takes_evidence = weight_normed = False
    needs_end = True
    example_units = "row"

    @classmethod
    def fits(cls, units: UnitKind) -> bool:
        """True if it can act on such units; by default, on all whose weights it can mask before the removal.

        Those are units of single tensors and coupled ones, but not whole layers, units with connectivity, or nodes
        and weights in one ranking.
        """
        return not isinstance(units, Layer | Width | WeightAndNode)

    @classmethod
    def completed(cls, settings: Any, options: Mapping[str, Any], schedule: Schedule, single_weights: bool) -> Any:
        """Its settings, completed from the run's other options; arguments as of :func:`~.options.read_approach`."""
        return settings

    @classmethod
    def check(cls, settings: Any, units: UnitKind, schedule: Schedule) -> None:
        """Refuse combinations that this approach does not support.

        Args:
            settings: its own.
            units: of the run, parsed.
            schedule: of the run.

        Raises:
            ValueError: naming the option, the value and a valid example.
        """

    def __init__(self, settings: Any, selector: Selector, model: nn.Module, seed: int):
        self.settings, self.selector, self.model, self.seed = settings, selector, model, seed
        self.parameters = dict(model.named_parameters())
        self.active = False

    def begin(
        self, position: Position, layers: Sequence[str], select: Select, optimizer: FairseqOptimizer
    ) -> Selection | None:
        """Start, at the first event.

        Args:
            position: :class:`~fairseq_prune.pruning.times.Position` of the next update.
            layers: names of the layers that lose units.
            select: :class:`Select`.
            optimizer: the fairseq optimizer.

        Returns:
            What is removed from now on, with all masks that are then in force; None: nothing new.
        """
        self.active = True
        return self.reselect(select, optimizer)

    def reselect(self, select: Select, optimizer: FairseqOptimizer) -> Selection | None:
        """Act on a new selection, at every event but the last; as :meth:`begin`."""

    def last_selection(self, select: Select) -> Selection:
        """What is removed at the end."""
        return select(None)

    def before_update(self, position: Position, select: Select, optimizer: FairseqOptimizer) -> None:
        """Called before every update while active; arguments as :meth:`begin`."""

    def trained_values(self) -> dict[str, Tensor]:
        """Values that the loss uses instead of parameters: dict of parameter name -> tensor."""
        return {}

    def in_training(self) -> AbstractContextManager[None]:
        """Context in which the loss uses :meth:`trained_values`."""
        return stand_in(self.parameters, self.trained_values())

    def validated_values(self, select: Select) -> dict[str, Tensor]:
        """Values that validation uses instead of parameters: dict of parameter name -> tensor."""
        return {}

    @property
    def values(self) -> dict[str, Tensor]:
        """All parameters, detached, dict of name -> tensor."""
        return {name: parameter.detach() for name, parameter in self.parameters.items()}

    def masked(self, masks: Masks) -> dict[str, Tensor]:
        """Masked copies of parameters, for a dict of parameter name -> bool."""
        return {name: self.parameters[name].detach() * keep for name, keep in masks.items()}

    def after_backward(self) -> None:
        """Change the gradients after every backward pass, before they are clipped."""

    def before_step(self, optimizer: FairseqOptimizer) -> None:
        """Change the gradients before a step, after they were clipped."""

    def after_step(self, optimizer: FairseqOptimizer) -> None:
        """Change the weights."""

    def is_over(self, position: Position) -> bool:
        """True if the step at this position is the last before the removal."""
        return False

    def end(self, optimizer: FairseqOptimizer) -> None:
        """Stop acting; the units are about to be removed."""
        self.active = False

    @property
    def metrics(self) -> dict[str, float | Tensor]:
        """Metrics to log: dict of name -> float, or a scalar tensor, for which only the log waits."""
        return {}

    def state(self) -> dict[str, Any] | None:
        """Plain values and tensors; None while it is not active."""
        return None

    def load_state(self, state: dict[str, Any]) -> None:
        """Restore the position of an interrupted run."""
        self.active = True

    def _here(self, stored):
        """Tensors on the parameters' device, for a dict of name -> tensor."""
        device = next(iter(self.parameters.values())).device
        return {name: value.to(device) for name, value in stored.items()}
