"""Two gloo processes: the same masks on both, and those of one process."""

from pathlib import Path

import pytest
import torch
from conftest import TINY, USER_DIR, masks_of, run_fairseq, same_tensors
from ranks import started, train_on

from fairseq_prune.compat import load_checkpoint

PRUNE = "--prune-method magnitude --prune-target 0.6 --prune-schedule linear --prune-end 4up --prune-every 2up"


def command(data, folder, *words, prune=PRUNE):
    return [
        data, "--user-dir", USER_DIR, "--task", "prune_translation",
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
    return folder, train_on(2, command(parallel, folder, "--save-interval-updates", "3"))


def test_ranks_agree_with_each_other_and_with_one_process(two, parallel, tmp_path):
    folder, (first, second) = two
    assert len(checksums(first)) == 3
    assert checksums(first) == checksums(second)
    run_fairseq("train", *command(parallel, tmp_path / "one", "--update-freq", "2"))
    together, alone = (load_checkpoint(f / "checkpoint_last.pt") for f in (folder, tmp_path / "one"))
    for name, keep in masks_of(alone).items():
        assert torch.equal(keep, masks_of(together)[name])
        torch.testing.assert_close(alone["model"][name], together["model"][name], rtol=0, atol=1e-5)


def test_ranks_agree_on_derivatives(parallel, tmp_path):
    """Each takes its share of the batches that one process takes."""
    prune = "--prune-method snip --prune-target 0.6 --prune-batches 4"
    first, second = train_on(2, command(parallel, tmp_path / "two", prune=prune))
    assert checksums(first) == checksums(second) and len(checksums(first)) == 1
    run_fairseq("train", *command(parallel, tmp_path / "one", "--update-freq", "2", prune=prune))
    together, alone = (masks_of(load_checkpoint(tmp_path / name / "checkpoint_last.pt")) for name in ("two", "one"))
    assert same_tensors(together, alone)


def test_two_ranks_resume(two, parallel, tmp_path):
    """Every rank adopts the masks of the file; the rest of the run is the same, bit for bit."""
    folder, _ = two
    (tmp_path / "checkpoint_last.pt").write_bytes(Path(folder / "checkpoint_1_3.pt").read_bytes())
    train_on(2, command(parallel, tmp_path))
    whole, resumed = (load_checkpoint(f / "checkpoint_last.pt") for f in (folder, tmp_path))
    assert masks_of(resumed).keys() == masks_of(whole).keys()
    for name, value in whole["model"].items():
        assert torch.equal(value, resumed["model"][name])


def diverging(rank, meeting):
    """Body of one rank whose weights differ from the other's."""
    from torch import distributed

    from fairseq_prune.engine.ranks import average, require_equal

    distributed.init_process_group("gloo", f"file://{meeting}", rank=rank, world_size=2)
    assert average(torch.tensor([float(rank)])).item() == 0.5
    require_equal(7, "pruning masks", "cpu")
    require_equal(rank, "pruning masks", "cpu")


def test_different_masks_are_an_error(tmp_path):
    with started(2, diverging, tmp_path / "meeting") as ranks:
        assert ranks.wait() and ranks.codes == [1, 1]
        assert all("pruning masks differ between ranks (0 and 1)" in text for text in ranks.printed)
