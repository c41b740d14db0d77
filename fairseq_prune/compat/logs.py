"""What fairseq's import does to logs: one of its tasks asks for tensorboardX, one of its models turns on debugging."""

import logging
import os
import sys


def give_no_advice() -> None:
    """Have fairseq's speech task say nothing below a warning: torch's own writer does what tensorboardX would.

    It speaks when it is imported, so this comes before fairseq, which its own programs import first.
    """
    logging.getLogger("fairseq.tasks.text_to_speech").setLevel(logging.WARNING)


def install() -> None:
    """Log what fairseq's programs mean to, ``LOGLEVEL`` or else INFO, where its import has turned on debugging.

    A model of it (``wav2vec2_classification``) calls ``basicConfig(level=DEBUG)``, which has every package of the
    process tell its inner life, and lets the program's own ``basicConfig`` do nothing. Logging that is set up in
    another way is someone else's and stays.
    """
    if logging.root.level == logging.DEBUG and list(map(_kind, logging.root.handlers)) == [_BARE]:
        level = os.environ.get("LOGLEVEL", "").upper()
        logging.root.setLevel(logging.getLevelNamesMapping().get(level, logging.INFO))


_BARE = (logging.StreamHandler, logging.BASIC_FORMAT, True)  # of basicConfig(level=...)


def _kind(handler):
    form = handler.formatter._fmt if handler.formatter else None
    return type(handler), form, getattr(handler, "stream", None) is sys.stderr
