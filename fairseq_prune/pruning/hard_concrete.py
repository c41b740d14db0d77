"""Hard-concrete gates: Louizos et al., ICLR 2018 (arXiv:1712.01312), eqs. 9 to 13, with the paper's constants."""

import math

import torch
from torch import Tensor

LOW, HIGH = -0.1, 1.1  # what is drawn is stretched to this, then cut to [0, 1]
TEMPERATURE = 2 / 3
BOUND = math.log(100)  # of log alpha, on both sides
MARGIN = 1e-6  # noise stays away so much from 0 and 1


def draw_noise(count: int, generator: torch.Generator) -> Tensor:
    """Uniform noise in (0, 1), float32 [count], from a CPU ``torch.Generator``."""
    return torch.rand(count, generator=generator).clamp(MARGIN, 1 - MARGIN)


def sample(log_alpha: Tensor, noise: Tensor) -> Tensor:
    """Gates for a batch, eq. 10 and 11.

    Args:
        log_alpha: parameters, float [units]; the higher, the more likely a gate is open.
        noise: of :func:`draw_noise`.

    Returns:
        float [units], in [0, 1], both ends included.
    """
    drawn = torch.sigmoid((noise.log() - (1 - noise).log() + log_alpha) / TEMPERATURE)
    return (drawn * (HIGH - LOW) + LOW).clamp(0, 1)


def settled(log_alpha: Tensor) -> Tensor:
    """Gates without noise before they are cut to [0, 1], eq. 13: float [units]; 0 or less closes one for good."""
    return torch.sigmoid(log_alpha) * (HIGH - LOW) + LOW


def chance_open(log_alpha: Tensor) -> Tensor:
    """Probability that a gate that is drawn is not 0, eq. 12: float [units]."""
    return torch.sigmoid(log_alpha - TEMPERATURE * math.log(-LOW / HIGH))
