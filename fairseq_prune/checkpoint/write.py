"""Writing a checkpoint that nobody sees before it is whole and checked."""

import os

import torch


def write_checked(checkpoint, path, check):
    """Write to a temporary name, check the file, and only then give it its name.

    Args:
        checkpoint: plain data and tensors.
        path: of the new file; its folder is made.
        check: function of the temporary path; what it raises leaves no file behind.

    Returns:
        What ``check`` returns.
    """
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    temporary = f"{path}.tmp"
    try:
        torch.save(checkpoint, temporary)
        result = check(temporary)
        os.replace(temporary, path)
    finally:
        if os.path.exists(temporary):
            os.remove(temporary)
    return result
