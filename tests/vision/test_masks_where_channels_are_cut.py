"""Single weights stay removed in the channels that stay, where others are cut out of an image classifier."""

import pytest
import torch
from conftest import masks_of, same_tensors

from fairseq_prune.pruning.masks import unpack_mask
from vision_bridge.compact import compact

THINNED = "--prune-method random --prune-scope layer --prune-target 0.3 --max-update 1".split()


@pytest.fixture
def thinned(new_image_run):
    run = new_image_run("thinned")
    run.train(*THINNED)
    return run


def sliced(masks, kept):
    """Masks once the inner channels of the blocks of resnet8 are cut out; ``kept``: dict of conv1 -> bool."""
    cut = dict(masks)
    for conv, channels in kept.items():
        reader = conv.replace("conv1", "conv2")
        cut[f"{conv}.weight"] = masks[f"{conv}.weight"][channels]
        cut[f"{reader}.weight"] = masks[f"{reader}.weight"][:, channels]
    return cut


@pytest.mark.parametrize("units", ["filter", "channel"])
def test_in_the_run(new_image_run, thinned, units):
    words = f"--prune-method magnitude --prune-units {units} --prune-target 0.5 --max-update 2".split()
    after = new_image_run("cut").train(*words, "--finetune-from-model", thinned.folder / "checkpoint_last.pt")
    kept = after["extra_state"]["PruneImageClassificationTask"]["kept"]
    kept = {vector: unpack_mask(channels) for vector, channels in kept.items()}
    assert sum(int((~channels).sum()) for channels in kept.values()) == 56
    expected = sliced(masks_of(thinned.checkpoint()), kept)
    assert same_tensors(masks_of(after), expected)
    assert not any(after["model"][name][~keep].any() for name, keep in expected.items())


def test_by_compact(new_image_run, thinned):
    words = "--prune-method magnitude --prune-units filter --prune-target 0.5 --max-update 2 --store-ema".split()
    masked = new_image_run("masked").train(*words, "--finetune-from-model", thinned.folder / "checkpoint_last.pt")
    masks = masks_of(masked)
    kept = {f"net.layer{i}.0.conv1": masks.get(f"net.layer{i}.0.bn1.weight") for i in (1, 2, 3)}
    kept = {conv: channels for conv, channels in kept.items() if channels is not None}
    cut, removed = compact(masked)
    assert removed == {"channel": 56} == {"channel": sum(int((~channels).sum()) for channels in kept.values())}
    expected = sliced(masks_of(thinned.checkpoint()), kept)
    assert same_tensors(masks_of(cut), expected)
    assert not any(torch.any(cut["model"][name][~keep]) for name, keep in expected.items())
