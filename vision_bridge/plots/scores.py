"""Curves of the sorted importance scores of weights and nodes."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from fairseq.criterions import FairseqCriterion
from fairseq.models import BaseFairseqModel
from torch import Tensor

from fairseq_prune.engine.evidence import gather
from fairseq_prune.files.locks import StrPath
from fairseq_prune.pruning.surgery.structure import unit_rows
from fairseq_prune.report.png import save_png

from ..models.classifier import ImageClassifier
from ..ratios.layers import PREFIX
from ..surgery.trace import trace

_POINTS = 1000  # points of a curve, at most


def weight_scores(
    model: BaseFairseqModel, criterion: FairseqCriterion, batches: Iterable[dict[str, Any]]
) -> dict[str, Tensor]:
    """Weights times the gradient of the loss, signed; the absolute value is SNIP's score.

    Args:
        model: fairseq model; left unchanged.
        criterion: the criterion of its training.
        batches: iterable of samples.

    Returns:
        dict of parameter name -> float32 tensor on the CPU, for all parameters with two or more axes.
    """
    found = gather("sensitivity", model, criterion, batches)
    return {name: value.cpu() for name, value in found.items() if value.dim() >= 2}


def node_scores(model: ImageClassifier, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """SNAP's scores of the channels and neurons that can be removed.

    Args:
        model: :class:`~..models.classifier.ImageClassifier`.
        weights: from :func:`weight_scores`.

    Returns:
        dict of layer name -> float32 [nodes]: for each node, the absolute value of the sum over the weights that read
        it; {} for a net that cannot be traced.
    """
    try:
        structure = trace(model.net, model.example(), PREFIX)
    except ValueError:
        return {}
    return {name: unit_rows(structure, name, "readers", weights.__getitem__).sum(1).abs() for name in structure.vectors}


def curve(scores: Tensor) -> tuple[Tensor, Tensor]:
    """The scores in descending order, as a curve of at most 1000 points.

    Args:
        scores: tensor of any shape; zeros are left out.

    Returns:
        (fractions of all scores, in [0, 1]; the absolute score that this fraction reaches).
    """
    ranked = scores.abs().flatten().sort(descending=True).values
    ranked = ranked[: int(ranked.count_nonzero())]
    places = torch.linspace(0, max(len(ranked) - 1, 0), min(_POINTS, len(ranked))).long()
    return (places + 1) / scores.numel(), ranked[places]


def draw_scores(weights: Mapping[str, Tensor], nodes: Mapping[str, Tensor], path: StrPath) -> None:
    """Draw the curves of each layer and of all together, as a PNG with a panel for weights and one for nodes."""
    from matplotlib.figure import Figure

    panels = {"weights": weights, **({"nodes": nodes} if nodes else {})}
    figure = Figure(figsize=(5 * len(panels), 4), layout="constrained")
    for axes, (kind, scores) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
        for name, values in scores.items():
            axes.plot(*curve(values), linewidth=0.8, label=name.removeprefix(PREFIX).removesuffix(".weight"))
        together = torch.cat([values.flatten() for values in scores.values()])
        axes.plot(*curve(together), color="black", linewidth=2, label="all")
        axes.set(xlabel=f"fraction of the {kind}", ylabel="score", yscale="log", xlim=(0, 1), title=kind)
        if len(scores) <= 20:
            axes.legend(fontsize="xx-small")
    save_png(figure, path)
