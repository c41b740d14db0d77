"""A hundred of `make fuzz`'s cases; and that its judge sees what it is to see."""

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))
from fuzz import fuzz, table  # noqa: E402
from fuzzing.judge import FAULTS, Judge, Reached  # noqa: E402


def test_hostile_input(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    counts, faults = fuzz(100, seed=3, folder=tmp_path / "fuzz")
    assert faults == []
    assert sum(counts.values()) == 100 and {room for room, _ in counts} >= {"checkpoints", "options", "recipes"}
    assert "| all | 100 |" in table(counts, 100, 3, 1.0)


class TestJudge:
    @pytest.fixture
    def judge(self, tmp_path):
        (tmp_path / "good").mkdir()
        (tmp_path / "good" / "file").write_text("good")
        return Judge(tmp_path / "canary", [tmp_path / "good"])

    def outcome(self, judge, run, *refusals):
        return judge.judge("case", run, refusals)

    def test_good_ends(self, judge):
        def end(error):
            raise error

        assert self.outcome(judge, lambda: None) == "accepted"
        assert self.outcome(judge, lambda: end(Reached())) == "accepted"
        assert self.outcome(judge, lambda: end(SystemExit("--a 1: no"))) == "refused"
        assert self.outcome(judge, lambda: end(ValueError("--a 1: no")), ValueError) == "refused"
        assert judge.faults == []

    @pytest.mark.parametrize(
        "error", [ValueError("x"), KeyError("x"), SystemExit("two\nlines"), SystemExit(""), SystemExit(1)]
    )
    def test_tracebacks(self, judge, error):
        def run():
            raise error

        assert self.outcome(judge, run) == "tracebacks" and judge.faults[0][0] in FAULTS

    def test_executed(self, judge, tmp_path):
        assert self.outcome(judge, (tmp_path / "canary").touch) == "executed"
        assert self.outcome(judge, lambda: None) == "accepted"

    def test_changed(self, judge, tmp_path):
        assert self.outcome(judge, lambda: (tmp_path / "good" / "file").write_text("bad")) == "changed"
        assert self.outcome(judge, lambda: os.remove(tmp_path / "good" / "file")) == "changed"

    def test_hung(self, judge, monkeypatch):
        monkeypatch.setattr("fuzzing.judge.LIMIT", 1)

        def run():
            while True:
                pass

        assert self.outcome(judge, run) == "hung"
