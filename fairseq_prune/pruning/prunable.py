"""What can be pruned in a model: its tensors, each once, under all their names."""

import fnmatch
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .layout import output_input_axes, undo
from .masks import Masks
from .registry import closest
from .weight_norm import WeightNormScale, find_scales


@dataclass(frozen=True, eq=False)
class Prunable:
    """One parameter of a model.

    Args:
        name: its first name in ``model.named_parameters()``; masks go by it.
        aliases: all its names; more than one when modules share it.
        parameter: the parameter itself.
        scale: the scale that multiplies it, where it is weight-normalised.
        axes: of the parameter, in the order (outputs, inputs, taps...); None: they are in that order. What follows
            speaks of tensors in this order.
    """

    name: str
    aliases: tuple[str, ...]
    parameter: torch.nn.Parameter
    scale: WeightNormScale | None = None
    axes: tuple[int, ...] | None = None

    @property
    def shape(self) -> torch.Size:
        """Shape of the weight, outputs and inputs first."""
        return self.arrange(self.parameter).shape

    def arrange(self, stored: Tensor) -> Tensor:
        """A tensor shaped like the parameter, outputs and inputs first."""
        return stored.permute(self.axes) if self.axes else stored

    def store(self, arranged: Tensor) -> Tensor:
        """Undo :meth:`arrange`."""
        return arranged.permute(undo(self.axes)).contiguous() if self.axes else arranged

    def matches(self, pattern: str) -> bool:
        """True if the shell pattern matches any of the names."""
        return any(fnmatch.fnmatchcase(alias, pattern) for alias in self.aliases)

    def weight(self) -> Tensor:
        """The weight that the layer multiplies with, detached."""
        value = self.parameter.detach()
        return self.arrange(self.scale.effective(value) if self.scale else value)

    def mask_in(self, masks: Masks) -> Tensor | None:
        """The mask of :meth:`weight` that a dict of masks amounts to; None where nothing is removed."""
        keep = masks.get(self.name)
        if self.scale and self.scale.name in masks:
            alive = masks[self.scale.name].expand_as(self.parameter)
            keep = alive if keep is None else keep & alive
        return None if keep is None else self.arrange(keep)

    @property
    def mask_names(self) -> tuple[str, ...]:
        """Names of the stored parameters that carry its mask."""
        return (self.name, self.scale.name) if self.scale else (self.name,)

    def split_mask(self, keep: Tensor) -> Masks:
        """The masks of the stored parameters, by name, that make up a mask of :meth:`weight`."""
        keep = self.store(keep)
        stored = self.scale.split_mask(keep) if self.scale else (keep,)
        return dict(zip(self.mask_names, stored, strict=True))

    def masks_for(self, keep: Tensor) -> Masks:
        """As :meth:`split_mask`, but tensors of which nothing is removed need none and get none."""
        return {name: mask for name, mask in self.split_mask(keep).items() if not mask.all()}


def intersect(before: Masks, chosen: Masks, prunables: Iterable[Prunable] = ()) -> Masks:
    """The masks that keep what two dicts of masks keep: what is removed stays removed.

    Args:
        before: dict of parameter name -> bool, in force.
        chosen: the same, of what is to be removed.
        prunables: :class:`Prunable` s. Where weights are normalised, a removed slice is masked by its
            scale alone.

    Returns:
        dict of parameter name -> bool.
    """
    masks = {**before, **chosen, **{name: before[name] & chosen[name] for name in before.keys() & chosen.keys()}}
    for p in prunables:
        keep = p.mask_in(masks) if p.scale else None
        if keep is not None:
            masks = {name: mask for name, mask in masks.items() if name not in p.mask_names} | p.masks_for(keep)
    return masks


def find_prunables(
    model: nn.Module, include: Sequence[str] = (), skip: Sequence[str] = (), only: Sequence[str] = ()
) -> list[Prunable]:
    """List the prunable set of a model.

    By default all parameters of two or more dimensions, embeddings included; a weight-normalised
    layer counts by its directions. Shared parameters are listed once.

    Args:
        model: ``nn.Module``.
        include: shell patterns of parameters to add, e.g. biases.
        skip: shell patterns of parameters to leave dense; wins over the others.
        only: shell patterns of parameters; no others are listed.

    Returns:
        list of :class:`Prunable`, in the order of ``model.named_parameters()``.

    Raises:
        ValueError: a pattern matches no parameter, or nothing is left to prune.
    """
    everything = _all_prunables(model)
    for option, patterns in (("--prune-include", include), ("--prune-skip", skip), ("--prune-only", only)):
        for pattern in patterns:
            _check_pattern(option, pattern, everything)
    wanted = [p for p in everything if any(map(p.matches, only))] if only else [
        p for p in everything if p.parameter.dim() >= 2 or any(map(p.matches, include))
    ]  # fmt: skip
    chosen = [p for p in wanted if not any(map(p.matches, skip))]
    if not chosen:
        raise ValueError(f"--prune-skip '{','.join(skip)}' leaves nothing to prune; see --prune-include")
    return chosen


def _all_prunables(model):
    scales = find_scales(model)
    scale_names = {scale.name for scale in scales.values()}
    modules = dict(model.named_modules())
    return [
        Prunable(
            aliases[0],
            tuple(aliases),
            parameter,
            scales.get(aliases[0]),
            output_input_axes(modules[aliases[0].rpartition(".")[0]], parameter.dim()),
        )
        for parameter, aliases in _names_by_parameter(model)
        if aliases[0] not in scale_names
    ]


def _names_by_parameter(model):
    names: dict[nn.Parameter, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        names.setdefault(parameter, []).append(name)
    return names.items()


def _check_pattern(option, pattern, prunables):
    if not any(p.matches(pattern) for p in prunables):
        names = [alias for p in prunables for alias in p.aliases]
        example = f"write e.g. {names[0]!r} or '*embed*'" if names else "the model has none"
        raise ValueError(f"{option} {pattern}: matches no parameter{closest(pattern, names)}; {example}")
