"""Saliency: which pixels matter for the predicted class."""

import torch
from torch import Tensor, nn

from fairseq_prune.files.locks import StrPath
from fairseq_prune.report.png import save_png


def saliency(model: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """The gradient of the highest logit with respect to the image.

    Source: Simonyan, Vedaldi, Zisserman 2013 (arXiv:1312.6034), section 3.

    Args:
        model: images -> logits, in evaluation mode.
        images: float [B, channels, height, width], normalised.

    Returns:
        (the largest absolute derivative over channels, float [B, height, width]; predicted classes, int64 [B]).
    """
    images = images.detach().requires_grad_()
    with torch.enable_grad():
        highest, classes = model(images).max(1)
        (gradient,) = torch.autograd.grad(highest.sum(), images)
    return gradient.abs().amax(1), classes


def draw_saliency(images: Tensor, maps: Tensor, found: Tensor, targets: Tensor, path: StrPath) -> None:
    """Draw images above their saliency maps, as a PNG.

    Args:
        images: float [B, channels, height, width].
        maps, found: from :func:`saliency`.
        targets: int64 [B], true classes.
        path: PNG to write.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(1.3 * len(images), 3), layout="constrained")
    panels = figure.subplots(2, len(images), squeeze=False)
    for column, (image, saliency_map) in enumerate(zip(images.cpu(), maps.cpu(), strict=True)):
        low, high = image.amin(), image.amax()
        pixels = ((image - low) / (high - low).clamp(min=1e-12)).movedim(0, 2)
        panels[0, column].imshow(pixels.mean(2) if pixels.shape[2] != 3 else pixels, cmap="gray")
        panels[0, column].set_title(f"{int(targets[column])}, found {int(found[column])}", fontsize="x-small")
        panels[1, column].imshow(saliency_map, cmap="inferno")
    for panel in panels.flat:
        panel.axis("off")
    save_png(figure, path)
