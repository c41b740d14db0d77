"""Evaluating a model by its own criterion, as fairseq-validate does."""

from collections.abc import Iterable
from typing import Any

import torch
from fairseq.criterions import FairseqCriterion
from fairseq.logging import metrics
from fairseq.models import BaseFairseqModel


@torch.no_grad()
def measure(
    model: BaseFairseqModel, criterion: FairseqCriterion, samples: Iterable[dict[str, Any]]
) -> dict[str, float]:
    """Evaluate a model.

    Args:
        model: fairseq model in eval mode.
        criterion: fairseq criterion.
        samples: iterable of batches, where the model is.

    Returns:
        dict of name -> float, of what the criterion logs as means, e.g. ``loss``, ``top1``.

    Raises:
        ValueError: there are no samples.
    """
    logs = [criterion(model, sample)[2] for sample in samples]
    if not logs:
        raise ValueError("the split is empty; give data with a split valid of one sample or more")
    with metrics.aggregate(new_root=True) as meters:
        criterion.reduce_metrics(logs)
    return {name: float(meter.avg) for name, meter in meters.items() if hasattr(meter, "avg")}
