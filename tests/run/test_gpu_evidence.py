"""The published results' scripts in miniature on the CPU: a row, and nothing done twice."""

import os
import shutil
import sys
from pathlib import Path

import programs
import pytest
import torch

CIFAR = Path(__file__).parents[2] / "scripts" / "gpu" / "evidence" / "cifar.sh"
RUN = "resnet8-snip_it-0.8-1"


def environment(state):
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return os.environ | {"PATH": path, "MINIATURE": "1", "STATE": str(state), "OMP_NUM_THREADS": "1"}


def cifar(state, *runs, **more):
    return programs.run(["bash", CIFAR, "synthetic", *runs], environment(state) | more)


def common(state, command, **more):
    """A function of the scripts, by itself."""
    words = ["bash", "-c", f"source {CIFAR.with_name('common.sh')}; {command}"]
    done = programs.run(words, environment(state) | more)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """State of one run, and what it printed."""
    state = tmp_path_factory.mktemp("evidence")
    done = cifar(state, RUN)
    assert done.returncode == 0, done.stderr[-2000:]
    return state, done.stdout


def test_a_row_with_the_cards_name_and_nothing_twice(done):
    state, printed = done
    (row,) = (state / "table.md").read_text().splitlines()
    assert row.startswith(f"| {RUN}, 2 epochs | CPU | ") and f"{RUN}  " in row
    log = (state / RUN / "log").read_text()
    files = [path for path in state.rglob("*.pt")]
    assert [path.name for path in files] == ["checkpoint_last.pt"] and files[0].stat().st_size < 2**24
    kept = torch.load(files[0], weights_only=False)
    assert not kept["last_optimizer_state"] and any(v.dtype == torch.float16 for v in kept["model"].values())
    again = cifar(state, RUN)
    assert again.stdout == printed and (state / RUN / "log").read_text() == log


def test_what_is_too_large_is_kept_in_parts_and_put_together(done, tmp_path):
    shutil.copytree(done[0] / RUN, tmp_path / RUN)
    file = tmp_path / RUN / "checkpoint_last.pt"
    before, most = file.read_bytes(), file.stat().st_size // 3
    common(tmp_path, f"keep {file.parent}", KEEP=str(most))
    sizes = [part.stat().st_size for part in sorted(file.parent.glob("*.pt*"))]
    assert sizes == [min(most, len(before) - start) for start in range(0, len(before), most)] and len(sizes) >= 3
    common(tmp_path, f"whole {file}")
    assert file.read_bytes() == before and list(file.parent.glob("*.pt*")) == [file]


def test_without_time_there_is_more_to_do(tmp_path):
    done = cifar(tmp_path, RUN, MINUTES="0")
    assert (done.returncode, done.stdout) == (75, "more to do: call it again\n") and not list(tmp_path.rglob("*.pt"))


@pytest.fixture(scope="module")
def multi30k(parallel, text, tmp_path_factory):
    """The folder of the state of jobs that run two at a time, and how to call for some."""
    state = tmp_path_factory.mktemp("multi30k")

    def call(*jobs, **more):
        env = os.environ | {"MINIATURE": "1", "STATE": str(state), "DATA": str(parallel), "JOBS": "2"} | more
        return programs.run(["bash", CIFAR.with_name("multi30k.sh"), text, *jobs], env)

    return state, call


def test_jobs_of_multi30k_side_by_side(multi30k):
    state, call = multi30k
    jobs = ["multi30k:sparsegpt+self-0.8-1", "one_shot:n:m-2:4-1", "srp:one_shot-0.2-sa-1"]
    done = call(*jobs)
    assert done.returncode == 0, done.stderr[-2000:]
    rows = {line.split(" | ")[0]: line for line in (state / "table.md").read_text().splitlines()}
    assert rows.keys() == {f"| {job}" for job in jobs}
    assert " 80.00% " in rows["| multi30k:sparsegpt+self-0.8-1"]
    files = {path.relative_to(state).as_posix(): path.stat().st_mtime_ns for path in state.rglob("*.pt")}
    assert set(files) == {
        "multi30k/dense/checkpoint_best.pt",
        "multi30k/dense/checkpoint_last.pt",
        "multi30k/sparsegpt+self-0.8-1/checkpoint_last.pt",
        "multi30k-one-shot/n_m-2_4-1/pruned.pt",
        "multi30k-srp/one_shot-0.2-sa-1/finetuned/checkpoint_last.pt",
    }
    again = call(*jobs)
    assert again.returncode == 0 and sorted(again.stdout.splitlines()) == sorted(rows.values())
    assert files == {path.relative_to(state).as_posix(): path.stat().st_mtime_ns for path in state.rglob("*.pt")}


def test_one_job_that_fails_leaves_the_others(multi30k):
    state, call = multi30k
    done = call("multi30k:nothing-0.5-1", "one_shot:random-0.5-1")
    assert done.returncode == 1 and "nothing" in done.stderr
    assert [line.split(" | ")[0] for line in done.stdout.splitlines()] == ["| one_shot:random-0.5-1"]


def test_no_job_of_multi30k_without_time(multi30k):
    done = multi30k[1]("one_shot:magnitude-0.7-1", MINUTES="0")
    assert (done.returncode, done.stdout) == (75, "more to do: call it again\n")
