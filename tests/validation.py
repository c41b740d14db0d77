"""fairseq-validate, read without the log, whose handlers it removes: every other one, so maybe pytest's."""

import pytest
from conftest import USER_DIR, run_fairseq
from fairseq.logging.progress_bar import SimpleProgressBar


def validated(data, task, path, *words):
    """The metrics that fairseq-validate prints for a checkpoint, by name."""
    printed = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SimpleProgressBar, "print", lambda bar, stats, tag=None, step=None: printed.append(stats))
        run_fairseq(
            "validate", data, "--user-dir", USER_DIR, "--task", task, "--path", path, "--cpu", "--num-workers", "0",
            "--log-format", "simple", *words,
        )  # fmt: skip
    (stats,) = printed
    return stats


def validated_loss(data, task, path):
    """The loss of a checkpoint of text."""
    return validated(data, task, path, "--max-tokens", "100")["loss"]


def validated_digits(path, subset="valid", *words):
    """The metrics of an image classifier."""
    task = "prune_image_classification"
    return validated("digits", task, path, "--valid-subset", subset, "--batch-size", "50", *words)
