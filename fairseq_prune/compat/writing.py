"""Writing checkpoints atomically, and only one training in a folder."""

import contextlib
from argparse import Namespace
from collections.abc import Mapping
from functools import partial

import torch

from ..files.atomic import atomic_file, copy_atomically, remove_temporary
from ..files.folder import require_writable
from ..files.locks import one_writer
from ..files.messages import say_which
from ..pruning.packed_state import pack_checkpoint
from .patching import patch_once


def install() -> None:
    """Make fairseq write whole checkpoints or none, from one training per folder, and report errors in one line."""
    from fairseq import checkpoint_utils
    from fairseq.distributed import utils
    from fairseq.file_io import PathManager

    patch_once(PathManager, "copy", _whole)
    patch_once(checkpoint_utils, "torch_persistent_save", _once)
    patch_once(checkpoint_utils, "torch_persistent_save", _packed)
    patch_once(utils, "call_main", _alone)


def _whole(path_manager_copy):
    """fairseq copies ``checkpoint_last.pt`` in place: if it is killed meanwhile, half a file is left."""
    from fairseq.file_io import PathManager

    def copy(src_path, dst_path, overwrite=False):
        if PathManager.path_requires_pathmanager(dst_path):
            return path_manager_copy(src_path, dst_path, overwrite)
        copy_atomically(src_path, dst_path)
        return dst_path

    return copy


def _once(torch_persistent_save):
    """fairseq tries three times to write the same file: on a full disk, this leaves a traceback and half a file."""
    from fairseq.file_io import PathManager

    def save(obj, filename, async_write=False):
        if async_write or not PathManager.supports_rename(filename):
            torch_persistent_save(obj, filename, async_write)
            return
        with atomic_file(filename) as file:
            torch.save(obj, file)

    return save


def _packed(torch_persistent_save):
    """fairseq lets no task change what it saves; ``--prune-pack`` is read from the config that is saved with it."""

    def save(obj, *args, **kwargs):
        task = (obj.get("cfg") or {}).get("task") if isinstance(obj, Mapping) else None
        options = vars(task) if isinstance(task, Namespace) else task or {}
        torch_persistent_save(pack_checkpoint(obj) if options.get("prune_pack") else obj, *args, **kwargs)

    return save


def _alone(call_main):
    """Two trainings in one folder break each other's temporary files or mix their checkpoints."""

    def call(cfg, main, **kwargs):
        trains = cfg.common_eval.path is None
        return call_main(cfg, partial(_train, main) if trains else main, **kwargs)

    return call


def _train(main, cfg, **kwargs):  # at module level, so that spawned processes can unpickle it
    figures = cfg.common.tensorboard_logdir
    named = {"--save-dir": cfg.checkpoint.save_dir, "--log-file": cfg.common.log_file, "--tensorboard-logdir": figures}
    try:
        if figures:
            require_writable(figures)
        with _held(cfg.checkpoint, cfg.distributed_training.distributed_rank):
            return main(cfg, **kwargs)
    except OSError as error:
        message = say_which(error, named)
        if message is None:
            raise
        raise SystemExit(message) from None


@contextlib.contextmanager
def _held(cfg, rank):
    """Lock the save directory, on the first rank of a training that saves checkpoints."""
    if cfg.no_save or rank:
        yield
        return
    with one_writer(cfg.save_dir):
        remove_temporary(cfg.save_dir, "checkpoint*.pt")
        yield
