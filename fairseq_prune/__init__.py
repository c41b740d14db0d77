"""Pruning for fairseq: point ``--user-dir`` at this folder."""

import sys


def register():
    """Put the workarounds in force and register everything with fairseq; idempotent.

    Happens by itself where fairseq was imported before this package, as when it imports its
    user-dir. Code that uses ``fairseq_prune.pruning`` or ``fairseq_prune.report`` alone does not pay
    for fairseq's import; to use fairseq afterwards in the same process, call this.
    """
    from . import compat

    compat.install()
    import vision_bridge

    from .criterions import srp  # noqa: F401
    from .models import rnn_lm, rnn_seq2seq, srp_transformer  # noqa: F401
    from .optim import phased, srp_adam  # noqa: F401
    from .tasks import srp_translation, stateful_language_modeling, stock  # noqa: F401

    vision_bridge.register()


if "fairseq" in sys.modules:
    register()
