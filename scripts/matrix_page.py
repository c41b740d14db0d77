#!/usr/bin/env python3
"""Write docs/matrix.md: small models are pruned by every method with all units, and the tests' own tables are asked.

python3 scripts/matrix_page.py
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / place) for place in ("tests", "tests/run", "benchmarks", "scripts")]

from combinations import ALL_UNITS, FAMILIES, PRUNING, TITLES, WIDTH, families, options_of, prune  # noqa: E402
from methods_page import table  # noqa: E402
from soak_runs import made_runs  # noqa: E402

from fairseq_prune.engine.make_plan import make_plan  # noqa: E402
from fairseq_prune.files.atomic import write_text  # noqa: E402
from fairseq_prune.methods.table import METHODS, names_of_methods  # noqa: E402
from fairseq_prune.pruning.units import UNITS, is_coupled, parse_units  # noqa: E402

PAGE = ROOT / "docs" / "matrix.md"
SINGLE_FIRST = sorted(ALL_UNITS, key=lambda unit: unit in UNITS and is_coupled(parse_units(unit)))
HEAD = """# What works where

This page shows every method with all units (`--prune-units`) for three families of models. It is written by
`scripts/matrix_page.py`, which prunes small models that have lost single weights before. Tests repeat this and compare
the page with the result (`tests/run/test_nothing_comes_back.py`, e.g.
`test_old_zeros_stay_and_the_count_is_exact[transformer-magnitude]`).

✓: the exact count is removed, and weights removed before stay removed (`set` and `rigl` move them). Empty: refused
before training, with a line that names an option and what to give instead. The terms are explained in
[how it works](how-it-works.md#the-vocabulary), the methods in [methods](methods.md). A model of no family has the
units of single tensors: `weight`, `row`, `column`, `block`, `2:4` (`tests/run/test_families.py`).
"""
CUT = """
## Cut out, or masked

cut: the tensors get smaller, in the run where shapes can change ([cutting](how-it-works.md#cutting)), otherwise with
`fairseq-prune compact`. masked: zeros in tensors of the original shape.
"""
WIDTHS = """
In models with connectivity (`--arch srp_transformer`), units `width` are cut by {}, with any importance
(`tests/run/test_srp_methods.py`).
"""
RESUMED = """
## Interrupted and resumed

Every method is among the runs that `make soak` kills at random moments and resumes; each has to end bit for bit like an
uninterrupted run ([reliability](reliability.md)). `tests/run/test_soak.py` checks that no method is missing. Other
tests stop runs at chosen updates: in `tests/run`, `test_methods.py`, `test_layers.py`, `test_coupled_units.py`,
`test_recurrent_cut.py`, `test_srp_resume.py`, and those of `tests/vision`.
"""


def combination(family, method, units, averaged=True):
    """Prune a small model: None if it is refused, else whether it got smaller."""
    try:
        left, _ = prune(family, make_plan(options_of(method, units)), averaged)
    except ValueError:
        return None
    return sum(keep.numel() for keep in left.values()) < sum(value.numel() for value in family[0].parameters())


def works(family):
    """Dict of method -> units that it removes from a model of the family, in the order of the units."""
    return {m: [u for u in SINGLE_FIRST if combination(family, m, u) is not None] for m in PRUNING}


def works_table(found):
    """The methods that can remove the same units share a row."""
    units = [unit for unit in SINGLE_FIRST if any(unit in of_method for of_method in found.values())]
    rows = {}
    for method, of_method in found.items():
        rows.setdefault(tuple(of_method), []).append(f"`{method}`")
    alike = [[", ".join(names), *("✓" if u in row else "" for u in units)] for row, names in rows.items() if row]
    return table(["method", *(f"`{unit}`" for unit in units)], alike)


def cut_table(models, found):
    """What becomes of each kind of units in each family."""
    rows = []
    for unit in SINGLE_FIRST:
        cells = [_what_is_left(models[family], found[family], unit) for family in FAMILIES]
        if any(cells):
            rows.append([f"`{unit}`", *cells])
    return table(["units", *TITLES.values()], rows)


def _what_is_left(family, found, unit):
    method = next((name for name, units in found.items() if unit in units), None)
    if method is None:
        return ""
    return "cut" if combination(family, method, unit, averaged=False) else "masked"


def resumed_table():
    """Of each method, the models that `make soak` trains with it."""
    models = {}
    for run in made_runs():
        words = [word for command in run.commands for word in command.words]
        for name in {word for word in words if word in METHODS} or {run.kind} & METHODS.keys():
            models.setdefault(id(METHODS[name]), []).append(run.kind.replace("imp", "CNN by `fairseq-prune imp`"))
    rows = [[f"`{name}`", ", ".join(dict.fromkeys(models[id(METHODS[name])]))] for name in first_names()]
    return table(["method", "killed and resumed on"], rows)


def first_names():
    """Of every row of the table of methods, the first name."""
    return list({id(METHODS[name]): name for name in reversed(names_of_methods())}.values())[::-1]


def page():
    """The page's text; takes half a minute."""
    models = families()
    found = {name: works(family) for name, family in models.items()}
    parts = [f"\n## {TITLES[name]}\n\n{works_table(found[name])}" for name in FAMILIES]
    widths = ", ".join(f"`{name}`" for name in first_names() if METHODS[name].units == WIDTH)
    cut = CUT + "\n" + cut_table(models, found) + WIDTHS.format(widths)
    return HEAD + "".join(parts) + cut + RESUMED + "\n" + resumed_table()


if __name__ == "__main__":
    write_text(PAGE, page())
