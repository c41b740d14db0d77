"""Rebuilding a checkpoint's model from the file alone."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from fairseq_prune.checkpoint.config import Config

from .models.classifier import ImageClassifier
from .surgery.resize import follow_widths


def rebuild(checkpoint: Mapping[str, Any]) -> ImageClassifier:
    """Build the model that a checkpoint's config describes, with its weights and widths; needs no images.

    Args:
        checkpoint: contents of a checkpoint of fairseq-train; not modified.

    Returns:
        :class:`~.models.classifier.ImageClassifier` in eval mode, float32, on the CPU, without masks.

    Raises:
        ValueError: the checkpoint has no config, or its weights do not fit the config.
        SystemExit: the config names a net that this version does not have.
    """
    options = Config(checkpoint).model
    try:
        task = SimpleNamespace(image_shape=options["image_shape"], classes=options["classes"], only_evaluates=True)
    except KeyError:
        raise ValueError("the checkpoint does not say the shape of its images; train it with this suite") from None
    model = ImageClassifier.build_model(SimpleNamespace(**options), task)
    follow_widths(model)
    try:
        model.load_state_dict(checkpoint["model"])
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"the weights do not fit architecture {options.get('arch')}: {reason[:250]}") from None
    return model.eval()
