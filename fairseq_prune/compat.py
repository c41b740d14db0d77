"""Every workaround for fairseq, torch and numpy, each with its reason.

:func:`install` runs when fairseq imports the user-dir; it is idempotent.
"""

import argparse
import contextlib
import functools
import os
import pickle
import shutil
import struct
import sys

import numpy as np
import torch

# What torch.load raises of foreign files, beside pickle.UnpicklingError.
UNREADABLE = (RuntimeError, EOFError, LookupError, OSError, UnicodeDecodeError, struct.error)


def install():
    """Put all process-wide workarounds in force."""
    from fairseq import checkpoint_utils
    from fairseq.file_io import PathManager
    from fairseq.models.ema.ema import EMA

    _allow_fairseq_checkpoints()
    _patch_once(checkpoint_utils, "load_checkpoint_to_cpu", _with_readable_errors)
    _patch_once(checkpoint_utils, "load_model_ensemble_and_task", _with_missing_files_named)
    _patch_once(PathManager, "copy", _atomically)
    _patch_once(EMA, "__init__", _exposing_masters)


def _patch_once(holder, attribute, patch):
    """Replace a function by ``patch(function)``, unless this patch is in force already."""
    original = getattr(holder, attribute)
    done = getattr(original, "fairseq_prune_patches", ())
    if patch.__name__ in done:
        return
    patched = functools.wraps(original)(patch(original))
    patched.fairseq_prune_patches = (*done, patch.__name__)
    is_static = isinstance(vars(holder).get(attribute), staticmethod)
    setattr(holder, attribute, staticmethod(patched) if is_static else patched)


def _allow_fairseq_checkpoints():
    """torch >= 2.6 refuses fairseq's own files: they hold a Namespace and numpy scalars.

    (fairseq #5603, #5610.) These few types rebuild data only, so ``weights_only=True`` stays on.
    Files written under numpy 1 name the same objects by their old path.
    """
    multiarray = np.core.multiarray if np.__version__ < "2" else np._core.multiarray
    torch.serialization.add_safe_globals(
        [argparse.Namespace, np.ndarray, np.dtype]
        + [getattr(np.dtypes, name) for name in ("Float64DType", "Float32DType", "Int64DType", "Int32DType")]
        + [
            (getattr(multiarray, name), f"numpy.{core}.multiarray.{name}")
            for name in ("_reconstruct", "scalar")
            for core in ("core", "_core")
        ]
    )


def load_checkpoint(path):
    """Read a checkpoint without running any code it may hold.

    Args:
        path: a fairseq checkpoint.

    Returns:
        Its dict, tensors on the CPU.

    Raises:
        ValueError: missing, truncated, holding code, or no checkpoint of fairseq.
    """
    _allow_fairseq_checkpoints()
    with _explained(path):
        state = torch.load(path, map_location="cpu", weights_only=True)
        if not isinstance(state, dict) or "model" not in state:
            raise RuntimeError("it holds no model")
        return state


@contextlib.contextmanager
def _explained(path):
    try:
        yield
    except FileNotFoundError:
        raise ValueError(f"checkpoint {path}: no such file; give e.g. checkpoints/checkpoint_best.pt") from None
    except pickle.UnpicklingError as error:
        reason = str(error)
        if "Unsupported" in reason or "GLOBAL" in reason:
            reason = "it holds code or foreign classes, which are never loaded"
        raise ValueError(f"checkpoint {path}: not loaded, {reason.splitlines()[0]}") from None
    except UNREADABLE as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"checkpoint {path}: not a readable fairseq checkpoint ({reason})") from None


def _with_readable_errors(load_checkpoint_to_cpu):
    """fairseq shows an unreadable checkpoint as a traceback; here it is one line."""

    def load(path, *args, **kwargs):
        try:
            with _explained(path):
                return load_checkpoint_to_cpu(path, *args, **kwargs)
        except ValueError as error:
            raise SystemExit(str(error)) from None

    return load


def _with_missing_files_named(load_model_ensemble_and_task):
    """``--path`` of a file that is not there: one line here too."""

    def load(*args, **kwargs):
        try:
            return load_model_ensemble_and_task(*args, **kwargs)
        except OSError as error:
            if "Model file not found" not in str(error):
                raise
            raise SystemExit(f"--path: {error}; give e.g. checkpoints/checkpoint_best.pt") from None

    return load


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


def _exposing_masters(ema_init):
    """A task is given the EMA model but not its fp32 copies, which have to be masked as well.

    Besides, EMA would average integers (an error) and connectivity, whose 0 and 1 have to stay.
    """

    def init(self, model, *args, **kwargs):
        ema_init(self, model, *args, **kwargs)
        self.model.ema_fp32_params = self.fp32_params
        integers = {name for name, value in self.model.state_dict().items() if not value.is_floating_point()}
        self.skip_keys = {*self.skip_keys, *integers, *getattr(model, "connectivity", ())}

    return init


def start_averages_from_weights():
    """Let ``--store-ema`` start from a checkpoint that has no averages.

    fairseq means to start them from the weights but has deleted those by then (KeyError 'model').
    The weights given twice stay in memory for the run, so call this only for runs with averages.
    """
    from fairseq import checkpoint_utils

    _patch_once(checkpoint_utils, "load_checkpoint_to_cpu", _with_averages)


def _with_averages(load_checkpoint_to_cpu):
    def load(*args, **kwargs):
        state = load_checkpoint_to_cpu(*args, **kwargs)
        state["extra_state"].setdefault("ema", state["model"])
        return state

    return load


def load_on_every_rank(task_cfg):
    """Have each rank read checkpoints itself.

    fairseq reads on rank 0 and broadcasts; that pickles a class which ``weights_only`` refuses and
    drops the metadata of the state dict, where the masks are. All ranks need to see the file.

    Args:
        task_cfg: the task's config node inside the full config.
    """
    root = task_cfg._get_parent() if hasattr(task_cfg, "_get_parent") else None
    if root is not None and root.distributed_training.distributed_world_size > 1:
        root.checkpoint.load_checkpoint_on_all_dp_ranks = True


def forget_best():
    """Let the search for the best checkpoint, and the patience of early stopping, begin anew.

    fairseq keeps both as function attributes. A dense model's loss is no yardstick for a pruned
    one: without this ``checkpoint_best.pt`` would stay the dense model's.
    """
    for module, function in (
        ("fairseq.checkpoint_utils", "save_checkpoint"),
        ("fairseq_cli.train", "should_stop_early"),
        ("__main__", "should_stop_early"),  # python -m fairseq_cli.train
    ):
        holder = getattr(sys.modules.get(module), function, None)
        if hasattr(holder, "best"):
            del holder.best


def hold_best(maximize):
    """Choose no best checkpoint for now, nor run out of patience; :func:`forget_best` ends it.

    A model that shrinks gets worse by design. fairseq compares with the best value so far, so one
    that nothing beats keeps it from writing ``checkpoint_best.pt``.

    Args:
        maximize: the run's --maximize-best-checkpoint-metric.
    """
    from fairseq import checkpoint_utils

    forget_best()
    checkpoint_utils.save_checkpoint.best = float("inf") if maximize else float("-inf")


class _Refused(argparse.Action):
    def __call__(self, parser, namespace, values, option_string=None):
        parser.exit(2, f"{option_string}: means TPU in this fairseq; use --fp16 or --amp, e.g. --amp\n")


def refuse_bf16(parser):
    """``--bf16`` implies ``--tpu`` in fairseq 0.12 and dies in a missing import; say so instead.

    Args:
        parser: the parser fairseq is filling, before it parses for good.
    """
    for option in ("--bf16", "--memory-efficient-bf16"):
        if option in parser._option_string_actions:
            parser._option_string_actions[option] = _Refused([option], "bf16", nargs=0)
