"""Vision for fairseq_prune: datasets, models, a task and adversarial evaluation."""


def register() -> None:
    """Register everything that fairseq looks up by name; idempotent."""
    from . import compact, criterion, describe, optimizers, task  # noqa: F401
    from .attack import evaluate  # noqa: F401
    from .models import classifier  # noqa: F401
    from .plots import command  # noqa: F401


# Importing these registers all of the above, which must not happen halfway through one of our modules.
import fairseq  # noqa: E402, F401

import fairseq_prune  # noqa: E402, F401
