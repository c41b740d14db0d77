"""Augmentation of whole batches: what can come out, how often, and that torchvision's does the same."""

import math
import random

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import stats

from vision_bridge.data.augment import random_affine, random_crop, random_flip, random_part, rotate
from vision_bridge.data.image_dataset import ImageDataset
from vision_bridge.data.images import Images
from vision_bridge.data.table import AUGMENTATIONS, DATASETS, Augmentation


def seeded(seed=1):
    return torch.Generator().manual_seed(seed)


def noise(count, size=6, dtype=torch.uint8, seed=1):
    """Random images without zeros, so that what was padded is known."""
    return torch.randint(1, 256, (count, 3, size, size), generator=seeded(seed), dtype=torch.uint8).to(dtype)


def all_crops(images, padding):
    """Every possible crop of each image: [shifts, B, C, H, W]."""
    size, padded = images.shape[-1], F.pad(images, [padding] * 4)
    places = range(2 * padding + 1)
    return torch.stack([padded[..., y : y + size, x : x + size] for y in places for x in places])


def uniform(counts):
    """Whether counts may be of equally likely outcomes."""
    return stats.chisquare(counts).pvalue > 0.001


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_crops_are_of_their_own_image_and_all_equally_likely(dtype):
    images = noise(4000, dtype=dtype)
    cropped = random_crop(images, 4, seeded())
    hits = (all_crops(images, 4) == cropped).flatten(2).all(2)  # [81, B]
    empty = hits.sum(0) != 1  # shifts of a 6x6 image by 4 overlap it still, so each crop is of one shift only
    assert cropped.dtype == dtype and not empty.any()
    assert uniform(hits.sum(1))
    assert not uniform((all_crops(images, 4) == random_crop(images, 3, seeded()).to(dtype)).flatten(2).all(2).sum(1))


def test_torchvision_crops_alike():
    from torchvision.transforms import RandomCrop

    images = noise(1500)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        theirs = torch.stack([RandomCrop(6, padding=4)(image) for image in images])
    ours = random_crop(images, 4, seeded())
    crops = all_crops(images, 4)
    counts = [(crops == cropped).flatten(2).all(2).sum(1) for cropped in (theirs, ours)]
    assert all(int(count.sum()) == len(images) for count in counts)
    assert stats.chi2_contingency(torch.stack(counts).numpy()).pvalue > 0.001


def test_no_padding_changes_nothing():
    assert torch.equal(random_crop(noise(5), 0, seeded()), noise(5))


@pytest.mark.parametrize("probability", [0, 0.2, 0.5, 1])
def test_flips(probability):
    images = noise(4000)
    flipped = random_flip(images, probability, seeded())
    mirrored = (flipped == images.flip(-1)).flatten(1).all(1)
    assert ((flipped == images).flatten(1).all(1) ^ mirrored).all()
    assert abs(mirrored.float().mean() - probability) < 0.025


@pytest.mark.parametrize("height, width", [(9, 9), (8, 14)])
def test_rotations_are_torchvisions(height, width):
    from torchvision.transforms import InterpolationMode
    from torchvision.transforms.functional import rotate as theirs

    images = torch.rand(5, 3, height, width, generator=seeded())
    degrees = [-90.0, -5.0, 0.0, 3.0, 30.0]
    expected = [theirs(image, angle, InterpolationMode.BILINEAR) for image, angle in zip(images, degrees, strict=True)]
    got = rotate(images, torch.tensor(degrees) * math.pi / 180)
    assert torch.allclose(got, torch.stack(expected), atol=1e-4)


def test_angles_are_uniform_and_within_the_limit():
    images = torch.zeros(600, 1, 41, 41)
    images[:, :, 20, 36:] = 1  # a hand that points to the right
    rotated = random_affine(images, 30, seeded())[:, 0]
    rows, columns = torch.meshgrid(torch.arange(41.0) - 20, torch.arange(41.0) - 20, indexing="ij")
    angles = torch.atan2(-(rotated * rows).sum((1, 2)), (rotated * columns).sum((1, 2))) * 180 / math.pi
    assert angles.abs().max() < 30.2
    assert stats.kstest(angles.numpy(), stats.uniform(-30, 60).cdf).pvalue > 0.001
    assert torch.allclose(random_affine(images, 0, seeded()), images, atol=1e-5)


def test_parts_are_drawn_as_torchvisions():
    from torchvision.transforms import RandomResizedCrop

    height, width = 60, 90
    generator, image = seeded(), torch.zeros(3, height, width)
    ours = np.array([random_part(height, width, generator) for _ in range(1500)])
    with torch.random.fork_rng():
        torch.manual_seed(2)
        draw = RandomResizedCrop.get_params
        theirs = np.array([draw(image, (0.08, 1.0), (3 / 4, 4 / 3)) for _ in range(1500)])
    for of in (lambda p: p[:, 2] * p[:, 3], lambda p: p[:, 3] / p[:, 2], lambda p: p[:, 0], lambda p: p[:, 1]):
        assert stats.ks_2samp(of(ours), of(theirs)).pvalue > 0.001


@pytest.mark.parametrize("height, width", [(10, 1000), (1000, 10), (3, 200)])
def test_parts_of_narrow_images_are_torchvisions(height, width):
    from torchvision.transforms import RandomResizedCrop

    theirs = RandomResizedCrop.get_params(torch.zeros(3, height, width), (0.08, 1.0), (3 / 4, 4 / 3))
    assert random_part(height, width, seeded()) == tuple(theirs)


def cifar(augmentation, count=64, seed=1):
    row = DATASETS["cifar10"]
    targets = torch.arange(count) % 10
    return ImageDataset(Images(noise(count, 32), targets), row.mean, row.std, augmentation, seed)


def test_normalisation_is_torchvisions():
    from torchvision.transforms.functional import normalize, to_tensor

    row, images = DATASETS["cifar10"], noise(64, 32)
    expected = [normalize(to_tensor(image.permute(1, 2, 0).numpy()), row.mean, row.std) for image in images]
    batch = cifar(None).collater(list(range(64)))
    assert batch["net_input"]["image"].dtype == torch.float32
    assert torch.allclose(batch["net_input"]["image"], torch.stack(expected), atol=1e-5)


@pytest.mark.parametrize("augmentation", [*AUGMENTATIONS.values(), Augmentation(degrees=5, padding=2)], ids=str)
def test_batches_depend_on_seed_epoch_and_images_alone(augmentation):
    def batch(seed=1, epoch=1, indices=range(40)):
        dataset = cifar(augmentation, seed=seed)
        return dataset.collater([epoch * len(dataset) + index for index in indices])["net_input"]["image"]

    states = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    first = batch()
    torch.rand(3)
    assert torch.equal(first, batch())
    torch.set_rng_state(states[0])
    batch()
    assert torch.equal(torch.get_rng_state(), states[0])
    assert (np.random.get_state()[1].tolist(), random.getstate()) == states[1:]
    randomises = augmentation != Augmentation()
    assert torch.equal(first, batch(seed=2)) != randomises
    assert torch.equal(first, batch(epoch=2)) != randomises
    assert torch.equal(first[:39], batch(indices=range(39))) != randomises


def test_augmentation_leaves_the_images_alone():
    dataset = cifar(Augmentation(degrees=5, padding=4, flip=1))
    dataset.collater(list(range(64)))
    assert torch.equal(dataset.images, noise(64, 32))
