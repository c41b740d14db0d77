"""Images as pixels in [0, 1], and a model that takes them."""

import contextlib
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from ..data.image_dataset import ImageDataset
from ..data.seeds import seed_of

_DRAW = 4  # mixed into the seed, to separate its uses


class PixelModel(nn.Module):
    """Normalises pixels and classifies them.

    Args:
        model: ``nn.Module`` that takes normalised images.
        mean, std: of pixels in [0, 1], one value per channel or one for all.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, model: nn.Module, mean: Sequence[float], std: Sequence[float]):
        super().__init__()
        self.model = model
        for name, values in (("mean", mean), ("std", std)):
            self.register_buffer(name, torch.tensor(values, dtype=torch.float32)[:, None, None])

    def forward(self, pixels: Tensor) -> Tensor:
        """Logits [batch, classes] for pixels [batch, channels, height, width]."""
        return self.model((pixels - self.mean) / self.std)

    def pixels(self, images: Tensor) -> Tensor:
        """Undo the normalisation of images; exact, since pixels have 256 levels."""
        return ((images * self.std + self.mean) * 255).round().clamp(0, 255) / 255


@contextlib.contextmanager
def held_still(model: nn.Module) -> Iterator[nn.Module]:
    """Within the context: evaluation mode, and no gradients of parameters."""
    modes = [(module, module.training) for module in model.modules()]
    learned = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    try:
        yield model.eval().requires_grad_(False)
    finally:
        for module, training in modes:
            module.training = training
        for parameter, requires_grad in learned:
            parameter.requires_grad_(requires_grad)


def draw(dataset: ImageDataset, batches: int, batch_size: int, seed: int) -> list[np.ndarray]:
    """Draw images without replacement.

    Returns:
        List of at most ``batches`` integer arrays of indices.
    """
    order = np.random.default_rng(seed_of(_DRAW, seed)).permutation(len(dataset))[: batches * batch_size]
    return [order[at : at + batch_size] for at in range(0, len(order), batch_size)]
