"""Layout of tables: columns, shortened names, and the note on seeds below them."""

import re
import statistics
from collections.abc import Iterable, Iterator, Sequence

NAME_WIDTH = 60
Line = str | tuple[str, ...]  # a line of a table


def shorten(name: str) -> str:
    """Leave out the middle of a name that is too long for its column."""
    half = NAME_WIDTH // 2
    return name if len(name) <= NAME_WIDTH else name[: half - 1] + ".." + name[1 - half :]


def align(lines: Sequence[Line]) -> Iterator[str]:
    """Align cells in columns.

    Args:
        lines: list of tuples of str, all of one length, or single strings, which are left as they are.

    Returns:
        Iterator over str: the first cells are aligned to the left, the others to the right.
    """
    rows = [line for line in lines if not isinstance(line, str)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for line in lines:
        if isinstance(line, str):
            yield line
        else:
            rest = (cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True))
            yield "  ".join((line[0].ljust(widths[0]), *rest)).rstrip()


def over_seeds(found: Iterable[tuple[str, float]], said: str) -> list[str]:
    """Mean and sample standard deviation of values that differ only in their seed.

    Args:
        found: pairs of name and value; names that differ only in the number at their end, as run-1 and run-2, are one.
        said: text around the value, with braces in its place, e.g. ``"{} BLEU"``.

    Returns:
        A line for each run that has several seeds.

    Example:
        >>> over_seeds([("a-1", 1.0), ("a-2", 2.0), ("b", 9.0)], "{} %")
        ['a: 1.50 ± 0.71 % over 2 seeds']
    """
    values: dict[str, list[float]] = {}
    for name, value in found:
        if run := re.fullmatch(r"(.+)-\d+", name):
            values.setdefault(run[1], []).append(value)
    spreads = {run: f"{statistics.mean(v):.2f} ± {statistics.stdev(v):.2f}" for run, v in values.items() if len(v) > 1}
    return [f"{run}: {said.format(spread)} over {len(values[run])} seeds" for run, spread in spreads.items()]
