"""Files are whole or not there, a full disk leaves nothing behind, and damage is named."""

import errno
import json
import os
import subprocess
import sys

import pytest
import torch

from fairseq_prune.files.atomic import atomic_file, copy_atomically, write_text
from fairseq_prune.files.json_file import read_json, read_sealed, write_json, write_sealed
from fairseq_prune.files.locks import LOCK, Taken, one_writer, open_locked
from fairseq_prune.files.messages import one_line, say_which
from fairseq_prune.files.records import Records


def names(folder):
    return sorted(path.name for path in folder.iterdir())


class TestWholeFile:
    def test_appears_at_the_end(self, tmp_path):
        path = tmp_path / "new" / "a"
        with atomic_file(path) as file:
            file.write(b"content")
            assert names(path.parent) == ["a.tmp"] and file.name == f"{path}.tmp"
        assert names(path.parent) == ["a"] and path.read_bytes() == b"content"

    def test_an_error_keeps_the_old(self, tmp_path):
        write_text(tmp_path / "a", "old")
        with pytest.raises(ZeroDivisionError), atomic_file(tmp_path / "a") as file:
            file.write(b"new")
            raise ZeroDivisionError
        assert names(tmp_path) == ["a"] and (tmp_path / "a").read_text() == "old"

    @pytest.mark.parametrize(
        "write", [lambda file: file.write(bytes(200_000)), lambda f: torch.save(torch.ones(99_999), f)]
    )
    def test_a_full_disk(self, tmp_path, small_disk, write):
        write_text(tmp_path / "a", "old")
        small_disk(100_000)
        with pytest.raises(OSError) as caught, atomic_file(tmp_path / "a") as file:
            write(file)
        assert caught.value.errno == errno.EFBIG and caught.value.filename == str(tmp_path / "a")
        assert names(tmp_path) == ["a"] and (tmp_path / "a").read_text() == "old"

    def test_reaches_the_disk_before_its_name(self, tmp_path, monkeypatch):
        calls, fsync, replace = [], os.fsync, os.replace
        monkeypatch.setattr(
            os,
            "fsync",
            lambda handle: calls.append(os.path.basename(os.readlink(f"/proc/self/fd/{handle}"))) or fsync(handle),
        )
        monkeypatch.setattr(os, "replace", lambda *paths: calls.append("rename") or replace(*paths))
        write_text(tmp_path / "a", "text")
        assert calls == ["a.tmp", "rename", tmp_path.name]

    def test_what_a_killed_writer_left_is_overwritten(self, tmp_path):
        (tmp_path / "a.tmp").write_text("half of a longer file")
        write_text(tmp_path / "a", "whole")
        assert names(tmp_path) == ["a"] and (tmp_path / "a").read_text() == "whole"

    @pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
    def test_replaces_nothing_but_files(self, tmp_path, make):
        make(tmp_path / "a")
        with pytest.raises(FileExistsError, match="is not a file"), atomic_file(tmp_path / "a"):
            pass
        assert names(tmp_path) == ["a"]

    def test_copies(self, tmp_path):
        (tmp_path / "a").write_bytes(b"content")
        copy_atomically(tmp_path / "a", tmp_path / "b")
        assert (tmp_path / "b").read_bytes() == b"content"


HOLD = """
import sys
from fairseq_prune.files.locks import one_writer
with one_writer(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


WRITE = "import sys; from fairseq_prune.files.atomic import write_text; write_text(sys.argv[1], '')"


class TestOneWriter:
    @pytest.fixture
    def holder(self, tmp_path):
        """Another process that writes in the folder."""
        process = subprocess.Popen(
            [sys.executable, "-c", HOLD, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()
        process.communicate()

    def test_a_second_is_refused_by_name(self, holder, tmp_path):
        with pytest.raises(Taken) as caught, one_writer(tmp_path):
            pass
        message = say_which(caught.value, {"--save-dir": str(tmp_path)})
        assert message.startswith(f"--save-dir {tmp_path}: process {holder.pid} on ")
        assert "; let it end or stop it, or give another place, e.g. --save-dir checkpoints/" in message

    @pytest.mark.parametrize("end", ["kill", "communicate"])
    def test_the_dead_hold_nothing(self, holder, tmp_path, end):
        getattr(holder, end)()
        holder.wait()
        assert names(tmp_path) == ([LOCK] if end == "kill" else [])
        with one_writer(tmp_path):
            assert str(os.getpid()) in (tmp_path / LOCK).read_text()
        assert names(tmp_path) == []

    def test_of_a_file(self, tmp_path):
        with open_locked(tmp_path / "a.tmp"):
            done = subprocess.run(
                [sys.executable, "-c", WRITE, tmp_path / "a"], capture_output=True, text=True, check=False
            )
        assert "Taken: [Errno 16] another process writes there" in done.stderr and names(tmp_path) == ["a.tmp"]


class TestMessages:
    def test_one_line(self):
        assert one_line("a\nb\x1b[1m\udcff ü") == r"a\nb\x1b[1m\udcff ü"

    @pytest.mark.parametrize(
        ("path", "number", "message"),
        [
            ("save/round-1/checkpoint_last.pt", errno.ENOSPC,
             "--save-dir save: round-1/checkpoint_last.pt: No space left on device; free some space, or give another "
             "place, e.g. --save-dir checkpoints/save"),
            ("save", errno.EEXIST,
             "--save-dir save: File exists; give a place that can be written, e.g. --save-dir checkpoints/save"),
            ("out/a.pt", errno.EROFS,
             "OUT out/a.pt: Read-only file system; give a place that can be written, e.g. checkpoints/a.pt"),
            ("elsewhere", errno.EROFS, None),
            (None, errno.EROFS, None),
        ],
    )  # fmt: skip
    def test_names_the_option(self, path, number, message):
        error = OSError(number, os.strerror(number), path)
        assert say_which(error, {"--save-dir": "save", "OUT": "out/a.pt", "--seed": 1, "--data": None}) == message


def flip(path, old, new):
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new, 1))


class TestJson:
    def test_comes_back(self, tmp_path):
        content = {"a": [1.5, float("inf")], "b": {1: None}, "c": (True, "ü")}
        write_sealed(tmp_path / "a", content)
        assert read_sealed(tmp_path / "a") == json.loads(json.dumps(content))
        assert read_sealed(tmp_path / "b") is None

    def test_no_bare_nan(self, tmp_path):
        write_json(tmp_path / "a", {"a": [float("nan"), (float("inf"), 1.0)]})
        assert read_json(tmp_path / "a") == {"a": [None, [None, 1.0]]}

    @pytest.mark.parametrize(
        "damage",
        [b"", b"{", b"[1]", b"3", b"\xff\xfe", b"[" * 100_000, b'{"a": 1, "crc32": 5}', b"9" * 5000],
    )
    def test_damage_is_named(self, tmp_path, damage):
        (tmp_path / "base.json").write_bytes(damage)
        with pytest.raises(
            ValueError, match=r"base\.json: damaged, .*; remove it to have it made again, or give a new"
        ):
            read_sealed(tmp_path / "base.json")

    def test_a_changed_digit(self, tmp_path):
        write_sealed(tmp_path / "a.json", {"accuracy": 0.25})
        flip(tmp_path / "a.json", b"0.25", b"0.75")
        with pytest.raises(ValueError, match=r"a\.json: damaged, its values"):
            read_sealed(tmp_path / "a.json")

    def test_files_of_earlier_versions_have_no_checksum(self, tmp_path):
        (tmp_path / "a").write_text('{"accuracy": 0.25}')
        assert read_sealed(tmp_path / "a") == {"accuracy": 0.25}


class TestRecords:
    HEADER = {"seed": 1, "groups": {"a": 3}}

    def make(self, folder):
        return Records(folder / "rounds.jsonl", self.HEADER, key=("round",))

    def test_come_back(self, tmp_path):
        self.make(tmp_path).add({"round": 0, "removed": 0.25})
        assert self.make(tmp_path).get(0) == {"round": 0, "removed": 0.25} and self.make(tmp_path).get(1) is None

    @pytest.mark.parametrize(("old", "new"), [(b"0.25", b"0.75"), (b'"round"', b'"mound"'), (b"{", b"(")])
    def test_damage_is_named(self, tmp_path, old, new):
        self.make(tmp_path).add({"round": 0, "removed": 0.25})
        flip(tmp_path / "rounds.jsonl", old, new)
        with pytest.raises(ValueError, match=r"rounds\.jsonl: damaged, "):
            self.make(tmp_path)

    def test_a_full_disk_is_named_and_the_rest_stays(self, tmp_path, small_disk):
        records = self.make(tmp_path)
        records.add({"round": 0})
        small_disk(100_000)
        with pytest.raises(OSError) as caught:
            records.add({"round": 1, "long": "x" * 200_000})
        assert caught.value.filename == tmp_path / "rounds.jsonl"
        assert self.make(tmp_path).get(0) == {"round": 0}
