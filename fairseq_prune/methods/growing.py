"""A growing penalty: its factors, its position in the schedule, and its effect on gradients and weights."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..compat import unscaled
from ..optim.masters import homes, master_gradient, multiply_values, values_of
from ..pruning.growing import Growth, Layer, contraction, grow, magnitude_ratio
from ..pruning.schedule import Schedule
from ..pruning.selecting import Selection, overlap
from ..pruning.times import Position
from ..pruning.units import Support, UnitKind, is_coupled
from .approach import APPROACHES, Approach, Select
from .growth_options import OPTIONS, complete

if TYPE_CHECKING:
    from fairseq.optim import FairseqOptimizer


logger = logging.getLogger(__name__)
COUPLED = {"SGD", "NAG"}  # torch optimizers in whose steps a gradient keeps its size
RECORDED = 10  # every so many changes, the norms of units are written to a file
ENOUGH = 7.0  # ln 1000, the magnitude ratio at which pruning may end


@APPROACHES.add(Growth)
class GrowingPenalty(Approach):
    """The penalty of one run.

    With SGD it enters the gradient where weight decay does, after clipping. Adaptive optimizers would normalise it
    away, so with them it decays the weights after the step, as in AdamW (arXiv:1711.05101).

    Attributes:
        selection: what is removed, :class:`~fairseq_prune.pruning.selecting.Selection`; None until it is made.
    """

    until_the_end = weight_normed = True
    needs_end = False
    options = OPTIONS

    @classmethod
    def fits(cls, units: UnitKind) -> bool:
        return super().fits(units) and not isinstance(units, Support)

    @classmethod
    def completed(
        cls, settings: Growth, options: Mapping[str, Any], schedule: Schedule, single_weights: bool
    ) -> Growth:
        return complete(settings, options, schedule, single_weights)

    @classmethod
    def check(cls, settings: Growth, units: UnitKind, schedule: Schedule) -> None:
        if settings.norms and not is_coupled(units):
            raise ValueError("--reg-bn: is for units that own biases and norms, e.g. --prune-units filter")

    def __init__(self, *given: Any):
        super().__init__(*given)
        self.selection: Selection | None = None
        self.record = None
        self._initial: Selection | None = None  # where units are picked later: what the first weights would pick
        self._overlap: float | None = None  # share of the picked units that is also in the initial selection
        self._layers: dict[str, Layer] = {}
        self._began = 0
        self._settled: int | None = None
        self._grown: int | None = None
        self._factors: dict[str, Tensor] = {}

    def begin(self, position: Position, layers: Sequence[str], select: Select, optimizer: FairseqOptimizer) -> None:
        if not layers:
            raise ValueError(
                "--prune-target or --stage-pr: all fractions are 0, so the penalty has nothing to act on; give e.g. "
                "--prune-target 0.5, or leave --prune-method out"
            )
        if self.settings.blocks_loss and not _is_coupled(optimizer):
            raise ValueError("--block-loss-grad: has no effect on adaptive optimizers; give e.g. --optimizer sgd")
        self.active, self._began = True, position.updates
        first = select(None)
        self.selection, self._initial = (None, first) if self.settings.picks else (first, None)
        self._layers = {name: Layer() for name in layers}
        self._warn_of_little(optimizer)

    def last_selection(self, select: Select) -> Selection:
        return self.selection or select(None)

    @property
    def metrics(self) -> dict[str, float | Tensor]:
        """The largest factor in force; once units are picked, the fraction that the first weights would have picked."""
        return {"penalty": self.largest, **({} if self._overlap is None else {"overlap": self._overlap})}

    @property
    def largest(self) -> float:
        """The largest factor in force (float)."""
        return max((layer.factor for layer in self._layers.values()), default=0.0)

    def before_update(self, position: Position, select: Select, optimizer: FairseqOptimizer) -> None:
        """Let the penalty grow when it is due; accumulated batches and retries of an update repeat its number."""
        self.record, updates = None, position.updates
        if updates == self._grown:
            return
        self._grown = updates
        changes, early = divmod(updates - self._began, self.settings.interval)
        if early:
            return
        now = self.selection or select(None)
        if self._settled is None:
            self._grow(updates, now)
        if changes % RECORDED == 0:
            self.record = self._recorded(updates, now)

    def _grow(self, updates, now):
        self._layers, picks = grow(self.settings, self._layers, self.selection is not None, self._ratios(now))
        if picks:
            self._pick(updates, now)
        if all(layer.through for layer in self._layers.values()):
            self._settled = updates
            logger.info(
                f"penalty at {self.largest:.5f} after {updates} updates: all layers have finished, {self._told()}"
            )
        self._factors = {}

    def _pick(self, updates, selection):
        assert self._initial is not None  # as long as the choice is to be made
        self.selection = selection
        self._overlap, self._initial = overlap(self.selector, self._layers, selection, self._initial), None
        logger.info(
            f"penalty at {self.largest:.5f} after {updates} updates: the units that are removed are chosen; "
            f"{self._overlap:.4f} of them were the smallest at first"
        )

    def _recorded(self, updates, selection):
        """Mean L1 norms of the units of each layer that are kept and that are removed."""
        layers = {}
        for name in self._layers:
            norms, removed = self.selector.norms(name), self.selector.removed(name, selection)
            layers[name] = {"kept": float(norms[~removed].mean()), "removed": float(norms[removed].mean())}
        return {
            "updates": updates,
            "began": self._began,
            "penalty": self.largest,
            "picked": self.selection is not None,
            "layers": layers,
        }

    def _told(self):
        ratios = [layer.ratio for layer in self._layers.values() if layer.ratio is not None]
        parts = f"kept units {min(ratios):.3g} to {max(ratios):.3g} times larger; " if ratios else ""
        return f"{parts}units are removed in {self.settings.stabilise} updates"

    def _ratios(self, selection):
        if self.settings.ratio_limit == float("inf"):
            return {}
        return {
            name: magnitude_ratio(self.selector.magnitudes(name), self.selector.removed(name, selection))
            for name, layer in self._layers.items()
            if not layer.through
        }

    def is_over(self, position: Position) -> bool:
        return self._settled is not None and position.updates >= self._settled + self.settings.stabilise

    def _factor_tensors(self):
        """Dict of parameter name -> factor of each of its elements; set up after every change."""
        if not self._factors:
            for name, layer in self._layers.items():
                self._add_factors(self.selector.spread(name, self._unit_factors(name, layer)))
                if self.settings.norms and self.selection is not None:
                    removed = self.selector.removed(name, self.selection)
                    self._add_factors(self.selector.spread_on_vectors(name, removed * layer.factor))
        return self._factors

    def _add_factors(self, factors):
        for entry, factor in factors.items():
            before = self._factors.get(entry)
            self._factors[entry] = factor if before is None else before + factor

    def _unit_factors(self, name, layer):
        if self.selection is None:
            return torch.full_like(self.selector.magnitudes(name), layer.factor)
        return torch.where(self.selector.removed(name, self.selection), layer.factor, layer.kept)

    def before_step(self, optimizer: FairseqOptimizer) -> None:
        """Add factor times weight to the gradients, unless the optimizer is adaptive."""
        if not self.active or not _is_coupled(optimizer):
            return
        masters, share = homes(optimizer), 1 / unscaled(optimizer)
        for name, factor in self._factor_tensors().items():
            gradient = master_gradient(self.parameters[name], masters)
            if gradient is not None:
                if self.settings.blocks_loss:
                    gradient.zero_()
                factor, weight = factor.to(gradient.dtype), values_of(self.parameters[name], masters)[0]
                if torch.is_tensor(share):  # a number of it would have to be waited for
                    gradient.addcmul_(factor * share, weight)
                else:
                    gradient.addcmul_(factor, weight, value=share)

    def after_step(self, optimizer: FairseqOptimizer) -> None:
        """Decay the weights by learning rate times factor, if the optimizer is adaptive."""
        if not self.active or _is_coupled(optimizer):
            return
        masters, factors = homes(optimizer), self._factor_tensors()
        left = torch._foreach_mul(list(factors.values()), optimizer.get_lr())
        torch._foreach_clamp_max_(left, 1)
        torch._foreach_neg_(left)
        torch._foreach_add_(left, 1)
        multiply_values([self.parameters[name] for name in factors], left, masters)

    def _warn_of_little(self, optimizer):
        """Say so if the whole penalty cannot shrink anything by much."""
        group = optimizer.optimizer.param_groups[0]
        momentum = group.get("momentum", 0.0) if _is_coupled(optimizer) else 0.0
        shrinks = contraction(self.settings, optimizer.get_lr(), momentum)
        if shrinks < ENOUGH:
            logger.warning(
                f"the penalty shrinks weights by a factor of e^{shrinks:.1f} at most, which is little (e^{ENOUGH:.0f} "
                "is 1000): give a higher learning rate, a later --prune-end or a higher --reg-upper-limit"
            )

    def state(self) -> dict[str, Any] | None:
        return self.active and {
            "began": self._began,
            "settled": self._settled,
            "grown": self._grown,
            "layers": {name: asdict(layer) for name, layer in self._layers.items()},
            "choice": self.selection and self.selection.plain(),
            "initial": self._initial and self._initial.plain(),
            "overlap": self._overlap,
        } or None  # fmt: skip

    def load_state(self, state: dict[str, Any]) -> None:
        super().load_state(state)
        device = next(iter(self.parameters.values())).device
        self._began, self._settled, self._grown = state["began"], state["settled"], state["grown"]
        self._layers = {name: Layer(**layer) for name, layer in state["layers"].items()}
        choices = (state[name] and Selection.from_plain(state[name], device) for name in ("choice", "initial"))
        self.selection, self._initial = choices
        self._overlap = state["overlap"]
        self._factors = {}

    def end(self, optimizer: FairseqOptimizer) -> None:
        super().end(optimizer)
        self._factors = {}


def _is_coupled(optimizer):
    return type(optimizer.optimizer).__name__ in COUPLED
