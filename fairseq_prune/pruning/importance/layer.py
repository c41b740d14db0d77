"""Worth of whole layers, by what a model does with and without them.

The evidence is gathered over batches, see :data:`~.base.EVIDENCE`: of every stack, one element a layer.
"""

import torch
from torch import Tensor

from ..units.base import Units
from .base import EVIDENCE, IMPORTANCES, ONLY_FOR


@IMPORTANCES.add("cosine")
def cosine(evidence: Tensor, units: Units, generator: torch.Generator | None = None) -> Tensor:
    """How much a layer turns the hidden state: 1 - the cosine between what goes in and what comes out.

    Source: Men et al. 2024 (arXiv:2403.03853), ShortGPT's block influence, eq. 2.

    Args:
        evidence: means over tokens, summed over batches.
        units: the :class:`~fairseq_prune.pruning.units.Units` that are removed together.
        generator: not used.

    Returns:
        float32 [units].
    """
    return units.pool(evidence.float())


@IMPORTANCES.add("loss")
def loss(evidence: Tensor, units: Units, generator: torch.Generator | None = None) -> Tensor:
    """How much the loss grows when a layer is skipped.

    Source: Kim et al. 2024 (arXiv:2402.02834), Shortened LLaMA, by perplexity. Arguments as :func:`cosine`; the
    evidence is the growth of the mean loss, summed over batches.
    """
    return units.pool(evidence.float())


EVIDENCE.update(cosine="hidden_change", loss="loss_growth")
ONLY_FOR.update(cosine="layer", loss="layer")
