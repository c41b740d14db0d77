"""What importing fairseq does to logging: one task asks for tensorboardX, one model turns on debug messages."""

import logging
import os
import sys


def give_no_advice() -> None:
    """Silence fairseq's speech task below warnings: torch's own writer does what tensorboardX would.

    The task logs its advice when it is imported, so call this before fairseq is imported. In fairseq's own programs,
    that is not possible.
    """
    logging.getLogger("fairseq.tasks.text_to_speech").setLevel(logging.WARNING)


def install() -> None:
    """Go back to the level that fairseq's programs intend, ``LOGLEVEL`` or else INFO, if its import turned on DEBUG.

    One of its models (``wav2vec2_classification``) calls ``basicConfig(level=DEBUG)``: every package of the process
    then logs its debug messages, and the program's own ``basicConfig`` has no effect. Logging that was set up in any
    other way is left alone.
    """
    if logging.root.level == logging.DEBUG and list(map(_kind, logging.root.handlers)) == [_BARE]:
        level = os.environ.get("LOGLEVEL", "").upper()
        logging.root.setLevel(logging.getLevelNamesMapping().get(level, logging.INFO))


_BARE = (logging.StreamHandler, logging.BASIC_FORMAT, True)  # what basicConfig(level=...) sets up


def _kind(handler):
    form = handler.formatter._fmt if handler.formatter else None
    return type(handler), form, getattr(handler, "stream", None) is sys.stderr
