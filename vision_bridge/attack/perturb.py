"""Running one attack on one batch, and evaluating its result."""

import torch
from torch import Tensor, nn

from .table import NORMS, Attack, load_foolbox


def perturb(
    attack: Attack, net: nn.Module, pixels: Tensor, targets: Tensor, epsilon: float | None, seed: int
) -> Tensor:
    """Look for adversarial images; the global random generators are not affected.

    Args:
        attack: :class:`~.table.Attack`.
        net: ``nn.Module`` that takes pixels, in evaluation mode.
        pixels: float [B, channels, height, width] in [0, 1].
        targets: int64 [B].
        epsilon: largest norm of the change; None for an attack that looks for the smallest change.
        seed: seed of the attack's random numbers.

    Returns:
        The changed pixels, in [0, 1]; they need not be misclassified.
    """
    foolbox = load_foolbox()
    wrapped = foolbox.PyTorchModel(net, bounds=(0, 1), device=pixels.device)
    criterion = foolbox.Misclassification(targets)
    with torch.random.fork_rng([pixels.device] if pixels.is_cuda else []):
        torch.manual_seed(seed)
        _, clipped, _ = attack.build(foolbox.attacks, attack.steps)(wrapped, pixels, criterion, epsilons=[epsilon])
    return clipped[0].clamp(0, 1)


@torch.no_grad()
def is_right(net: nn.Module, pixels: Tensor, targets: Tensor) -> Tensor:
    """Which images the model classifies correctly, bool [B]."""
    return net(pixels).argmax(1) == targets


def smallest_norms(attack: Attack, net: nn.Module, pixels: Tensor, changed: Tensor, targets: Tensor) -> Tensor:
    """Norms of the changes that cause misclassification.

    Returns:
        float [B]: 0 where no change is needed, infinite where the change does not cause misclassification.
    """
    norms = torch.linalg.vector_norm((changed - pixels).flatten(1), NORMS[attack.norm], dim=1)
    failed = is_right(net, changed, targets) | norms.isnan()  # without gradients, an attack may return NaN
    norms = norms.masked_fill(failed, float("inf"))
    return norms.masked_fill(~is_right(net, pixels, targets), 0.0)
