"""The user's own ``--user-dir``, for commands that do not train."""

import os
from argparse import Namespace

from .. import register
from ..errors import errors_of_a_file


def import_user_dir(path: str) -> None:
    """Import a folder as fairseq's ``--user-dir``, so that what it registers becomes available.

    Args:
        path: path of the folder.

    Raises:
        ValueError: there is no such folder, or it cannot be imported.
    """
    if not os.path.isdir(path):
        raise ValueError(f"--user-dir {path}: no such folder; give that of the training, e.g. my_pruning")
    from fairseq import utils

    register()
    with errors_of_a_file(f"--user-dir {path}", "it cannot be imported"):
        utils.import_user_module(Namespace(user_dir=path))
