"""The published results' scripts in miniature on the CPU: a row, and nothing done twice."""

import os
import sys
from pathlib import Path

import programs
import torch

CIFAR = Path(__file__).parents[2] / "scripts" / "gpu" / "evidence" / "cifar.sh"
RUN = "resnet8-snip_it-0.8-1"


def cifar(state, *runs, **more):
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    env = os.environ | {"PATH": path, "MINIATURE": "1", "STATE": str(state), "OMP_NUM_THREADS": "1"} | more
    return programs.run(["bash", CIFAR, "synthetic", *runs], env)


def test_a_row_with_the_cards_name_and_nothing_twice(tmp_path):
    done = cifar(tmp_path, RUN)
    assert done.returncode == 0, done.stderr[-2000:]
    (row,) = (tmp_path / "table.md").read_text().splitlines()
    assert row.startswith(f"| {RUN}, 2 epochs | CPU | ") and f"{RUN}  " in row
    log = (tmp_path / RUN / "log").read_text()
    files = [path for path in tmp_path.rglob("*.pt")]
    assert [path.name for path in files] == ["checkpoint_last.pt"] and files[0].stat().st_size < 2**24
    kept = torch.load(files[0], weights_only=False)
    assert not kept["last_optimizer_state"] and any(v.dtype == torch.float16 for v in kept["model"].values())
    again = cifar(tmp_path, RUN)
    assert again.stdout == done.stdout and (tmp_path / RUN / "log").read_text() == log


def test_what_is_too_large_does_not_stay(tmp_path):
    done = cifar(tmp_path, RUN, KEEP="1000")
    assert done.returncode == 0 and RUN in done.stdout, done.stderr[-2000:]
    assert not list(tmp_path.rglob("*.pt")) and not (tmp_path / RUN / "done").exists()
    assert cifar(tmp_path, RUN).stdout == done.stdout and not list(tmp_path.rglob("*.pt"))


def test_without_time_there_is_more_to_do(tmp_path):
    done = cifar(tmp_path, RUN, MINUTES="0")
    assert (done.returncode, done.stdout) == (75, "more to do: call it again\n") and not list(tmp_path.rglob("*.pt"))
