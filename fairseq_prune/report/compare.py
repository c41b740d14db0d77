"""Comparing two checkpoints: what pruning saved."""

from typing import Any

from .inspect import Report
from .layout import align, shorten

COUNTS = {
    "params": "parameters",
    "params_without_norms": "parameters without norms",
    "nonzero": "non-zero parameters",
    "macs": "MACs",
    "nonzero_macs": "non-zero MACs",
    "nodes": "nodes",
    "dead_nodes": "dead nodes",
    "bytes": "file bytes",
}
REMOVED = {"": "of all parameters", "overall_": "overall (all but biases)", "conv_": "of convolutions alone"}


def compare(original: Report, pruned: Report) -> dict[str, Any]:
    """Put two reports side by side.

    Args:
        original: from :func:`~.inspect.inspect_checkpoint`, with or without layers.
        pruned: the same for the pruned model.

    Returns:
        ``{"original": ..., "pruned": ..., "ratios": {...}}``. The ratios are original / pruned: ``speedup`` of MACs,
        ``nonzero_speedup`` of the original's MACs to the pruned model's non-zero MACs, ``compression`` of parameters,
        ``compression_without_norms``; and the fractions of the original's elements that are zero or removed:
        ``fraction_removed``, ``overall_fraction_removed``, ``conv_fraction_removed``. Ratios for which a report lacks
        a number are left out.
    """
    before, after = original["total"], pruned["total"]
    pairs = {
        "speedup": (before.get("macs"), after.get("macs")),
        "nonzero_speedup": (before.get("macs"), after.get("nonzero_macs")),
        "compression": (before["params"], after["params"]),
        "compression_without_norms": (before.get("params_without_norms"), after.get("params_without_norms")),
    }
    ratios = {name: whole / left for name, (whole, left) in pairs.items() if whole and left}
    for kind in REMOVED:
        whole, left = before.get(f"{kind}params"), after.get(f"{kind}nonzero")
        if whole and left is not None:
            ratios[f"{kind}fraction_removed"] = 1 - left / whole
    return {"original": original, "pruned": pruned, "ratios": ratios}


def render_comparison(comparison: dict[str, Any]) -> str:
    """Lay out a comparison for a terminal.

    Args:
        comparison: from :func:`compare`.

    Returns:
        Text of several lines, without a newline at the end.
    """
    original, pruned, ratios = (comparison[key] for key in ("original", "pruned", "ratios"))
    lines = []
    if "layers" in original and "layers" in pruned:
        lines = [("MACs of layer", "original", "pruned", "ratio"), *_layers(original["layers"], pruned["layers"]), ""]
    lines.append(("total", "original", "pruned", "ratio"))
    for key, label in COUNTS.items():
        counts = original["total"].get(key), pruned["total"].get(key)
        if None not in counts:
            lines.append(_cells(label, *counts))
    return "\n".join((*align(lines), "", *_summary(ratios)))


def _layers(original, pruned):
    after = {layer["name"]: layer for layer in pruned}
    for layer in original:
        yield _cells(shorten(layer["name"]), layer["macs"], after.get(layer["name"], {}).get("macs"))


def _cells(label, before, after):
    if after is None:
        return (label, f"{before:,}", "-", "-")
    return (label, f"{before:,}", f"{after:,}", f"{after / before:.4f}" if before else "-")


def _summary(ratios):
    """Yield the lines with the ratios."""
    if "speedup" in ratios:
        more = f"  ({ratios['nonzero_speedup']:.4f}x if zeros cost nothing)" if "nonzero_speedup" in ratios else ""
        yield f"speedup (MACs)      {ratios['speedup']:.4f}x{more}"
    without = ratios.get("compression_without_norms")
    more = f"  ({without:.4f}x without norms)" if without else ""
    yield f"compression         {ratios['compression']:.4f}x{more}"
    removed = {label: ratios[name] for kind, label in REMOVED.items() if (name := f"{kind}fraction_removed") in ratios}
    yield "zero or removed     " + ", ".join(f"{value:.4f} {label}" for label, value in removed.items())
