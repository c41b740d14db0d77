"""The benchmark of what is deployed: its table, and what it keeps."""

import sys
from pathlib import Path

import pytest


@pytest.fixture
def benchmark(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    import deployed_speed

    return deployed_speed


def test_what_was_measured_is_kept(benchmark, monkeypatch, capsys, tmp_path):
    calls = []

    def part(args):
        calls.append(args.dense)
        yield "met", 2.0, 2.0
        yield "short of it", 2.5, 2.49

    monkeypatch.setattr(benchmark, "PARTS", {"multi30k": part, "images": part})
    monkeypatch.setattr(sys, "argv", ["deployed_speed.py", "--keep", str(tmp_path / "kept")])
    for _ in range(2):
        benchmark.main()
        rows = capsys.readouterr().out.splitlines()[2:]
        assert rows == ["| met | 2.0 x | 2.00 x |  |", "| short of it | 2.5 x | 2.49 x | missed |"]
    assert calls == [None]  # once, and nothing of a checkpoint that was not given
    monkeypatch.setattr(sys, "argv", ["deployed_speed.py", "--data", "x"])
    with pytest.raises(SystemExit, match="--dense and --data belong together"):
        benchmark.main()


def test_ratios_are_medians_over_turns(benchmark):
    taken = {"slow": [2.0, 30.0, 8.0], "fast": [1.0, 3.0, 2.0]}
    assert benchmark.srp.ratio(taken, "slow", "fast") == 4.0
    times = {("dense", "as trained"): [3.0, 9.0, 5.0], ("cut", "onnxruntime"): [1.0, 1.0, 1.0]}
    assert benchmark.vision.gain(times, ("cut", "onnxruntime")) == 5.0
