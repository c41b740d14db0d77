"""Files of fairseq-preprocess that a copy cut short or that are of something else: named when they are opened."""

import os
import shutil

import pytest
from conftest import USER_DIR, run_fairseq
from fairseq.data import Dictionary, indexed_dataset
from fairseq.data.data_utils import load_indexed_dataset

from fairseq_prune.errors import DamagedData


@pytest.fixture
def data(parallel, tmp_path, monkeypatch):
    monkeypatch.chdir(shutil.copytree(parallel, tmp_path / "data"))
    return "train.de-en.de"


def cut(by):
    return lambda path: os.truncate(path, os.path.getsize(path) - by)


def emptied(path):
    os.truncate(path, 0)


def overwritten(path):
    with open(path, "r+b") as file:
        file.write(b"something else")


@pytest.mark.parametrize(
    "kind, damage, said",
    [
        ("idx", emptied, "train.de-en.de.idx: is not an index"),
        ("idx", overwritten, "train.de-en.de.idx: is not an index"),
        ("idx", cut(1), "train.de-en.de.idx: is cut short"),
        ("bin", emptied, "train.de-en.de.bin: is cut short, or not of train.de-en.de.idx"),
        ("bin", cut(1), "train.de-en.de.bin: is cut short, or not of train.de-en.de.idx"),
    ],
)
def test_numbers(data, kind, damage, said):
    assert len(load_indexed_dataset(data)) == 120
    damage(f"{data}.{kind}")
    with pytest.raises(DamagedData, match=f"^{said}$"):
        load_indexed_dataset(data)


def test_no_sequences(data):
    indexed_dataset.make_builder("none.bin", "mmap", 10).finalize("none.idx")
    with pytest.raises(DamagedData, match="^none.idx: has no sequence in it$"):
        load_indexed_dataset("none")


@pytest.mark.parametrize("content", [b"a line without a count\n", b"\xff\xfe\n"])
def test_dictionary(data, content):
    with open("dict.de.txt", "wb") as file:
        file.write(content)
    with pytest.raises(
        DamagedData, match="^dict.de.txt: is not a dictionary, which has a word and its count on each line$"
    ):
        Dictionary.load("dict.de.txt")
    line = r"DATA \.: \./dict\.de\.txt: is not a dictionary, .*; make it again with fairseq-preprocess$"
    with pytest.raises(SystemExit, match=line):
        run_fairseq(
            "train",
            ".",
            "--user-dir",
            USER_DIR,
            "--task",
            "prune_translation",
            "--arch",
            "transformer",
            "--max-tokens",
            9,
        )
