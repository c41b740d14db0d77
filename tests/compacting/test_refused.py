"""What `fairseq-prune compact` refuses: a cut that computes something else, mistakes, no place for the file."""

import re
from dataclasses import replace

import pytest
from commands import refused

from fairseq_prune.cli.main import main
from fairseq_prune.deploy.compactors import COMPACTORS

OFF = r"differ by \d\.\d+e-\d+ of the largest one, more than 1e-06; nothing"
WRONG = {1e-3: OFF, float("nan"): "not finite"}


@pytest.mark.parametrize("error", WRONG)
def test_a_wrong_cut_is_refused_and_leaves_no_file(rows, tmp_path, monkeypatch, error):
    """The negative control of the comparison: one weight of the cut model is a little off."""
    right = COMPACTORS["transformer"]

    def wrong(checkpoint):
        cut, removed = right.compact(checkpoint)
        cut["model"]["encoder.layers.0.fc2.weight"][0, 0] += error
        return cut, removed

    monkeypatch.setitem(COMPACTORS, "transformer", replace(right, compact=wrong))
    with pytest.raises(SystemExit, match=WRONG[error]):
        main(["compact", str(rows.folder / "checkpoint_last.pt"), str(tmp_path / "compact.pt")])
    assert not list(tmp_path.iterdir())


def test_mistakes_end_in_one_line(rows, stock, tmp_path):
    path, out = rows.folder / "checkpoint_last.pt", tmp_path / "compact.pt"
    assert "is CHECKPOINT itself" in refused("compact", path, path, "--overwrite")
    assert "no such file" in refused("compact", tmp_path / "missing.pt", out)
    assert re.search("--data .*nowhere: no such folder", refused("compact", path, out, "--data", tmp_path / "nowhere"))
    assert "no train.SRC-TGT files" in refused("compact", path, out, "--data", tmp_path)
    assert "--batches 0" in refused("compact", path, out, "--batches", "0")
    assert "nothing to cut" in refused("compact", stock.folder / "checkpoint_last.pt", out)
    out.write_text("mine")
    assert "exists; give another name or --overwrite" in refused("compact", path, out)
    assert [p.read_text() for p in tmp_path.iterdir()] == ["mine"]


def test_a_full_disk(rows, tmp_path, small_disk):
    out = tmp_path / "compact.pt"
    out.write_text("old")
    small_disk(10_000)
    line = refused("compact", rows.folder / "checkpoint_last.pt", out, "--overwrite")
    assert line == f"OUT {out}: File too large; free some space, or give another place, e.g. checkpoints/compact.pt"
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


@pytest.mark.parametrize("place", ["file/compact.pt", "folder"])
def test_no_place_for_a_file(rows, tmp_path, place):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    line = refused("compact", rows.folder / "checkpoint_last.pt", tmp_path / place, "--overwrite")
    assert line.startswith(f"OUT {tmp_path / place}: ") and "; give a" in line and ", e.g. " in line
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "folder"]
