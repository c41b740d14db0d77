"""``--stage-pr`` and ``--skip-layers``, in the grammar of GReg's commands."""

import re
from collections.abc import Sequence

from fairseq_prune.pruning.registry import closest

from .layers import Layer

_EXAMPLES = "e.g. [0,0.5,0.5,0.5,0] for a residual net or [1-15:0.7] for others"


def parse_stage_pr(text: str) -> list[float] | list[tuple[int, int, float, bool]]:
    """Read ``[0,0.75,0.75,0.32,0]`` or ``[1-15:0.7, 16:0]``; brackets and spaces may be left out.

    Returns:
        list of fractions, one for each stage, or list of (first layer, last layer, fraction, whether it is a range).

    Raises:
        ValueError: the text is neither of these, or a fraction is outside [0, 1).
    """
    items = [item for item in re.sub(r"[\[\]{}\s]", "", str(text)).split(",") if item]
    if not items:
        raise ValueError(f"--stage-pr {text!r}: is empty; {_EXAMPLES}")
    if not any(":" in item for item in items):
        return [_fraction(text, item) for item in items]
    ranges = []
    for item in items:
        found = re.fullmatch(r"(\d+)(?:-(\d+))?:(.+)", item)
        if not found or found[2] and int(found[2]) < int(found[1]):
            raise ValueError(f"--stage-pr {text}: cannot read {item!r}; {_EXAMPLES}")
        ranges.append((int(found[1]), int(found[2] or found[1]), _fraction(text, found[3]), bool(found[2])))
    return ranges


def parse_skip_layers(text: str | None) -> list[tuple[str, ...]]:
    """Read ``[1.0,2.3.1]`` or ``[0,2]``: list of tuples of str, with the parts of each id."""
    return [tuple(item.split(".")) for item in re.sub(r"[\[\]\s]", "", str(text or "")).split(",") if item]


def _fraction(text, item):
    try:
        fraction = float(item)
    except ValueError:
        fraction = -1.0
    if not 0 <= fraction < 1:
        raise ValueError(f"--stage-pr {text}: {item!r} is not a fraction in [0, 1); {_EXAMPLES}")
    return fraction


def layer_ratios(layers: Sequence[Layer], stage_pr: str, skip_layers: str | None, units: str) -> dict[str, float]:
    """The fraction that each layer is to lose, by GReg's rules.

    Source: GReg. In residual nets, units other than weights are removed only inside blocks: never from shortcuts, no
    filters from a block's last convolution, no channels from its first. Ids are compared part by part: 3.1 is not 3.10.

    Args:
        layers: from :func:`~.layers.find_layers`.
        stage_pr: value of the option.
        skip_layers: value of the option.
        units: ``"filter"``, ``"channel"`` or ``"weight"``.

    Returns:
        dict of layer name -> fraction.

    Raises:
        ValueError: the number of fractions is not that of the net's stages, or a layer or id is unknown.
    """
    ratios = parse_stage_pr(stage_pr)
    skips = parse_skip_layers(skip_layers)
    staged = any(layer.stage is not None for layer in layers)
    by_range = isinstance(ratios[0], tuple)
    wanted = _by_range(layers, ratios, stage_pr) if by_range else _by_stage(layers, ratios, stage_pr, staged)
    ids = {layer: layer.id if staged and not by_range else (str(layer.index),) for layer in layers}
    _check_skips(skips, ids.values(), skip_layers)
    for layer in layers:
        skipped = any(ids[layer][: len(skip)] == skip for skip in skips) and not (staged and units == "weight")
        if skipped or (units != "weight" and _stays_whole(layer, units)):
            wanted[layer.name] = 0.0
    return wanted


def _by_stage(layers, ratios, text, staged):
    stages = max((layer.stage for layer in layers), default=0) + 1 if staged else 0
    if not staged:
        raise ValueError(f"--stage-pr {text}: this net has no stages; give ranges of layers, e.g. [1-15:0.7]")
    if len(ratios) != stages:
        raise ValueError(
            f"--stage-pr {text}: has {len(ratios)} fractions; this net takes {stages}: stem, stages, classifier"
        )
    return {layer.name: ratios[layer.stage] for layer in layers}


def _by_range(layers, ranges, text):
    last = max(layer.index for layer in layers)
    wanted = dict.fromkeys((layer.name for layer in layers), 0.0)
    for first, end, fraction, is_range in ranges:
        if first > last:
            raise ValueError(f"--stage-pr {text}: there is no layer {first}; the last one is {last}")
        wanted.update({layer.name: fraction for layer in layers if first <= layer.index <= end})
        if not is_range and end > last:
            raise ValueError(f"--stage-pr {text}: there is no layer {end}; the last one is {last}")
    return wanted


def _stays_whole(layer, units):
    if layer.place is None:
        return False
    return layer.place == -1 or (layer.last if units == "filter" else layer.place == 0)


def _check_skips(skips, ids, text):
    for skip in skips:
        if not any(known[: len(skip)] == skip for known in ids):
            names = [".".join(known) for known in ids]
            raise ValueError(
                f"--skip-layers {text}: no layer {'.'.join(skip)!r}{closest('.'.join(skip), names)}; e.g. {names[0]}"
            )
