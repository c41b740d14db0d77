"""A handful of the kills of `make soak`, and that it would see a difference."""

import sys
from pathlib import Path

import programs
import pytest
import torch

SOAK = Path(__file__).parents[2] / "benchmarks" / "soak.py"


@pytest.fixture(scope="module")
def benchmarks():
    sys.path.insert(0, str(SOAK.parent))
    yield
    sys.path.remove(str(SOAK.parent))


def soak(*words):
    return programs.run(["python3", SOAK, *words])


def test_killed_and_resumed():
    """Of a row of methods, of an image classifier, and of a driver."""
    only = "Transformer, magnitude|CNN, greg1|imp, 1ep"
    done = soak("--kills", "6", "--each", "2", "--seed", "1", "--jobs", "1", "--only", only)
    assert done.returncode == 0, done.stdout + done.stderr
    (total,) = [line for line in done.stdout.splitlines() if line.startswith("| all |")]
    kills, *_, equal, different, lost = (int(cell) for cell in total.split("|")[2:-1])
    assert 6 <= kills <= 7 and equal == kills and different == lost == 0


def checkpoint(**changes):
    """The parts of a checkpoint that are looked at."""
    history = {"num_updates": 3, "lr_scheduler_state": {"best": 1.0, "last_epoch": 2}}
    content = {
        "model": {"w": torch.ones(2)},
        "optimizer_history": [history],
        "last_optimizer_state": {"state": {0: {"exp_avg": torch.zeros(2)}}, "param_groups": [{"lr": 0.1}]},
        "extra_state": {"best": 1.0, "metrics": [1], "val_loss": float("nan")},
        "cfg": {"folder": "a"},
    }
    return {**content, **changes}


DIFFERENT = {
    "weight": {"model": {"w": torch.tensor([1.0, 1.0 + 2**-23])}},
    "type": {"model": {"w": torch.ones(2, dtype=torch.float64)}},
    "name": {"model": {"v": torch.ones(2)}},
    "moment": {"last_optimizer_state": {"state": {0: {"exp_avg": torch.ones(2)}}, "param_groups": [{"lr": 0.1}]}},
    "rate": {"last_optimizer_state": {"state": {0: {"exp_avg": torch.zeros(2)}}, "param_groups": [{"lr": 0.2}]}},
    "scheduler": {"optimizer_history": [{"num_updates": 3, "lr_scheduler_state": {"best": 2.0}}]},
    "best": {"extra_state": {"best": 2.0, "val_loss": float("nan")}},
}
SAME = {
    "nothing": {},
    "clocks": {"extra_state": {"best": 1.0, "val_loss": float("nan"), "previous_training_time": 7}},
    "folders": {"cfg": {"folder": "b"}},
    "a start more": {"optimizer_history": [{}, checkpoint()["optimizer_history"][0]]},
}


@pytest.mark.parametrize("changes", [*DIFFERENT, *SAME])
def test_what_is_compared(benchmarks, tmp_path, changes):
    from soak_compare import differences

    for name, content in (("whole", checkpoint()), ("resumed", checkpoint(**{**DIFFERENT, **SAME}[changes]))):
        (tmp_path / name / "run").mkdir(parents=True)
        torch.save(content, tmp_path / name / "run" / "checkpoint_last.pt")
    found = differences(tmp_path / "whole", tmp_path / "resumed")
    assert bool(found) == (changes in DIFFERENT) and all(place.startswith("run/checkpoint_last.pt") for place in found)
    (tmp_path / "resumed" / "run" / "checkpoint_last.pt.tmp").touch()
    assert "only one has run/checkpoint_last.pt.tmp" in differences(tmp_path / "whole", tmp_path / "resumed")


def test_all_methods_and_schedulers_are_among_the_runs(benchmarks):
    from fairseq.optim.lr_scheduler import LR_SCHEDULER_REGISTRY
    from soak_readme import readme_runs
    from soak_runs import made_runs

    from fairseq_prune.methods.table import METHODS

    words = [word for run in made_runs() + readme_runs() for command in run.commands for word in command.words]
    rows = {id(METHODS[word]) for word in words if word in METHODS}
    assert [name for name, method in METHODS.items() if id(method) not in rows] == []
    assert LR_SCHEDULER_REGISTRY.keys() - {*words} == {"pass_through"}  # needs an optimizer of a user
