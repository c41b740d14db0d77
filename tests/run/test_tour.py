"""docs/tour.ipynb, its cells one after the other in one namespace."""

import json
import logging
import re
import tempfile
from pathlib import Path

import pytest
from conftest import reset_fairseq

NOTEBOOK = Path(__file__).parents[2] / "docs" / "tour.ipynb"


@pytest.fixture
def as_it_was():
    reset_fairseq()
    yield
    reset_fairseq()
    logging.disable(logging.NOTSET)


def test_the_tour(as_it_was, tmp_path, monkeypatch, capsys):
    """What it prints: a cut model is smaller, gradual is better than at once, and the exported one counts on."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    cells = [cell for cell in json.loads(NOTEBOOK.read_text())["cells"] if cell["cell_type"] == "code"]
    assert not any(cell["outputs"] for cell in cells)
    names = {}
    for number, cell in enumerate(cells):
        exec(compile("".join(cell["source"]), f"{NOTEBOOK.name}, cell {number}", "exec"), names)
    printed = capsys.readouterr().out
    rows = re.findall(r"^(\w[\w ]*?) +([\d.]+) +([\d,]+) +([\d,]+) +([\d,]+)$", printed, re.MULTILINE)
    table = {name: [float(cell.replace(",", "")) for cell in cells] for name, *cells in rows}
    assert [*table] == ["dense", "longer", "at once", "gradual", "masked"]
    perplexity, parameters, left, macs = map(dict, zip(*([(n, v) for v in r] for n, r in table.items()), strict=True))
    assert perplexity["dense"] < perplexity["at once"] > perplexity["gradual"] and max(perplexity.values()) < 8
    assert parameters["gradual"] == parameters["at once"] < parameters["dense"] == parameters["masked"]
    assert left["masked"] < 0.21 * left["dense"] and macs["gradual"] < macs["dense"] == macs["masked"]
    assert printed.splitlines()[-1].startswith("w11 w12 w13 w14 w15")
