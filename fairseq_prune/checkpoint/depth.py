"""The depth of the weights that a training starts from, in case layers have been cut out of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..compat import load_checkpoint
from ..errors import errors_of_a_file
from ..families import stacks_of
from ..pruning.depth import stored_depth
from ..pruning.surgery.depth import layers_of
from .start import Start


@dataclass(frozen=True)
class Arriving:
    """The number of layers in weights that are about to be loaded.

    Args:
        layers: dict of stack name -> layers left (count), for stacks that have lost some.
        by_this_run: True if the missing layers were cut out by the run that is now resumed.
    """

    layers: Mapping[str, int]
    by_this_run: bool = False

    def keep(self, model: nn.Module) -> dict[str, Tensor]:
        """Layers to keep so that a model's stacks have the same depth: dict of stack name -> bool [layers]."""
        lengths = {stack: len(layers_of(model, stack)) for stack in stacks_of(model)}
        longer = {stack: count for stack, count in self.layers.items() if count < lengths.get(stack, 0)}
        return {stack: torch.arange(lengths[stack]) < count for stack, count in longer.items()}


def arriving_layers(start: Start, task: str) -> Arriving:
    """Find out how many layers the weights have that a training starts from, without reading the weights.

    Args:
        start: what the training starts from.
        task: name under which its checkpoints store the state of the pruning run.

    Raises:
        ValueError: the file cannot be read.
    """
    if start.path is None or not start.is_there:
        return Arriving({})
    checkpoint = load_checkpoint(start.path, unpack=False, mapped=True)
    with errors_of_a_file(start.path, "what it says of its layers is damaged"):
        layers = {stack: len(entry["kept"]) for stack, entry in stored_depth(checkpoint["model"]).items()}
        cut = checkpoint.get("extra_state", {}).get(task, {}).get("kept", {})
    return Arriving(layers, start.resumes and not layers.keys().isdisjoint(cut))
