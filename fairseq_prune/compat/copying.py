"""Copies of files that are there whole or not at all."""

import os
import shutil

from .patching import patch_once


def install():
    """Make fairseq's copies of checkpoints atomic."""
    from fairseq.file_io import PathManager

    patch_once(PathManager, "copy", _atomically)


def _atomically(path_manager_copy):
    """fairseq copies ``checkpoint_last.pt`` in place: a kill meanwhile leaves half a file."""
    from fairseq.file_io import PathManager

    def copy(src_path, dst_path, overwrite=False):
        if PathManager.path_requires_pathmanager(dst_path):
            return path_manager_copy(src_path, dst_path, overwrite)
        shutil.copyfile(src_path, dst_path + ".tmp")
        os.replace(dst_path + ".tmp", dst_path)
        return dst_path

    return copy
