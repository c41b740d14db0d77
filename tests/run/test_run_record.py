"""run.json: how every start of a run came about."""

import json
import subprocess

import pytest

from fairseq_prune.engine.run_record import source_revision


def test_every_start_is_added(new_image_run):
    run = new_image_run()
    run.train("--max-update", "4", "--seed", "7")
    run.train("--max-update", "8", "--seed", "7")
    first, second = json.loads((run.folder / "run.json").read_text())
    assert first["command"].startswith("fairseq-train synthetic --user-dir") and "--max-update 8" in second["command"]
    assert (first["epoch"], second["epoch"]) == (1, 2)  # four updates are an epoch
    assert first["config"]["common"]["seed"] == 7 and first["config"]["optimization"]["max_update"] == 4
    assert first["config"]["model"]["arch"] == "resnet8" and second["config"]["optimization"]["max_update"] == 8
    assert first["source"] is None or len(first["source"].removesuffix("-dirty")) == 40
    assert not list(run.folder.glob("*.tmp"))


DAMAGED = {
    "empty": (b"", "no JSON"),
    "cut off": (b'[{"time": "2026-', "no JSON"),
    "no text": (b"\xff\xfe\x00", "no JSON"),
    "nested": (b"[" * 100_000, "no JSON"),
    "a dict": (b'{"time": 1}', "no list of starts"),
    "a list of others": (b"[1]", "no list of starts"),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_a_damaged_record_stops_nothing(new_image_run, caplog, kind):
    content, reason = DAMAGED[kind]
    run = new_image_run()
    run.folder.mkdir()
    (run.folder / "run.json").write_bytes(content)
    run.train("--max-update", "1")
    (start,) = json.loads((run.folder / "run.json").read_text())
    assert start["epoch"] == 1 and (run.folder / "run.json.damaged").read_bytes() == content
    (said,) = [record.message for record in caplog.records if "run.json" in record.message]
    assert reason in said and "kept as" in said and "\n" not in said


def test_a_record_that_cannot_be_written_stops_nothing(new_image_run, caplog):
    run = new_image_run()
    (run.folder / "run.json").mkdir(parents=True)
    run.train("--max-update", "1")
    assert any("run.json: not written" in record.message for record in caplog.records)


def test_nothing_is_saved_with_no_save(new_image_run):
    run = new_image_run()
    with pytest.raises(ValueError, match="no such file"):  # by the fixture, which looks for a checkpoint
        run.train("--max-update", "1", "--no-save")
    assert not (run.folder / "run.json").exists()


def test_source_revision(tmp_path):
    """A clean commit, a changed file, and a package that is not git's, or inside of a repository that ignores it."""

    def git(*words):
        names = ["-c", "user.name=a", "-c", "user.email=a@b"]
        return subprocess.run(
            ["git", "-C", tmp_path, *names, *words], check=True, capture_output=True, text=True
        ).stdout

    package, other = tmp_path / "package", tmp_path / "site-packages"
    for folder in (package, other):
        folder.mkdir()
        (folder / "__init__.py").write_text("")
    assert source_revision.__wrapped__(package) is None
    git("init", "-q")
    git("add", "package")
    git("commit", "-qm", "one")
    commit = git("rev-parse", "HEAD").strip()
    assert source_revision.__wrapped__(package) == commit and source_revision.__wrapped__(other) is None
    (package / "__init__.py").write_text("changed")
    assert source_revision.__wrapped__(package) == f"{commit}-dirty"
