"""A fraction for each layer from its shape: Erdos-Renyi."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from .shared import SharedFraction

Shapes = Mapping[str, torch.Size]  # of layers, by name


@dataclass(frozen=True)
class ErdosRenyi(SharedFraction):
    """A fraction of all layers together, of which small layers lose less than large ones (:func:`erdos_renyi`)."""

    suffix, by = "erk", "shapes"


def erdos_renyi(shapes: Shapes, fraction: float) -> dict[str, float]:
    """Keep of a layer a share that goes with the sum of its sizes over their product; at most all of it.

    Of matrices, as many weights go in and out of each unit of every layer (Mocanu et al. 2018, arXiv:1707.04780, SET);
    of convolutions with their kernels' sizes (Evci et al., ICML 2020, arXiv:1911.11134, RigL, "ERK").

    Args:
        shapes: dict of layer name -> shape of its weight.
        fraction: removed of all of them together, in [0, 1).

    Returns:
        dict of layer name -> fraction removed, of which the counts add up to ``round(fraction * all)``; at least one
        weight of every layer stays.

    Raises:
        ValueError: less than one weight a layer would stay.

    Example:
        >>> erdos_renyi({"a": torch.Size([10, 10]), "b": torch.Size([100, 100])}, 0.9)  # 0.2 and 0.02, times 4.6
        {'a': 0.08, 'b': 0.9082}
    """
    sizes = {name: shape.numel() for name, shape in shapes.items()}
    stays = sum(sizes.values()) - round(fraction * sum(sizes.values()))
    if stays < len(sizes):
        raise ValueError(f"--prune-target {fraction}: leaves less than one weight a layer; give less")
    wanted = {name: sum(shape) for name, shape in shapes.items()}  # share times size
    whole: set[str] = set()
    while True:
        left = stays - sum(sizes[name] for name in whole)
        scale = left / sum(w for name, w in wanted.items() if name not in whole) if len(whole) < len(sizes) else 0.0
        over = {name for name, w in wanted.items() if name not in whole and scale * w > sizes[name]}
        if not over:
            break
        whole |= over
    kept = {name: sizes[name] if name in whole else max(1.0, scale * w) for name, w in wanted.items()}
    counts = _whole_numbers(kept, stays)
    return {name: (sizes[name] - counts[name]) / sizes[name] for name in sizes}


def _whole_numbers(numbers, total):
    """Round numbers so that they add up to a total: down, and up where most would be lost."""
    counts = {name: math.floor(number) for name, number in numbers.items()}
    order = sorted(numbers, key=lambda name: counts[name] - numbers[name])
    for name in order[: max(0, total - sum(counts.values()))]:
        counts[name] += 1
    excess = sum(counts.values()) - total
    for name in sorted(counts, key=lambda name: -counts[name]):  # the largest give what the least have too much
        taken = min(excess, counts[name] - 1) if excess > 0 else 0
        counts[name], excess = counts[name] - taken, excess - taken
    return counts
