"""From the fractions of layers to those of a selector's groups."""

from collections.abc import Mapping, Sequence

from fairseq_prune.pruning.surgery.structure import AXES, Structure

from .layers import PREFIX


def targets_of_vectors(
    structure: Structure, groups: Sequence[str], ratios: Mapping[str, float], side: str
) -> dict[str, float]:
    """The fraction that each vector of coupled channels loses.

    Args:
        structure: :class:`~fairseq_prune.pruning.surgery.structure.Structure`.
        groups: names of vectors.
        ratios: dict of layer name -> fraction.
        side: ``"writers"`` (filters) or ``"readers"`` (channels): the layers whose fractions count.

    Returns:
        dict of vector name -> fraction.

    Raises:
        ValueError: a layer with a fraction cannot lose units, or coupled layers have different fractions.
    """
    targets, honoured = {}, set()
    for name in groups:
        layers = [
            entry.removeprefix(PREFIX).removesuffix(".weight") for entry in getattr(structure.vectors[name], side)
        ]
        wanted = {ratios.get(layer, 0.0) for layer in layers}
        if len(wanted) > 1:
            raise ValueError(
                f"--stage-pr: {', '.join(layers)} lose the same channels; give one fraction, not {sorted(wanted)}"
            )
        targets[name] = wanted.pop()
        honoured.update(layers)
    for layer, fraction in ratios.items():
        if fraction and layer not in honoured:
            unit = "filters" if AXES[side] == 0 else "input channels"
            raise ValueError(f"--stage-pr: {layer} cannot lose {unit}; give it 0 instead of {fraction}")
    return targets


def targets_of_weights(groups: Sequence[str], ratios: Mapping[str, float]) -> dict[str, float]:
    """The fraction that each tensor loses: that of its layer, but 0 for biases and norms.

    Args:
        groups: parameter names.
        ratios: dict of layer name -> fraction.

    Returns:
        dict of parameter name -> fraction.

    Raises:
        ValueError: a layer with a fraction is not among the groups.
    """
    for layer, fraction in ratios.items():
        if fraction and f"{PREFIX}{layer}.weight" not in groups:
            raise ValueError(f"--stage-pr: {layer} cannot lose such units; give it 0 instead of {fraction}")
    return {name: ratios.get(name.removeprefix(PREFIX).removesuffix(".weight"), 0.0) for name in groups}
