"""growth.jsonl of a run that is killed and goes on: each update once, in order."""

import json

import pytest

from fairseq_prune.engine.growth_file import add_record
from fairseq_prune.report.growth import read_growth


def record(updates, began=10):
    return {"updates": updates, "began": began, "penalty": updates / 100}


def read(folder):
    return [json.loads(line) for line in (folder / "growth.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("resumed_at", [10, 20, 30, 40])
def test_updates_that_are_repeated_stand_there_once(tmp_path, resumed_at):
    for updates in (10, 20, 30):
        add_record(tmp_path, record(updates))
    for updates in range(resumed_at, 60, 10):
        add_record(tmp_path, record(updates))
    assert read(tmp_path) == [record(updates) for updates in (10, 20, 30, 40, 50)]


def test_another_growth_begins_the_file_anew(tmp_path):
    for updates in (10, 20):
        add_record(tmp_path, record(updates))
    add_record(tmp_path, record(5, began=5))
    add_record(tmp_path, None)
    assert read(tmp_path) == [record(5, began=5)]


@pytest.mark.parametrize("damage", ['{"updates": 30, "beg', "[]\n", "null\n", '{"updates": "x"}\n', "[" * 10**5 + "\n"])
def test_a_damaged_line_is_dropped(tmp_path, damage):
    add_record(tmp_path, record(10))
    with open(tmp_path / "growth.jsonl", "a") as file:
        file.write(damage)
    add_record(tmp_path, record(20))
    assert read(tmp_path) == [record(10), record(20)]


def test_a_file_that_cannot_be_written_stops_nothing(tmp_path, caplog):
    (tmp_path / "growth.jsonl").mkdir()
    add_record(tmp_path, record(10))
    assert "growth.jsonl: not written" in caplog.text


@pytest.mark.parametrize("content", ["", "{", "3\n", '{"updates": 1}\n', "[" * 10_000, '{"updates": 1, "layers": 3}\n'])
def test_what_cannot_be_drawn_is_named(tmp_path, content):
    (tmp_path / "growth.jsonl").write_text(content)
    with pytest.raises(ValueError, match=r"/growth\.jsonl: "):
        read_growth(tmp_path)
