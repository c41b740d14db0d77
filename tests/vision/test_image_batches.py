"""Batches of images: their size, their order, and that workers, ranks and resuming change nothing."""

from collections import Counter

import pytest
import torch
from image_data import batches_of, same, source


def ids(batches):
    return [batch["id"].tolist() for batch in batches if batch]


def training_set(seed=1):
    return source("digits", augmentation="crop_flip", max_train_images=300, seed=seed).dataset("train", trains=True)


def test_batches_have_the_very_size():
    batches = batches_of(training_set(), size=77)
    assert [batch["nsentences"] for batch in batches] == [77, 77, 77, 69] == [batch["ntokens"] for batch in batches]
    assert batches[0]["net_input"]["image"].shape == (77, 1, 8, 8) and batches[0]["target"].dtype == torch.int64
    assert sorted(sum(ids(batches), [])) == [*range(300)]


def test_order_of_training():
    first, second, other = (ids(batches_of(training_set(seed), epoch=e)) for seed, e in ((1, 1), (1, 2), (2, 1)))
    assert first == ids(batches_of(training_set()))
    assert first != second and first != other
    assert not training_set().can_reuse_epoch_itr_across_epochs


def test_evaluation_is_in_order_and_unchanged():
    dataset = source("digits", augmentation="crop_flip").dataset("test", trains=False)
    batches = batches_of(dataset, epoch=3)
    assert sum(ids(batches), []) == [*range(359)] and dataset.can_reuse_epoch_itr_across_epochs
    images = torch.cat([batch["net_input"]["image"] for batch in batches])
    assert torch.equal(images, dataset.normalise(source().parts["test"].images))


@pytest.mark.parametrize("epoch", [1, 2])
def test_workers_and_resuming_change_nothing(epoch):
    expected = batches_of(training_set(), epoch=epoch)
    assert same(expected, batches_of(training_set(), epoch=epoch, workers=2))
    assert same(expected[2:], batches_of(training_set(), epoch=epoch, offset=2))
    assert not same(expected, batches_of(training_set(), epoch=epoch + 1))


def test_ranks_share_the_images():
    dataset = source().dataset("test", trains=False)
    shards = [batches_of(dataset, size=100, num_shards=3, shard_id=rank) for rank in range(3)]
    assert [len(shard) for shard in shards] == [2, 2, 2] and shards[1][1] == {}
    assert Counter(index for shard in shards for batch in ids(shard) for index in batch) == Counter(range(359))
