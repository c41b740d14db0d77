"""Folders are whole or what they were."""

import pytest

from fairseq_prune.files.folder import require_replaceable, whole_folder


def fill(path, text):
    with whole_folder(path) as folder:
        (path.parent / folder / "sign").write_text(text)
        assert path.parent == (path.parent / folder).parent  # so that it can be renamed


def test_a_folder_is_made_and_replaced(tmp_path):
    path = tmp_path / "deep" / "out"
    fill(path, "first")
    (path / "more").write_text("of the first")
    (path.parent / "out.old").mkdir()
    (path.parent / "out.old" / "left").write_text("by a process that was killed")
    fill(path, "second")
    assert [p.name for p in path.iterdir()] == ["sign"] and (path / "sign").read_text() == "second"
    assert [p.name for p in path.parent.iterdir()] == ["out"]


def test_an_error_leaves_what_was_there(tmp_path):
    fill(tmp_path / "out", "first")
    with pytest.raises(ZeroDivisionError), whole_folder(tmp_path / "out") as folder:
        (tmp_path / folder / "sign").write_text("half")
        1 / 0  # noqa: B018
    assert [p.name for p in tmp_path.iterdir()] == ["out"] and (tmp_path / "out" / "sign").read_text() == "first"


def test_only_its_own_kind_is_replaced(tmp_path):
    require_replaceable(tmp_path / "new", "sign")
    with pytest.raises(ValueError, match="not a folder with sign, so it is not replaced"):
        require_replaceable(tmp_path, "sign")
    fill(tmp_path / "out", "first")
    require_replaceable(tmp_path / "out", "sign")
