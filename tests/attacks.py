"""Attacks on a net for the digits, in few steps."""

from commands import reported

from vision_bridge.attack.table import ATTACKS

STEPS = {"cw": 20, "salt_pepper": 40, "ddn": 20, "gaussian_noise": 10, "deepfool": 20, "pgd": 20}


def few_steps(names):
    """Words of ``--steps`` for attacks."""
    chosen = ATTACKS if names == "all" else names.split(",")
    return ",".join(f"{name}={STEPS[name]}" for name in chosen if name in STEPS)


def pixels_of(split, indices):
    """Pixels in [0, 1] and classes of images."""
    from vision_bridge.data.options import ImageOptions
    from vision_bridge.data.source import open_source

    images = open_source("digits", ImageOptions(seed=1)).images(split).take(list(indices))
    return images.images / 255, images.targets


def attack(capsys, *words):
    """The JSON report of ``fairseq-prune attack``."""
    return reported(capsys, "attack", *words, "--cpu")
