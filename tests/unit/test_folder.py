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
    (path.parent / ".out.old").mkdir()
    (path.parent / ".out.old" / "left").write_text("by a process that was killed")
    fill(path, "second")
    assert [p.name for p in path.iterdir()] == ["sign"] and (path / "sign").read_text() == "second"
    assert [p.name for p in path.parent.iterdir()] == ["out"]


def test_an_error_leaves_what_was_there(tmp_path):
    fill(tmp_path / "out", "first")
    with pytest.raises(ZeroDivisionError), whole_folder(tmp_path / "out") as folder:
        (tmp_path / folder / "sign").write_text("half")
        1 / 0  # noqa: B018
    assert [p.name for p in tmp_path.iterdir()] == ["out"] and (tmp_path / "out" / "sign").read_text() == "first"


@pytest.mark.parametrize("kind", ["old", "tmp"])
def test_folders_beside_it_are_their_owners(tmp_path, kind):
    """As of ``mv out out.old``."""
    (tmp_path / f"out.{kind}").mkdir()
    fill(tmp_path / "out", "first")
    fill(tmp_path / "out", "second")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", f"out.{kind}"]


def test_what_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError) as error, whole_folder(tmp_path / "file" / "out"):
        pass
    assert error.value.filename == str(tmp_path / "file" / "out")


def test_nothing_is_no_folder():
    """Its absolute path would be that of the current one, with all that is in it."""
    with pytest.raises(ValueError, match="so it is not replaced"):
        require_replaceable("", "sign")


def test_only_its_own_kind_is_replaced(tmp_path):
    require_replaceable(tmp_path / "new", "sign")
    with pytest.raises(ValueError, match="not a folder with sign, so it is not replaced"):
        require_replaceable(tmp_path, "sign")
    fill(tmp_path / "out", "first")
    require_replaceable(tmp_path / "out", "sign")
