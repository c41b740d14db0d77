"""A growing penalty in a run: its factors, its place in the schedule, and what it does to gradients and weights."""

import logging
from dataclasses import asdict

import torch

from ..pruning.choosing.choice import Choice
from ..pruning.growing import Layer, contraction, grow, magnitude_ratio
from .masters import homes, master_gradient, values_of

logger = logging.getLogger(__name__)
COUPLED = {"SGD", "NAG"}  # torch optimizers in whose steps a gradient keeps its size
ENOUGH = 7.0  # ln 1000, the magnitude ratio at which pruning may end


class GrowingPenalty:
    """The penalty of one run.

    With SGD it enters the gradient where weight decay does, after clipping. Adaptive optimizers would divide it away,
    so there it decays the weights after the step, as in AdamW (arXiv:1711.05101).

    Args:
        growth: :class:`~fairseq_prune.pruning.growing.Growth`.
        chooser: of the units, :mod:`~fairseq_prune.pruning.choosers`.
        parameters: dict of name -> parameter.
        blocks_loss: the penalty replaces the gradient of what it acts on (an ablation).

    Attributes:
        choice: what leaves, :class:`~fairseq_prune.pruning.choosers.Choice`; None until it is chosen.
    """

    def __init__(self, growth, chooser, parameters, blocks_loss=False):
        self._growth, self._chooser, self._parameters = growth, chooser, parameters
        self._blocks_loss = blocks_loss
        self.choice = None
        self._layers, self._began, self._settled = {}, None, None
        self._factors = {}

    @property
    def active(self):
        """True from its first update to the removal."""
        return self._began is not None

    @property
    def largest(self):
        """The largest factor in force (float)."""
        return max((layer.factor for layer in self._layers.values()), default=0.0)

    def begin(self, updates, layers, choice):
        """Start.

        Args:
            updates: completed (count).
            layers: names of those that lose units.
            choice: what leaves; None for a growth that picks later.
        """
        self._began, self.choice = updates, choice
        self._layers = {name: Layer() for name in layers}

    def before_update(self, updates, choose):
        """Grow if it is time.

        Args:
            updates: completed (count).
            choose: function -> :class:`~fairseq_prune.pruning.choosers.Choice`, by the weights as they are now.
        """
        if self._settled is not None or (updates - self._began) % self._growth.interval:
            return
        picked = self.choice is not None
        now = self.choice or choose()
        self._layers, picks = grow(self._growth, self._layers, picked, self._ratios(now))
        if picks:
            self.choice = now
            logger.info(f"penalty at {self.largest:.5f} after {updates} updates: the units that leave are chosen")
        if all(layer.through for layer in self._layers.values()):
            self._settled = updates
            logger.info(
                f"penalty at {self.largest:.5f} after {updates} updates: all layers are through, {self._told()}"
            )
        self._factors = {}

    def _told(self):
        ratios = [layer.ratio for layer in self._layers.values() if layer.ratio is not None]
        parts = f"kept units {min(ratios):.3g} to {max(ratios):.3g} times larger; " if ratios else ""
        return f"{parts}units leave in {self._growth.stabilise} updates"

    def _ratios(self, choice):
        if self._growth.ratio_limit == float("inf"):
            return {}
        return {
            name: magnitude_ratio(self._chooser.magnitudes(name), self._chooser.leaving(name, choice))
            for name, layer in self._layers.items()
            if not layer.through
        }

    def is_over(self, updates):
        """True if the step after so many completed updates is the last before the removal."""
        return self._settled is not None and updates >= self._settled + self._growth.stabilise

    def _factor_tensors(self):
        """Dict of parameter name -> factor of each of its elements; set up after every change."""
        if not self._factors:
            for name, layer in self._layers.items():
                for entry, factor in self._chooser.spread(name, self._unit_factors(name, layer)).items():
                    before = self._factors.get(entry)
                    self._factors[entry] = factor if before is None else before + factor
        return self._factors

    def _unit_factors(self, name, layer):
        if self.choice is None:
            return torch.full_like(self._chooser.magnitudes(name), layer.factor)
        return torch.where(self._chooser.leaving(name, self.choice), layer.factor, layer.kept)

    def before_step(self, optimizer):
        """Add factor times weight to the gradients, unless the optimizer is adaptive."""
        if not self.active or not _is_coupled(optimizer):
            return
        masters, unscaled = homes(optimizer), getattr(optimizer, "_multiply_factor", 1.0)
        for name, factor in self._factor_tensors().items():
            parameter = self._parameters[name]
            gradient = master_gradient(parameter, masters)
            if gradient is None:
                continue
            if self._blocks_loss:
                gradient.zero_()
            gradient.addcmul_(factor.to(gradient.dtype), values_of(parameter, masters)[0], value=1 / float(unscaled))

    def after_step(self, optimizer):
        """Decay the weights by learning rate times factor, if the optimizer is adaptive."""
        if not self.active or _is_coupled(optimizer):
            return
        masters, rate = homes(optimizer), optimizer.get_lr()
        for name, factor in self._factor_tensors().items():
            left = 1 - (rate * factor).clamp(max=1)
            for value in values_of(self._parameters[name], masters):
                value.mul_(left.to(value.dtype))

    def warn_of_little(self, optimizer):
        """Say so if the whole penalty cannot shrink anything by much."""
        group = optimizer.optimizer.param_groups[0]
        momentum = group.get("momentum", 0.0) if _is_coupled(optimizer) else 0.0
        shrinks = contraction(self._growth, optimizer.get_lr(), momentum)
        if shrinks < ENOUGH:
            logger.warning(
                f"the penalty shrinks weights by a factor of e^{shrinks:.1f} at most, which is little (e^{ENOUGH:.0f} "
                "is 1000): give a higher learning rate, a later --prune-end or a higher --reg-upper-limit"
            )

    def state(self):
        """Plain values and bits; None before and after."""
        return self._began is not None and {
            "began": self._began,
            "settled": self._settled,
            "layers": {name: asdict(layer) for name, layer in self._layers.items()},
            "choice": self.choice and self.choice.plain(),
        } or None  # fmt: skip

    def load_state(self, state):
        """Take up the position of an interrupted run."""
        device = next(iter(self._parameters.values())).device
        self._began, self._settled = state["began"], state["settled"]
        self._layers = {name: Layer(**layer) for name, layer in state["layers"].items()}
        self.choice = state["choice"] and Choice.from_plain(state["choice"], device)
        self._factors = {}

    def end(self):
        """Stop acting; the units that leave are about to be removed."""
        self._began, self._factors = None, {}


def _is_coupled(optimizer):
    return type(optimizer.optimizer).__name__ in COUPLED
