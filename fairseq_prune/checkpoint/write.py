"""Writing a checkpoint that becomes visible only once it is complete and checked."""

from collections.abc import Callable
from typing import Any, TypeVar

import torch

from ..files.atomic import atomic_file
from ..files.locks import StrPath

Checked = TypeVar("Checked")


def write_checked(checkpoint: dict[str, Any], path: StrPath, check: Callable[[str], Checked]) -> Checked:
    """Write to a temporary name, check the file, and only then give it its final name.

    Args:
        checkpoint: plain data and tensors.
        path: path of the new file; its folder is created.
        check: called with the temporary path; if it raises, no file is left behind.

    Returns:
        What ``check`` returns.
    """
    with atomic_file(path) as file:
        torch.save(checkpoint, file)
        file.flush()
        return check(file.name)
