"""Records of a run that must never stop it, however damaged they are."""

import contextlib
import logging
import os
from collections.abc import Iterator

from ..files.messages import one_line

logger = logging.getLogger(__name__)


@contextlib.contextmanager
def harmless(path: str) -> Iterator[None]:
    """Say in one line why a record could not be written, and train on.

    Args:
        path: of the record.
    """
    try:
        yield
    except (OSError, ValueError) as error:
        logger.warning(one_line(f"{path}: not written ({error}); the run continues without it"))


def set_aside(path: str, reason: str) -> None:
    """Keep a damaged record under another name, and say so; a new one can be begun.

    Args:
        path: of the record.
        reason: what is wrong with it.
    """
    os.replace(path, f"{path}.damaged")
    logger.warning(one_line(f"{path}: {reason}; kept as {path}.damaged, a new one is begun"))
