"""Two gloo processes: the same masks on both, and those of one process."""

import sys
from pathlib import Path

import pytest
import torch
from conftest import TINY, USER_DIR, masks_of, run_fairseq, same_tensors
from two_ranks import free_port, train_on_two

from fairseq_prune.compat import load_checkpoint

PRUNE = "--prune-method magnitude --prune-target 0.6 --prune-schedule linear --prune-end 4up --prune-every 2up"
LEGACY = ["--ddp-backend", "legacy_ddp"]
# fairseq silences all ranks but the first; the pruner's lines are what is compared here
MAIN = """
import logging
logging.getLogger("fairseq_prune.engine.pruner").setLevel(logging.INFO)
from fairseq_cli.train import cli_main
cli_main()
"""


def command(data, folder, *words, prune=PRUNE):
    return [
        sys.executable, "-c", MAIN, data, "--user-dir", USER_DIR, "--task", "prune_translation",
        *f"""--arch transformer --share-all-embeddings --dropout 0 {TINY} --optimizer sgd --lr 0.1 --momentum 0.9
        --criterion cross_entropy --batch-size 8 --required-batch-size-multiple 1 --cpu --num-workers 0
        --max-update 6 --no-epoch-checkpoints --disable-validation --log-format simple {prune}""".split(),
        "--save-dir", folder, *words,
    ]  # fmt: skip


def checksums(output):
    return [line.split("masks ")[1].rstrip(")") for line in output.splitlines() if "; masks " in line]


@pytest.fixture(scope="module")
def two(parallel, tmp_path_factory):
    folder = tmp_path_factory.mktemp("two")
    return folder, train_on_two(command(parallel, folder, *LEGACY, "--save-interval-updates", "3"))


def test_ranks_agree_with_each_other_and_with_one_process(two, parallel, tmp_path):
    folder, (first, second) = two
    assert len(checksums(first)) == 3
    assert checksums(first) == checksums(second)
    run_fairseq("train", *command(parallel, tmp_path / "one", "--update-freq", "2")[3:])
    together, alone = (load_checkpoint(f / "checkpoint_last.pt") for f in (folder, tmp_path / "one"))
    for name, keep in masks_of(alone).items():
        assert torch.equal(keep, masks_of(together)[name])
        torch.testing.assert_close(alone["model"][name], together["model"][name], rtol=0, atol=1e-5)


def test_ranks_agree_on_derivatives(parallel, tmp_path):
    """Each takes its share of the batches that one process takes."""
    prune = "--prune-method snip --prune-target 0.6 --prune-batches 4"
    first, second = train_on_two(command(parallel, tmp_path / "two", *LEGACY, prune=prune))
    assert checksums(first) == checksums(second) and len(checksums(first)) == 1
    run_fairseq("train", *command(parallel, tmp_path / "one", "--update-freq", "2", prune=prune)[3:])
    together, alone = (masks_of(load_checkpoint(tmp_path / name / "checkpoint_last.pt")) for name in ("two", "one"))
    assert same_tensors(together, alone)


def test_two_ranks_resume(two, parallel, tmp_path):
    """Every rank adopts the masks of the file; the rest of the run is the same, bit for bit."""
    folder, _ = two
    (tmp_path / "checkpoint_last.pt").write_bytes(Path(folder / "checkpoint_1_3.pt").read_bytes())
    train_on_two(command(parallel, tmp_path, *LEGACY))
    whole, resumed = (load_checkpoint(f / "checkpoint_last.pt") for f in (folder, tmp_path))
    assert masks_of(resumed).keys() == masks_of(whole).keys()
    for name, value in whole["model"].items():
        assert torch.equal(value, resumed["model"][name])


def diverging(rank, port):
    """Body of one rank whose weights differ from the other's."""
    from torch import distributed

    from fairseq_prune.engine.ranks import average, require_equal

    distributed.init_process_group("gloo", f"tcp://localhost:{port}", rank=rank, world_size=2)
    assert average(torch.tensor([float(rank)])).item() == 0.5
    require_equal(7, "pruning masks", "cpu")
    require_equal(rank, "pruning masks", "cpu")


def test_different_masks_are_an_error():
    with pytest.raises(torch.multiprocessing.ProcessRaisedException, match="pruning masks differ between ranks"):
        torch.multiprocessing.spawn(diverging, (free_port(),), nprocs=2)
