"""The report of ``fairseq-prune inspect`` on a model for which the cost of every layer is known."""

from collections.abc import Mapping
from typing import Any

from .inspect import Report
from .layout import align, shorten
from .training import render_training

HEADER = ("layer", "shape", "weights", "non-zero", "removed", "MACs", "non-zero MACs")
FOOTER = """\
removed: fraction of the weights that are exactly zero; overall: of all parameters but biases. Non-zero MACs leave
out the products with these. Biases, norms, activations and pooling have no MACs here."""


def describe_layers(report: Report, description: Mapping[str, Any]) -> Report:
    """Add to a report what only the built model shows.

    Args:
        report: from :func:`~.inspect.inspect_checkpoint`; not modified.
        description: ``{"total": {...}, "layers": [...]}``, or {}.

    Returns:
        The report with ``"layers"``, and with totals added or replaced.
    """
    if not description:
        return report
    return {**report, "total": report["total"] | description["total"], "layers": description["layers"]}


def render_layers(report: Report) -> str:
    """Lay out a report for a terminal.

    Args:
        report: from :func:`describe_layers`, with layers.

    Returns:
        Text of several lines, without a newline at the end.
    """
    total, layers = report["total"], report["layers"]
    lines = [HEADER, *(_cells(layer) for layer in layers)]
    sums = {key: sum(layer[key] for layer in layers) for key in ("params", "nonzero")}
    removed = 1 - sums["nonzero"] / sums["params"] if sums["params"] else 0.0
    everything = {**sums, "macs": total["macs"], "nonzero_macs": total["nonzero_macs"], "fraction_removed": removed}
    lines += ["", _cells({"name": "all layers", "shape": (), **everything})]
    filters = [row for row in report["structure"] if row["units"] == "filters"]
    return "\n".join((*align(lines), "", *_summary(total, filters), "", FOOTER))


def _cells(layer):
    counts = [f"{layer[key]:,}" for key in ("params", "nonzero", "macs", "nonzero_macs")]
    counts.insert(2, f"{layer['fraction_removed']:.4f}")
    return (shorten(layer["name"]), "x".join(map(str, layer["shape"])), *counts)


def _summary(total, filters):
    """Yield the lines with what is not a sum over layers."""
    without = f"{total['params_without_norms']:,} without norms"
    yield f"parameters          {total['params']:,}  ({without}; {total['nonzero']:,} non-zero)"
    kinds = {"": "of all parameters", "overall_": "overall", "conv_": "of convolutions alone"}
    removed = ", ".join(f"{total[f'{kind}fraction_removed']:.4f} {label}" for kind, label in kinds.items())
    yield f"removed             {removed}; by masks {total['masked']:,}"
    now, alive = (sum(row[key] for row in filters) for key in ("now", "alive"))
    yield f"filters             {now:,}, of which {alive:,} have weights"
    if "nodes" in total:
        yield f"nodes               {total['nodes']:,}, and {total['dead_nodes']:,} that nothing writes or nobody reads"
    yield from render_training(total)
    yield f"image               {'x'.join(map(str, total['image']))}, {total['classes']} classes"
    yield f"file                {total['bytes']:,} bytes  (architecture {total['arch'] or '-'})"
