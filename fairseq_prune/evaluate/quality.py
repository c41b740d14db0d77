"""The quality of a checkpoint on data, in the fields of SiPO's reports."""

from collections.abc import Mapping
from typing import Any

from ..checkpoint.tensors import tensor_rows
from ..deploy.describers import describe_model
from ..pruning.measures import harmonic_mean
from ..report.training import describe_training
from .load import Workbench
from .translation import translate


def inspect_quality(
    checkpoint: str, state: Mapping[str, Any], data: str | None, reference: bool = False
) -> dict[str, float]:
    """Count and evaluate a checkpoint.

    Args:
        checkpoint: path.
        state: its content.
        data: folder of fairseq-preprocess.
        reference: normalise and rank as the original did.

    Returns:
        dict of field -> number: ``params``, ``pruned`` (zeros, count), ``sparsity`` (%), then of each split that
        the data have ``valid_accuracy`` (%), ``valid_perplexity``, ``test_accuracy``, ``test_perplexity``; for
        translation ``test_bleu``, ``test_sacrebleu`` and ``test_hyp_ppl``. Models that do not predict word by word,
        or by an adaptive softmax, get what the criterion of their training logs, e.g. ``valid_loss``, ``valid_top1``;
        image classifiers ``macs`` and ``nonzero_macs``, too. Where something is zero, or removed since the pruning
        run began, ``valid_hm`` and ``test_hm``: the harmonic mean of that fraction of parameters and accuracy.

    Raises:
        ValueError: data and checkpoint do not fit, or the split is empty.
    """
    bench = Workbench(checkpoint, data, reference)
    model = bench.model(checkpoint)
    rows = tensor_rows(state["model"])
    params = sum(row.params for row in rows)
    pruned = params - sum(row.nonzero for row in rows)
    fields = {"params": params, "pruned": pruned, "sparsity": 100 * pruned / params}
    removed = describe_training(state, {"nonzero": params - pruned}).get("params_removed", pruned / params)
    total = describe_model(state).get("total", {})
    fields |= {key: total[key] for key in ("macs", "nonzero_macs") if key in total}
    for split in ("valid", "test"):
        if split == "valid" or bench.has(split):
            measured = _measure(bench, model, bench.validation if split == "valid" else split)
            if removed and (accuracy := measured.get("accuracy", measured.get("top1"))) is not None:
                measured["hm"] = harmonic_mean(removed, accuracy / 100)
            fields |= {f"{split}_{name}": value for name, value in measured.items()}
    if bench.translates(model) and bench.has("test"):
        fields |= {f"test_{name}": value for name, value in translate(model, bench.task, "test", reference).items()}
    return fields


def _measure(bench, model, split):
    if not bench.predicts_words(model):
        return bench.by_criterion(model, split)
    score = bench.evaluator(model, split).measure()
    return {"accuracy": 100 * score.accuracy, "perplexity": score.perplexity}


_LABELS = {
    "params": "parameters in total", "pruned": "parameters pruned", "sparsity": "sparsity (%)",
    "valid_accuracy": "valid accuracy (%)", "valid_perplexity": "valid perplexity",
    "test_accuracy": "test accuracy (%)", "test_perplexity": "test perplexity", "test_bleu": "test BLEU (whitespace)",
    "test_sacrebleu": "test sacreBLEU", "test_hyp_ppl": "test perplexity of hypotheses",
    "macs": "MACs", "nonzero_macs": "non-zero MACs",
    **{f"{split}_loss": f"{split} loss (bits)" for split in ("valid", "test")},
    **{f"{split}_hm": f"{split} harmonic mean" for split in ("valid", "test")},
    **{f"{split}_{top}": f"{split} {top} (%)" for split in ("valid", "test") for top in ("top1", "top5")},
}  # fmt: skip


def render_quality(columns: Mapping[str, Mapping[str, float | None]]) -> str:
    """Several checkpoints side by side.

    Args:
        columns: dict of column name -> fields from :func:`inspect_quality`.

    Returns:
        A table, str.
    """
    names = list(dict.fromkeys(field for fields in columns.values() for field in fields))
    lines = [f"{'':<32}" + "".join(f"{name:>18}" for name in columns)]
    for name in names:
        cells = (_cell(fields.get(name)) for fields in columns.values())
        lines.append(f"{_LABELS.get(name, name.replace('_', ' ')):<32}" + "".join(f"{cell:>18}" for cell in cells))
    return "\n".join(lines)


def _cell(value):
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"
