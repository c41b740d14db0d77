"""Vision for fairseq_prune: datasets, models, a task and adversarial evaluation."""


def register():
    """Register what fairseq finds by name; idempotent."""
    from . import criterion, rmsprop, task  # noqa: F401
    from .models import classifier  # noqa: F401


# Its import may register all of the above, which must not begin halfway through one of our modules.
import fairseq_prune  # noqa: E402, F401
