"""Sources of images, npz files of noise, and batches as fairseq makes them."""

import numpy as np
import torch

from vision_bridge.data.options import ImageOptions
from vision_bridge.data.source import open_source


def source(data="digits", **options):
    return open_source(str(data), ImageOptions(**{"seed": 1, **options}))


def arrays(count=20, shape=(32, 32, 3), classes=10, seed=1):
    """Arrays of an npz file, ``count`` for training and half as many for testing."""
    rng = np.random.default_rng(seed)
    out = {}
    for name, n in (("train", count), ("test", count // 2)):
        out[f"x_{name}"] = rng.integers(0, 256, (n, *shape), dtype=np.uint8)
        out[f"y_{name}"] = np.arange(n) % classes
    return out


def write(path, **changes):
    """An npz file; a change of None leaves a key out."""
    content = {**arrays(), **changes}
    np.savez(path, **{key: value for key, value in content.items() if value is not None})
    return path


def batches_of(dataset, size=64, epoch=1, workers=0, offset=0, **shard):
    """The batches of an epoch as fairseq makes them, from the ``offset``-th on."""
    from fairseq.data.iterators import EpochBatchIterator

    sampler = dataset.batches(epoch, size)
    batches = EpochBatchIterator(
        dataset, dataset.collater, sampler, epoch=epoch, num_workers=workers, disable_shuffling=True, **shard
    )
    if offset:
        batches.load_state_dict({"epoch": epoch, "iterations_in_epoch": offset, "shuffle": False})
    found = list(batches.next_epoch_itr(shuffle=False))
    batches._cur_epoch_itr = None  # else its workers keep the garbage collector waiting for 10 s
    return found


def same(one, two):
    return len(one) == len(two) and all(
        torch.equal(a["id"], b["id"]) and torch.equal(a["net_input"]["image"], b["net_input"]["image"])
        for a, b in zip(one, two, strict=True)
    )
