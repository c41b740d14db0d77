"""Confusion matrices."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from fairseq_prune.files.locks import StrPath
from fairseq_prune.report.png import save_png

_LEGIBLE = 20  # largest number of classes for which cells show numbers


@torch.no_grad()
def confusion_matrix(model: nn.Module, batches: Iterable[dict[str, Any]], classes: int) -> Tensor:
    """Count images by true and predicted class.

    Args:
        model: images -> logits, in evaluation mode.
        batches: iterable of samples.
        classes: count.

    Returns:
        int64 [true class, predicted class], on the CPU.
    """
    matrix = torch.zeros(classes, classes, dtype=torch.int64)
    for sample in batches:
        found = model(**sample["net_input"]).argmax(1)
        matrix += torch.bincount(sample["target"] * classes + found, minlength=classes**2).view(classes, classes).cpu()
    return matrix


def draw_confusion(matrix: Tensor, path: StrPath) -> None:
    """Draw a confusion matrix as a PNG, with each row in %."""
    from matplotlib.figure import Figure

    shares = 100 * matrix / matrix.sum(1, keepdim=True).clamp(min=1)
    figure = Figure(figsize=(6, 5.2), layout="constrained")
    axes = figure.subplots()
    figure.colorbar(axes.imshow(shares, vmin=0, vmax=100, cmap="Blues"), label="% of the true class")
    if len(matrix) <= _LEGIBLE:
        axes.set(xticks=range(len(matrix)), yticks=range(len(matrix)))
        for row, column in matrix.nonzero().tolist():
            share, colour = float(shares[row, column]), "white" if shares[row, column] > 50 else "black"
            axes.text(column, row, f"{share:.0f}", ha="center", va="center", color=colour, fontsize="x-small")
    axes.set(xlabel="found class", ylabel="true class")
    save_png(figure, path)
