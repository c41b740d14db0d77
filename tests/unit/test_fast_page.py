"""scripts/fast_page.py: what docs/fast.md says of a report of `fairseq-prune bench`."""

import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def page():
    return runpy.run_path(str(ROOT / "scripts" / "fast_page.py"))


def row(name, runtime, beam, measured, bleu):
    return {
        "name": name, "runtime": runtime, "beam": beam, "batch_size": 128, "measured": measured, "bleu": bleu,
        "per_second": 100 * measured, "bytes": 4e6,
    }  # fmt: skip


def test_tables_and_what_is_fastest(page):
    """Seeds count as one point; a point more than one BLEU below the first row does not win, however fast."""
    rows = [
        row("dense", "fairseq", 5, 1.0, 41.0), row("dense", "ct", 5, 4.0, 40.9), row("dense", "ct", 1, 8.0, 40.1),
        row("cut-1-1", "ct", 5, 6.0, 40.2), row("cut-1-2", "ct", 5, 8.0, 39.8),
        row("cut-1-1", "ct", 1, 20.0, 39.0), row("cut-1-2", "ct", 1, 20.0, 39.4),
    ]  # fmt: skip
    text = page["written"]({"rows": rows, "threads": 1})
    assert "**dense in ct, beam 1 (8.0 x, BLEU 40.10)**." in text
    assert "keep the beam of 5: cut-1 in ct, beam 5 (7.0 x" in text
    assert "| cut-1 | - | 40.00 ± 0.28, 7.00 x | 39.20 ± 0.28, 20.00 x |" in text
    frontier = [line for line in text.splitlines() if line.endswith("| 4.00 |")]
    assert [line.split(" | ")[0] for line in frontier] == ["| dense", "| dense", "| dense", "| cut-1"]
    worse = [{**row, "bleu": row["bleu"] - 0.2 * (row["beam"] == 1)} for row in rows]
    assert "**cut-1 in ct, beam 5 (7.0 x" in page["written"]({"rows": worse, "threads": 1})


def test_the_page_has_a_place_for_it(page):
    text = (ROOT / "docs" / "fast.md").read_text()
    assert text.count(page["BEGIN"]) == text.count(page["END"]) == 1 and text.index(page["BEGIN"]) < text.index(
        page["END"]
    )
