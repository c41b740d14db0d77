"""docs/distributed.md: its commands start what they say."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import TINY, USER_DIR, masks_of
from fairseq import options
from fairseq.dataclass.utils import convert_namespace_to_omegaconf
from fairseq.distributed import utils

from fairseq_prune.compat import load_checkpoint

PAGE = (Path(USER_DIR).parent / "docs" / "distributed.md").read_text()
TORCHRUN, _, SRUN, _ = (
    shlex.split(block.replace("\\\n", " ")) for block in re.findall("```bash\n(.*?)```", PAGE, re.DOTALL)
)
PATH = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])


def test_torchrun(parallel, tmp_path):
    """As printed, and the addition for the CPU, with toy data and a toy model: one run of two processes."""
    places = {"data-bin/mine": parallel, "fairseq_prune": USER_DIR, "checkpoints/pruned": tmp_path / "pruned"}
    places |= {"2000up": "3up", "6000": "6", "4000": "200"}
    added = re.search(r"On the CPU, add `(.*?)`", PAGE)[1].split()
    command = [str(places.get(word, word)) for word in TORCHRUN] + added + TINY.split()
    done = subprocess.run(
        [*command, "--num-workers", "0"], env={**os.environ, "PATH": PATH}, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "training on 2 devices" in done.stdout + done.stderr
    checkpoint = load_checkpoint(tmp_path / "pruned" / "checkpoint_last.pt")
    removed = sum(int((~keep).sum()) for keep in masks_of(checkpoint).values())
    sizes = {tensor.data_ptr(): tensor.numel() for tensor in checkpoint["model"].values() if tensor.dim() > 1}
    assert removed == round(0.8 * sum(sizes.values()))


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """What SLURM tells the fourth task of the second machine."""
    (tmp_path / "scontrol").write_text("#!/bin/sh\necho first\necho second\n")
    (tmp_path / "scontrol").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    for name, value in {"STEP_NODELIST": "x", "NNODES": 2, "NTASKS_PER_NODE": 8, "PROCID": 11, "LOCALID": 3}.items():
        monkeypatch.setenv(f"SLURM_{name}", str(value))


def inferred(words):
    parser = options.get_training_parser()
    words = ["data", "--arch", "transformer", *words]
    cfg = convert_namespace_to_omegaconf(options.parse_args_and_arch(parser, words)).distributed_training
    utils.infer_init_method(cfg)
    return cfg


def test_srun(slurm, monkeypatch):
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: None)
    cfg = inferred([word for word in SRUN[SRUN.index("fairseq-train") + 1 :] if word != "…"])
    assert (cfg.distributed_rank, cfg.distributed_world_size, cfg.device_id) == (11, 16, 3)
    assert cfg.distributed_init_method == "tcp://first:29500" and cfg.distributed_no_spawn


def test_torchrun_of_two_machines_with_one_process_each(monkeypatch):
    """fairseq's default, the number of GPUs of this machine, does not make them two runs."""
    meeting = {"TORCHELASTIC_RUN_ID": "x", "MASTER_ADDR": "first", "MASTER_PORT": 29500}
    for name, value in {**meeting, "WORLD_SIZE": 2, "RANK": 1, "LOCAL_RANK": 0}.items():
        monkeypatch.setenv(name, str(value))
    cfg = inferred(["--distributed-world-size", "1"])
    assert (cfg.distributed_rank, cfg.distributed_world_size, cfg.device_id) == (1, 2, 0)
    assert cfg.distributed_init_method == "env://" and cfg.distributed_no_spawn
