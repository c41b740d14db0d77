"""Properties of the known image data sets: sizes, normalisation and augmentation."""

from dataclasses import dataclass

from fairseq_prune.pruning.registry import Entry, Registry


@dataclass(frozen=True)
class Augmentation:
    """The augmentation of a training image, in this order.

    Attributes:
        resized_crop: resize a random part of 8 to 100 % of the area; only for images in folders.
        degrees: largest angle of a random rotation, in either direction.
        padding: pixels of zeros added at each side before a random crop to the old size.
        flip: probability of a horizontal flip.
    """

    resized_crop: bool = False
    degrees: float = 0.0
    padding: int = 0
    flip: float = 0.0


@dataclass(frozen=True)
class ImageSet:
    """A row of :data:`DATASETS`; None for what is to be read from the data.

    Attributes:
        classes, channels: counts.
        size: height and width, in pixels.
        mean, std: of pixels in [0, 1], one value per channel or one for all.
        augmentation: augmentation of training images.
        border: for evaluation, an image in a folder is resized so that its shorter side has
            ``border * size`` pixels, and its centre of ``size`` x ``size`` pixels is used.
    """

    classes: int | None
    channels: int | None
    size: int | None
    mean: tuple[float, ...] = (0.5,)
    std: tuple[float, ...] = (0.5,)
    augmentation: Augmentation = Augmentation()
    border: float = 256 / 224


AUGMENTATIONS: Registry[Augmentation] = Registry("augmentation")
AUGMENTATIONS.update(
    none=Augmentation(),
    flip=Augmentation(flip=0.5),
    crop_flip=Augmentation(padding=4, flip=0.5),
    snipit=Augmentation(flip=0.2),  # SNIP-it on CIFAR-10
    snipit_rotate=Augmentation(flip=0.2, degrees=5),  # SNIP-it on CIFAR-100
)

_CROP_FLIP = AUGMENTATIONS["crop_flip"]
_RESIZED = Augmentation(resized_crop=True, flip=0.5)
_IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

OTHER = ImageSet(None, None, None)
DATASETS: Registry[ImageSet] = Registry("image set")
DATASETS.update(
    digits=ImageSet(10, 1, 8, (0.3053,), (0.3761,)),
    synthetic=ImageSet(10, 3, 16),
    mnist=ImageSet(10, 1, 28, (0.1307,), (0.3081,)),
    svhn=ImageSet(10, 3, 32),
    cifar10=ImageSet(10, 3, 32, (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010), _CROP_FLIP),
    cifar100=ImageSet(100, 3, 32, (0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761), _CROP_FLIP),
    tinyimagenet=ImageSet(200, 3, 64, *_IMAGENET, Augmentation(padding=8, flip=0.5), border=1),
    imagenette=ImageSet(10, 3, 128, *_IMAGENET, _RESIZED),
    imagewoof=ImageSet(10, 3, 128, *_IMAGENET, _RESIZED),
    imagenet=ImageSet(1000, 3, 224, *_IMAGENET, _RESIZED),
)


def look_up(option: str, table: Registry[Entry], name: str) -> Entry:
    """The entry of a table that an option names.

    Raises:
        ValueError: there is no such entry.
    """
    try:
        return table[name]
    except ValueError as error:
        raise ValueError(f"{option} {name}: {error}; give e.g. {option} {min(table)}") from None
