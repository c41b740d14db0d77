"""A model with masks: they are loaded and saved with its weights, and enforced here.

A layer that is masked as a whole is bypassed: with zeros in its norms it would still change its input.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from ..checkpoint.tensors import find_ties
from ..compat import fp32_copies
from ..families import stacks_of
from ..modules.partial_norm import look_for_absent
from ..optim.masters import homes, moments_of, values_of
from ..pruning.depth import DEPTH_KEY, Depth, after_cut, stored_depth
from ..pruning.enforce import mask_tensor
from ..pruning.masks import METADATA_KEY, Masks, pack_mask
from ..pruning.surgery.depth import Keep, bypass, cut_layers, cut_names, layers_of, without_anything
from .mask_metadata import hook_state_dict, masks_of_parts

if TYPE_CHECKING:
    from fairseq.optim import FairseqOptimizer


logger = logging.getLogger(__name__)


class MaskedModel:
    """The masks of one model.

    Args:
        model: ``nn.Module``. When weights are loaded into it later, their masks are adopted.

    Attributes:
        masks: dict of parameter name -> bool; True = keep. Dense tensors have none.
        parameters: of the model, dict of name -> parameter; always the same dict.
        depth: layers that were cut out of the model, now or before, :data:`~fairseq_prune.pruning.depth.Depth`.
    """

    def __init__(self, model: nn.Module):
        self.masks: Masks = {}
        self.depth: Depth = {}
        self._bypasses: dict[nn.Module, list[RemovableHandle]] = {}  # of the model, and of its averages
        self._packed: dict[str, dict] | None = None
        self.parameters = dict(model.named_parameters())
        self._model = model
        if inherited := masks_of_parts(model):
            self.adopt(inherited)
        self.depth = stored_depth(model.state_dict())
        hook_state_dict(model, self._metadata, self.adopt)

    def _metadata(self):
        return {METADATA_KEY: self.packed(), DEPTH_KEY: self.depth}

    def adopt(self, masks: Masks, values: Mapping[str, Tensor] | None = None, depth: Depth | None = None) -> None:
        """Take over the masks of weights that were just loaded, whichever parameters are shared there and here.

        Args:
            masks: dict of parameter name -> bool.
            values: the state dict that they came with, with all names; None if they are this model's own.
            depth: of the weights; None: none of their layers was cut out.

        Raises:
            ValueError: a mask fits no parameter.
        """
        first = find_ties(values) if masks and values else {}
        by_tensor = {first.get(name, name): (name, keep) for name, keep in masks.items()}
        names, mine, lost = {p: name for name, p in self.parameters.items()}, {}, dict(by_tensor)
        for alias, parameter in self._model.named_parameters(remove_duplicate=False):
            tensor = first.get(alias, alias)
            if alias in (values or masks):  # of the last name, as the value
                mine[names[parameter]] = by_tensor.get(tensor, (alias, None))[1]
            if tensor in lost and lost[tensor][1].shape == parameter.shape:
                del lost[tensor]
        for name, keep in lost.values():
            if not _is_given_up(self._model, name):
                raise ValueError(f"the checkpoint masks {name} {list(keep.shape)}, which the model does not have")
        self.depth = depth or {}
        self.set_masks({name: keep for name, keep in mine.items() if keep is not None})

    @property
    def parameters_left(self) -> int:
        """Parameters of the model that are neither cut nor masked (count)."""
        masked = sum(keep.numel() - int(keep.count_nonzero()) for keep in self.masks.values())
        return sum(p.numel() for p in self._model.parameters()) - masked

    def warn_of_lost_masks(self) -> None:
        """Warn if tensors look pruned but came without masks, so that removed weights would train again.

        Averaging checkpoints, or any other tool that rebuilds the state dict, has this effect.
        """
        lost, zeros, weights = [], 0, 0
        for name, p in self.parameters.items():
            if p.dim() >= 2:
                gone, masked = p.numel() - int(p.count_nonzero()), self.masks.get(name)
                free = gone if masked is None else int(((p == 0) & masked.to(p.device)).sum())
                lost += [name] if 0.1 * p.numel() < free < p.numel() else []
                zeros, weights = zeros + gone, weights + p.numel()
        if lost:
            named = ", ".join(lost[:3]) + (f" and {len(lost) - 3} more" if len(lost) > 3 else "")
            logger.warning(
                f"more than a tenth of {named} is zero but came without masks, so it will train again; to keep it "
                f"removed, prune what is zero now, e.g. --prune-method magnitude --prune-target {zeros / weights:.4f}"
            )

    def warn_of_half_shrunk(self) -> None:
        """Warn if the weights come from a run that was still shrinking units: their connectivity is between 0 and 1."""
        vectors = [c.vector for c in getattr(self._model, "connectivity", {}).values()]
        count = sum(int(((v != 0) & (v != 1)).sum()) for v in vectors)
        if count:
            logger.warning(
                f"{count:,} units come half shrunk, with connectivity between 0 and 1, and stay so; better resume the "
                "run they are from, or start from a finished one"
            )

    def set_masks(self, masks: Masks) -> None:
        """Replace all masks (dict of parameter name -> bool); weights are not changed yet."""
        self.masks = dict(masks)
        self._packed = None
        look_for_absent(self._model, bool(masks))
        self._bypass_in(self._model)

    def _bypass_in(self, model):
        """Let a model do without the layers that are masked now, and have it do with the others."""
        for handle in self._bypasses.pop(model, []):
            handle.remove()
        self._bypasses[model] = bypass_masked(model, self.masks) if self.masks else []

    def cut_layers(self, keep: Keep) -> None:
        """Cut layers out of the model; the remaining ones, and their masks, are renumbered.

        Args:
            keep: dict of stack name -> bool [layers], True = keep.
        """
        cut_layers(self._model, keep)
        self.parameters.clear()
        self.parameters.update(self._model.named_parameters())
        self.depth = after_cut(self.depth, keep)
        self.set_masks(cut_names(self.masks, keep))

    def packed(self) -> dict[str, dict]:
        """The masks as plain values; packed once after each change."""
        if self._packed is None:
            self._packed = {name: pack_mask(keep) for name, keep in self.masks.items()}
        return self._packed

    def local_masks(self) -> Masks:
        """The masks, each on its parameter's device, to which it is moved once after loading."""
        for name, keep in self.masks.items():
            device = self.parameters[name].device
            if keep.device != device:
                self.masks[name] = keep.to(device)
        return self.masks

    def mask_values(self, optimizer: FairseqOptimizer) -> None:
        """Set removed weights to zero, in the fp32 masters and in the model."""
        masters = homes(optimizer)
        for name, keep in self.local_masks().items():
            for value in values_of(self.parameters[name], masters):
                mask_tensor(value, keep)

    def replace_values(self, values: Mapping[str, Tensor], optimizer: FairseqOptimizer) -> None:
        """Set parameters to new values (dict of name -> tensor), in the fp32 masters and in the model."""
        masters = homes(optimizer) if values else {}
        for name, new in values.items():
            for value in values_of(self.parameters[name], masters):
                value.copy_(new)

    def mask_moments(self, optimizer: FairseqOptimizer) -> None:
        """Set the optimizer's moments of removed weights to zero."""
        masters = homes(optimizer)
        for name, keep in self.local_masks().items():
            for moment in moments_of(self.parameters[name], masters, optimizer):
                mask_tensor(moment, keep)

    def update_averages(self, ema_model: nn.Module, changed: Collection[str]) -> None:
        """Update averages after a removal: they restart where weights have jumped, and are zero where masked.

        Args:
            ema_model: the moving average; it and its fp32 copies have an entry for every alias.
            changed: names of parameters whose kept values an event has changed.
        """
        masks = self.local_masks()
        look_for_absent(ema_model, bool(masks))
        averages = dict(ema_model.named_parameters(remove_duplicate=False))
        copies = fp32_copies(ema_model)
        names = {parameter: name for name, parameter in self.parameters.items()}
        for alias, parameter in self._model.named_parameters(remove_duplicate=False):
            keep = masks.get(names[parameter])
            for average in [averages[alias].data, *([copies[alias]] if alias in copies else [])]:
                if names[parameter] in changed:
                    average.copy_(parameter.data)
                if keep is not None:
                    mask_tensor(average, keep)
        self._bypass_in(ema_model)


def bypass_masked(model: nn.Module, masks: Masks) -> list[RemovableHandle]:
    """Bypass the layers of a model that are masked as a whole.

    Args:
        model: ``nn.Module``.
        masks: dict of parameter name -> bool.

    Returns:
        list of handles, whose ``remove()`` undoes it.
    """
    handles, names = [], [name for name, _ in model.named_parameters()]
    for stack in stacks_of(model):
        layers = layers_of(model, stack)
        gone = without_anything(names, stack, len(layers), masks)
        handles += [layers[number].register_forward_hook(bypass) for number in gone.nonzero().flatten().tolist()]
    return handles


def _is_given_up(model, name):
    """True for a tensor of a submodule that the model has set to None, which torch does not report either."""
    for part in name.split(".")[:-1]:
        children = dict(model._modules)
        if part not in children or children[part] is None:
            return part in children
        model = children[part]
    return False
