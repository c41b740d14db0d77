"""The report of ``fairseq-prune inspect`` as text, at most 120 columns wide."""

from .inspect import Report
from .layout import Line, align, shorten
from .training import render_training

HEADER = ("name", "shape", "parameters", "non-zero", "removed")
STRUCTURE = ("part", "units", "before", "now", "alive")
ALIVE = "before: any cut, as far as the file says it. alive: with weights that write the unit and weights that read it."
FOOTER = """\
removed: the fraction of elements that are exactly zero. "all parameters" covers everything stored, "prunable set"
the tensors marked * (those with two or more axes; of weight-normalised pairs, the direction). Tied tensors are
counted once; their other names are listed below them. In a dense model, an embedding's padding row may be zero."""


def _cells(row, label=None, prefix="", mark=" "):
    """One line of the table: from a tensor's dict or, under ``label``, from the totals."""
    params, nonzero, removed = (row[prefix + key] for key in ("params", "nonzero", "fraction_removed"))
    shape = "x".join(map(str, row.get("shape", ())))
    return (shorten(label or row["name"]), shape, f"{params:,}", f"{nonzero:,}", f"{removed:.4f}{mark}")


def _summary(total):
    """Yield the lines with what is not in a tensor's row."""
    source, target = total["lengths"]
    macs = "-" if total["macs"] is None else f"{total['macs']:,}"
    reading = f"{source} source, {target} target tokens; family {total['family'] or '-'}"
    yield f"removed by masks    {total['masked']:,}"
    yield f"MACs                {macs}  ({reading})"
    if "legacy_flops" in total:
        yield f"legacy FLOPs        {total['legacy_flops']:,}  (SRP's own formula; {source} tokens on both sides)"
    yield from render_training(total)
    yield f"file                {total['bytes']:,} bytes  (architecture {total['arch'] or '-'})"


def _structure(rows):
    """Lines with the units of every part; none for a model whose parts are not known."""
    if not rows:
        return []
    lines: list[Line] = [STRUCTURE]
    for row in rows:
        counts = ("-" if row[key] is None else f"{row[key]:,}" for key in STRUCTURE[2:])
        lines.append((shorten(row["name"]), row["units"], *counts))
    return ["", *align(lines), ALIVE, ""]


def render(report: Report) -> str:
    """Lay out a report for a terminal.

    Args:
        report: from :func:`~.inspect.inspect_checkpoint`.

    Returns:
        Text of several lines, without a newline at the end.
    """
    total = report["total"]
    lines: list[Line] = [(*HEADER[:-1], HEADER[-1] + " ")]
    prunable = set(total["prunable"])
    for row in report["tensors"]:
        lines.append(_cells(row, mark="*" if row["name"] in prunable else " "))
        lines.extend(f"  = {alias}" for alias in total["tied"].get(row["name"], ()))
    lines += ["", _cells(total, "prunable set", "prunable_"), _cells(total, "all parameters")]
    return "\n".join((*align(lines), *_structure(report["structure"]), *_summary(total), "", FOOTER))
