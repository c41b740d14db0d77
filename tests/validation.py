"""fairseq-validate, read without the log, whose handlers it removes: every other one, so maybe pytest's."""

import pytest
from conftest import USER_DIR, run_fairseq
from fairseq.logging.progress_bar import SimpleProgressBar


def validated_loss(data, task, path):
    """The loss that fairseq-validate prints for a checkpoint."""
    printed = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SimpleProgressBar, "print", lambda bar, stats, tag=None, step=None: printed.append(stats))
        run_fairseq(
            "validate", data, "--user-dir", USER_DIR, "--task", task, "--path", path, "--cpu",
            "--max-tokens", "100", "--num-workers", "0", "--log-format", "simple",
        )  # fmt: skip
    (stats,) = printed
    return stats["loss"]
