"""`make gpu-check` in miniature on a simulated GPU, and that it would see what it looks for."""

import json
import os
import sys
import time
from pathlib import Path

import programs
import pytest
import torch

ROOT = Path(__file__).parents[2]
CHECK = ROOT / "scripts" / "gpu" / "check.sh"
MAGNITUDE = "--prune-method magnitude --prune-target 0.6"


@pytest.fixture(scope="module")
def right():
    """The module that counts by hand."""
    added = [str(ROOT / "scripts" / "gpu"), str(ROOT / "benchmarks")]
    sys.path[:0] = added
    import right

    yield right
    for path in added:
        sys.path.remove(path)


def test_three_jobs_and_their_summary(tmp_path):
    only = "story, compacted|Transformer, magnitude, bf16|RNN, hidden, fp32"
    words = ["--device", "simulated", "--jobs", "2", "--only", only, "--write", tmp_path]
    python = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = programs.run(["bash", CHECK, *words], python)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    assert done.stdout.endswith("3 ok, 0 failed, 0 not run\n")
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["device"] == "a simulated GPU" and summary["counts"]["ok"] == 3
    assert (tmp_path / "summary.txt").read_text() in done.stdout


@pytest.fixture
def pruned(new_run):
    """Folder of a run that ended as it should."""
    run = new_run()
    run.train(*MAGNITUDE.split(), "--prune-start", "4up", "--save-interval-updates", "4", "--max-update", "24")
    return run.folder


def changed(folder, name, change):
    """Change a checkpoint's file."""
    checkpoint = torch.load(folder / name, weights_only=False)
    change(checkpoint)
    torch.save(checkpoint, folder / name)


def test_what_is_right_has_no_faults_and_what_is_wrong_has(right, pruned):
    assert right.faults_of(pruned, "magnitude", MAGNITUDE) == []
    (count,) = right.faults_of(pruned, "magnitude", "--prune-method magnitude --prune-target 0.61")
    assert "weights removed" in count
    assert right.faults_of(pruned, "neuron", "--prune-method l1 --prune-units neuron") == ["12 nodes removed, 32 asked"]
    changed(pruned, "checkpoint_last.pt", lambda end: end["model"]["encoder.layers.0.fc1.weight"].fill_(1))
    assert "encoder.layers.0.fc1.weight is not zero where it is masked" in right.faults_of(
        pruned, "magnitude", MAGNITUDE
    )


def test_another_bit_is_seen(right, pruned, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "checkpoint_last.pt").write_bytes((pruned / "checkpoint_last.pt").read_bytes())
    assert right.differences(pruned, other) == []
    changed(other, "checkpoint_last.pt", lambda end: end["model"]["encoder.layers.0.fc1.bias"].mul_(1 + 2**-20))
    (found,) = right.differences(pruned, other)
    by = found.removeprefix("resumed, unlike .model.encoder.layers.0.fc1.bias by ")
    assert 0 < float(by) < 1e-6


def test_a_failed_program_tells_the_end_of_its_log(right, tmp_path):
    from places import Device, Place
    from soak_children import start_work

    def work():
        os.write(2, b"a traceback " * 500 + b"\nValueError: what was wrong\n")
        sys.exit(1)

    place = Place(tmp_path, tmp_path, Device("cpu", (), time.monotonic() + 60, 60), "")
    with pytest.raises(right.Failed, match="^log, status 1: ValueError: what was wrong$") as caught:
        place.wait([(start_work(work, tmp_path / "log"), tmp_path / "log")])
    assert len(caught.value.more) >= 1500 and caught.value.more.endswith("ValueError: what was wrong")


@pytest.mark.parametrize(("seconds", "outcome"), [(60, "failed"), (0.05, "not run")])
def test_what_the_end_cuts_off_was_not_run(right, tmp_path, monkeypatch, seconds, outcome):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    from check import run_one
    from jobs import Job
    from places import Device, Place

    def work(place):
        time.sleep(0.1)
        raise right.Failed("took too long", "the end of its log")

    place = Place(tmp_path / "0", tmp_path, Device("cpu", (), time.monotonic() + seconds, 60), "")
    row = run_one(Job("CNN", "l1", "fp32", work), place)
    assert (row["outcome"], row["wrong"], row["more"]) == (outcome, "took too long", "the end of its log")
