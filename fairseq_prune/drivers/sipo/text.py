"""The report of a SiPO run as text, in the order of the original's records."""

from collections.abc import Mapping
from typing import Any

from .settings import SipoSettings


def render(
    base: Mapping[str, Any], settings: SipoSettings, result: Mapping[str, Any], dense: Mapping[str, Any] | None = None
) -> str:
    """Describe a run.

    Args:
        base: measurements of the original model, dict of split -> dict.
        settings: :class:`~.settings.SipoSettings`.
        result: what :meth:`~.rounds.SipoRun.run` returns.
        dense: of the dense control; None without one.

    Returns:
        Lines of text, str.
    """
    lines = [
        f"random seed: {settings.seed}",
        f"grouping: {settings.group}, search: {settings.search}",
        f"start accuracy: {_percent(base['valid'])}, tolerated drop: {100 * settings.drop:g} points{_rise(settings)}",
        f"original: {_splits(base)}",
    ]
    for entry in result["rounds"]:
        lines += _round(entry, base)
    if dense:
        lines.append(f"dense control, {dense['epochs']} epochs (best {dense['epoch']}): {_splits(dense)}")
    lines.append(f"stop: {result['stop']}" if settings.rounds else "no retraining")
    best = "none" if result["best"] is None else f"round {result['best']}"
    return "\n".join([*lines, f"best: {best}"]) + "\n"


def _round(entry, base):
    found, pruned = entry["search"], entry["pruned"]
    rates = ", ".join(f"{name} {100 * fraction:.2f} %" for name, fraction in found["by_group"].items())
    lines = [
        f"round {entry['round']}",
        f"  removed by group: {rates}",
        f"  parameters: {found['total']}, pruned: {found['pruned']}, sparsity: {100 * found['removed']:.4f} %",
        f"  valid: {_scores(base['valid'])} => {_scores(pruned['valid'])}",
    ]
    if "test" in pruned:
        lines.append(f"  test: {_scores(base['test'])} => {_scores(pruned['test'])}")
    retrained = entry.get("retrained")
    if retrained:
        scores = zip(retrained["accuracies"], retrained["perplexities"], strict=True)
        epochs = ", ".join(f"{100 * accuracy:.3f} ({perplexity:.2f})" for accuracy, perplexity in scores)
        lines += [
            f"  retraining, valid accuracy (perplexity) of each epoch: {epochs}",
            f"  {'recovered' if retrained['recovered'] else 'not recovered'}, epoch {retrained['epoch']}: "
            f"{_splits(retrained)}",
        ]
    return lines


def _rise(settings):
    return "" if settings.ppl_rise is None else f", rise of perplexity: {100 * settings.ppl_rise:g} %"


def _splits(measured):
    return "; ".join(f"{split} {_scores(measured[split])}" for split in ("valid", "test") if split in measured)


def _scores(score):
    bleu = f", bleu {score['bleu']:.4f}, hyp_ppl {score['hyp_ppl']:.4f}" if "bleu" in score else ""
    return f"acc {_percent(score)}, ppl {score['perplexity']:.4f}{bleu}"


def _percent(score):
    return f"{100 * score['accuracy']:.4f} %"
