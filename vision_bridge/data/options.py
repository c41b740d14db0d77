"""The options of images."""

from dataclasses import dataclass, field
from typing import Optional

from fairseq.dataclass import FairseqDataclass
from fairseq.tasks import FairseqTask  # noqa: F401  (fairseq.dataclass is incomplete without it)
from omegaconf import II

from fairseq_prune.needs import Need

from .torchvision_sets import MARKS

_NAMED = Need(lambda options: options.data in MARKS, "DATA cifar10")


@dataclass
class ImageOptions(FairseqDataclass):
    """Where images come from, and what is done to them."""

    data: Optional[str] = field(
        default=None,
        metadata={
            "help": "digits, synthetic, or below --data-root cifar10, cifar100, mnist, svhn; or npz files (separated "
            "by ':'), or a folder of npz files, of torchvision's files, or of train/CLASS/ and val/CLASS/"
        },
    )
    data_root: str = field(default="data-bin", metadata={"help": "folder of the sets that DATA names", "needs": _NAMED})
    download: bool = field(
        default=False, metadata={"help": "let torchvision download the set that DATA names", "needs": _NAMED}
    )
    image_set: Optional[str] = field(
        default=None, metadata={"help": "the set whose classes, normalisation and augmentation are meant, e.g. cifar10"}
    )
    image_size: Optional[int] = field(
        default=None, metadata={"help": "resize images to this height and width in pixels"}
    )
    normalisation: Optional[str] = field(
        default=None, metadata={"help": "take mean and standard deviation of this set, e.g. imagenet"}
    )
    augmentation: str = field(
        default="default",
        metadata={"help": "of training images: default (the set's own), none, flip, crop_flip, snipit, snipit_rotate"},
    )
    holdout: float = field(
        default=0.1,
        metadata={"help": "fraction of the training images kept for the split valid; 0: valid is the test set"},
    )
    max_train_images: Optional[int] = field(
        default=None, metadata={"help": "train on this many images only, the same ones in every run"}
    )
    seed: int = II("common.seed")


def check_options(options: ImageOptions) -> None:
    """Refuse values that are not valid for any data set.

    Args:
        options: has the fields of :class:`ImageOptions`.

    Raises:
        ValueError: the message names the option, the value and a valid example.
    """
    if not 0 <= options.holdout < 1:
        raise ValueError(f"--holdout {options.holdout}: a fraction in [0, 1); give e.g. --holdout 0.1")
    for option, value, example in (
        ("--image-size", options.image_size, 32),
        ("--max-train-images", options.max_train_images, 5000),
    ):
        if value is not None and value < 1:
            raise ValueError(f"{option} {value}: at least 1; give e.g. {option} {example}")
