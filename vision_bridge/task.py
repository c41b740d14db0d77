"""Image classification, with pruning."""

import logging
from dataclasses import dataclass

from fairseq.tasks import FairseqTask, register_task

from fairseq_prune.engine.options import PruneOptions
from fairseq_prune.errors import one_line_errors

from .data.options import ImageOptions
from .data.source import open_source
from .models.heads import is_auxiliary
from .pruning import VisionPruning
from .pruning_options import VisionPruningOptions
from .surgery.resize import follow_widths

FAIRSEQ_DEFAULTS = {
    "batch_size": 0,  # fairseq only asserts that it is given; our message explains
    "ignore_unused_valid_subsets": True,  # fairseq would look for them in a folder named DATA
}
logger = logging.getLogger(__name__)


@dataclass
class ImageClassificationConfig(ImageOptions):
    """Options of images; fairseq's ``--batch-size`` is the exact number of images in a batch."""


class ImageClassificationTask(FairseqTask):
    """Batches of images and their classes.

    Attributes:
        source: :class:`~.data.source.Source`.
        image_shape: (channels, height, width).
        classes: count.
        mean, std: of the normalisation, for pixels in [0, 1].
        knows_data_by_name: DATA need not be a folder.
        auxiliary: whether the model that was built has auxiliary classifiers.
        cuts_on_load: loaded weights start a new training instead of resuming one.
    """

    knows_data_by_name = True
    source_dictionary = target_dictionary = None
    only_evaluates = cuts_on_load = auxiliary = False

    def __init__(self, cfg, source):
        super().__init__(cfg)
        self.source, self.image_shape, self.classes = source, source.shape, source.classes
        self.mean, self.std = source.mean, source.std

    @classmethod
    def add_args(cls, parser):
        super().add_args(parser)
        for option, default in FAIRSEQ_DEFAULTS.items():
            if f"--{option.replace('_', '-')}" in parser._option_string_actions:
                parser.set_defaults(**{option: default})

    @classmethod
    def setup_task(cls, cfg, **kwargs):
        """Find the images.

        Raises:
            SystemExit: where :func:`~.data.source.open_source` raises a ValueError.
        """
        with one_line_errors():
            return cls(cfg, open_source(cfg.data, cfg))

    def build_model(self, cfg, from_checkpoint=False):
        """A classifier that takes over the widths of cut weights that it loads."""
        model = super().build_model(cfg, from_checkpoint)
        follow_widths(model, one_line_errors, of_other_classes=self.cuts_on_load)
        self.auxiliary = any(is_auxiliary(name) for name, _ in model.named_parameters())
        return model

    def has_sharded_data(self, split):
        """False: several paths in DATA are parts of one data set, not a data set for each epoch."""
        return False

    def load_dataset(self, split, combine=False, task_cfg=None, **kwargs):
        """Make the dataset of train, valid or test; ``train`` is shuffled and augmented, except in evaluation."""
        trains = split == "train" and not self.only_evaluates
        with one_line_errors():
            self.datasets[split] = dataset = self.source.dataset(split, trains)
        shape = "x".join(map(str, self.image_shape))
        logger.info(
            f"{split}: {len(dataset):,} images of {shape} in {self.classes} classes, mean {self.mean}, std {self.std}, "
            f"{dataset.augmentation or 'not augmented'}"
        )

    def can_reuse_epoch_itr(self, dataset):
        """True, since the iterator gets new batches for each epoch; so worker processes are kept.

        When Python collects an iterator, it waits 5 s for each of its workers (they wait for a queue that
        was collected first), which would happen in every epoch.
        """
        return True

    def get_batch_iterator(self, dataset, max_tokens=None, max_sentences=None, **kwargs):
        """As fairseq's, but the dataset alone decides on the batches of each epoch and their order."""
        if max_tokens:
            raise SystemExit(f"--max-tokens {max_tokens}: images have no tokens; give e.g. --batch-size 128")
        if not max_sentences:
            raise SystemExit("--batch-size: images in a batch, none given; give e.g. --batch-size 128")
        batches = super().get_batch_iterator(dataset, max_sentences=max_sentences, **kwargs)
        batches.batch_sampler = lambda dataset, epoch: dataset.batches(epoch, max_sentences)
        batches.disable_shuffling, batches.shuffle = True, False
        return batches

    def max_positions(self):
        """None: images have no positions."""


@dataclass
class PruneImageClassificationConfig(VisionPruningOptions, PruneOptions, ImageClassificationConfig):
    """Options of images and of pruning."""


@register_task("prune_image_classification", dataclass=PruneImageClassificationConfig)
class PruneImageClassificationTask(VisionPruning, ImageClassificationTask):
    """Image classification with pruning."""
