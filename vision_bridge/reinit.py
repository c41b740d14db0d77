"""``--reinit``: retrain the remaining weights from scratch."""

import torch
from fairseq.optim import FairseqOptimizer
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

from fairseq_prune.optim.masters import homes, values_of

NORMS = (_BatchNorm, nn.GroupNorm, nn.LayerNorm)
KINDS = ("orth", "kaiming")


@torch.no_grad()
def reinitialise(model: nn.Module, kind: str, seed: int, optimizer: FairseqOptimizer) -> None:
    """Draw new weights, and clear the optimizer's moments.

    Source: GReg's ``--reinit``.

    Args:
        model: ``nn.Module``.
        kind: ``"orth"``: orthogonal weights for convolutions and linear layers, nothing else is changed; ``"kaiming"``:
            their weights normal, scaled by fan-in, their biases 0, and norms reset.
        seed: seed of the draws, which are the same on every device.
        optimizer: fairseq optimizer; fp32 masters get the same values.
    """
    generator, masters = torch.Generator().manual_seed(seed), homes(optimizer)
    draw = nn.init.orthogonal_ if kind == "orth" else nn.init.kaiming_normal_
    for layer in model.modules():
        if isinstance(layer, (_ConvNd, nn.Linear)):
            layer.weight.copy_(draw(torch.empty(layer.weight.shape), generator=generator))
            if kind == "kaiming" and layer.bias is not None:
                layer.bias.zero_()
        elif isinstance(layer, NORMS) and kind == "kaiming":
            layer.reset_parameters()
    for parameter in model.parameters():
        if parameter in masters:
            values_of(parameter, masters)[0].copy_(parameter)
    optimizer.optimizer.state.clear()
