"""A growing penalty on two ranks, whose batches differ."""

import pytest
import torch
from conftest import masks_of, words_of
from ranks import train_on

from fairseq_prune.compat import load_checkpoint
from vision.test_greg import FAST_PICK, RATIOS, WIDTHS

WORDS = words_of("""--task prune_image_classification --arch resnet8 --image-size 8 --max-train-images 64 --batch-size 8
    --criterion image_classification --optimizer sgd --momentum 0.9 --lr-scheduler phased --prune-lr 0.1 --lr-ft 0:0.05
    --cpu --num-workers 0 --max-update 16 --no-epoch-checkpoints --disable-validation""")


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """The last checkpoint, and what the ranks printed of the pruning."""
    folder = tmp_path_factory.mktemp("two")
    words = [*WORDS, "--prune-method", "greg2", "--stage-pr", RATIOS, *FAST_PICK, "--save-dir", folder]
    printed = train_on(2, ["synthetic", *words], ["fairseq_prune.engine", "fairseq_prune.methods"])
    lines = [[line.split(" | ")[-1] for line in text.splitlines() if "fairseq_prune." in line] for text in printed]
    return folder, load_checkpoint(folder / "checkpoint_last.pt"), lines


def test_ranks_penalise_and_remove_alike(two):
    _, _, (first, second) = two
    assert first == second
    told = " ".join(first)
    assert "the units that are removed are chosen" in told and "all layers have finished" in told and "masks " in told


def test_masked_instead_of_cut(two):
    """Whole filters, with their norms; the penalty was recorded once."""
    folder, checkpoint, _ = two
    masks = masks_of(checkpoint)
    for block, width in WIDTHS.items():
        name = f"net.{block}.conv1.weight"
        keep = masks[name].flatten(1)
        assert keep.any(1).sum() == keep.all(1).sum() == width < len(keep)
        assert torch.equal(keep.any(1), masks[f"net.{block}.bn1.bias"])
        assert not checkpoint["model"][name][~masks[name]].any()
    assert len((folder / "growth.jsonl").read_text().splitlines()) == 1
