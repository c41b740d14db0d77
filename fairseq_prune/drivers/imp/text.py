"""The report of an IMP run as text."""

from collections.abc import Sequence
from typing import Any

from ...report.layout import align

SHOWN = ("top1", "accuracy", "perplexity", "bleu", "hm")


def render(records: Sequence[dict[str, Any]]) -> str:
    """A table of the rounds.

    Args:
        records: what :meth:`~.rounds.ImpRun.run` returns.

    Returns:
        Lines of text, str; accuracies in %.
    """
    columns = [name for name in records[-1]["quality"] if name.partition("_")[2] in SHOWN]
    lines = [("round", "removed", "weights left", *(name.replace("_", " ") for name in columns))]
    for record in records:
        left = record["prunable"] - record["pruned"]
        found = (record["quality"].get(name) for name in columns)  # the dense one has no harmonic mean
        cells = ("-" if value is None else f"{value:.4f}" for value in found)
        lines.append((str(record["round"]), f"{record['removed']:.4f}", f"{left:,}", *cells))
    return "\n".join([*align(lines), f"the last one: {records[-1]['checkpoint']}"])
