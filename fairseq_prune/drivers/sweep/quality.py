"""The result of a trial: the quality of its best checkpoint, and what is left in it."""

import math
from collections.abc import Mapping

from ...checkpoint.tensors import tensor_rows
from ...compat import load_checkpoint
from ...evaluate.quality import inspect_quality

_LOWER = ("loss", "perplexity", "hyp_ppl")
_HIGHER = ("accuracy", "bleu", "sacrebleu", "top1", "top5")
METRICS = ("loss", *(f"{split}_{name}" for split in ("valid", "test") for name in (*_LOWER, *_HIGHER)))


def higher_is_better(metric: str) -> bool:
    """True of what is larger in better models."""
    return metric.endswith(_HIGHER)


def measure(checkpoint: str, metric: str, data: str) -> dict[str, float]:
    """Judge a checkpoint.

    Args:
        checkpoint: path.
        metric: ``"loss"``: that of the validation when it was saved; else a field of
            :func:`~fairseq_prune.evaluate.quality.inspect_quality`.
        data: the DATA argument.

    Returns:
        dict of ``quality`` (float), ``params`` and ``nonzero`` (counts of stored weights).

    Raises:
        ValueError: no checkpoint, or one that has no such quality.
    """
    state = load_checkpoint(checkpoint)
    validated = {"loss": (state.get("extra_state") or {}).get("val_loss")}
    found: Mapping[str, float | None] = validated if metric == "loss" else inspect_quality(checkpoint, state, data)
    quality = found.get(metric)
    if quality is None or not math.isfinite(quality):
        known = ", ".join(name for name in found if name in METRICS and found[name] is not None)
        said = "is none or not finite" if metric in found else f"is not measured of such models; has {known}"
        raise ValueError(f"{checkpoint}: its {metric} {said}")
    rows = tensor_rows(state["model"])
    return {
        "quality": float(quality),
        "params": sum(row.params for row in rows),
        "nonzero": sum(row.nonzero for row in rows),
    }
