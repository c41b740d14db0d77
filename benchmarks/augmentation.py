"""CIFAR-10's training batches: our collater on tensors against torchvision's transforms of one image after the other.

Both shift by up to 4 pixels, flip and normalise random images, in turns in one process of one thread, so that
whatever else the machine does hits both.
"""

import argparse
import statistics
import time

import torch

from vision_bridge.data.image_dataset import ImageDataset
from vision_bridge.data.images import Images
from vision_bridge.data.table import DATASETS

IMAGES, BATCH = 10_000, 128
ROW = DATASETS["cifar10"]


def torchvision_batches(images):
    """A function of a list of indices to a normalised batch, made with torchvision's first transforms."""
    from PIL import Image
    from torchvision import transforms

    transform = transforms.Compose(
        [
            transforms.RandomCrop(32, padding=4),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize(ROW.mean, ROW.std),
        ]
    )
    pixels = images.permute(0, 2, 3, 1).contiguous().numpy()
    return lambda indices: torch.stack([transform(Image.fromarray(pixels[index])) for index in indices])


def measure(rounds):
    """Seconds of each batch.

    Returns:
        dict of name -> list of ``rounds`` seconds; those at one place were taken in turn.
    """
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (IMAGES, 3, 32, 32), generator=generator, dtype=torch.uint8)
    dataset = ImageDataset(Images(images, torch.zeros(IMAGES, dtype=torch.int64)), ROW.mean, ROW.std, ROW.augmentation)
    makers = {
        "torchvision": torchvision_batches(images),
        "vision_bridge": lambda indices: dataset.collater([dataset[index] for index in indices]),
    }
    times = {name: [] for name in makers}
    for step in range(rounds + 3):
        indices = torch.randint(0, IMAGES, (BATCH,), generator=generator).tolist()
        for name, make in makers.items():
            start = time.perf_counter()
            make(indices)
            if step >= 3:  # the first warm up
                times[name].append(time.perf_counter() - start)
    return times


def main():
    """Print median images/s of both and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=100, help="batches of each contender")
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    times = measure(rounds)
    print(f"| crop, flip, normalise, batches of {BATCH}, 1 thread | images/s | ratio to torchvision |\n|---|---|---|")
    for name, mine in times.items():
        ratio = statistics.median(base / own for own, base in zip(mine, times["torchvision"], strict=True))
        print(f"| {name} | {BATCH / statistics.median(mine):,.0f} | {ratio:.1f} |")


if __name__ == "__main__":
    main()
