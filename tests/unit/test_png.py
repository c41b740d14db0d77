"""Where a figure cannot be written is said before anything is measured for it."""

import os

import pytest

from fairseq_prune.files.atomic import check_written
from fairseq_prune.report.png import check_png


def test_where_a_figure_goes(tmp_path, monkeypatch):
    check_png("--png", tmp_path / "new.png")
    (tmp_path / "folder.png").mkdir()
    wrong = {"a.pdf": "a PNG is written", "none/a.png": "no such folder", "folder.png": "is a folder"}
    for name, reason in wrong.items():
        with pytest.raises(ValueError, match=f"--png .*{name}: {reason}; give e.g. --png png.png"):
            check_png("--png", tmp_path / name)
    monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path)  # root may write everywhere
    with pytest.raises(ValueError, match="its folder cannot be written"):
        check_png("--png", tmp_path / "new.png")


def test_a_file_of_another_kind_is_not_written_over(tmp_path):
    check_written("--recipe", tmp_path / "a.yml", ".yaml", ".yml")
    with pytest.raises(ValueError, match=r"--recipe a.pt: a YAML is written; give e.g. --recipe recipe.yaml"):
        check_written("--recipe", "a.pt", ".yaml", ".yml")
