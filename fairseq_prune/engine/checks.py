"""Users' mistakes as one line instead of a traceback."""

import contextlib
import os

from .plan import check_reachable


@contextlib.contextmanager
def one_line_errors():
    """Turn the core's ValueErrors into an exit with a message and a status that is not 0."""
    try:
        yield
    except ValueError as error:
        raise SystemExit(str(error)) from None


def check_data(path):
    """Refuse a data folder that fairseq-preprocess did not write.

    Args:
        path: as given on the command line; several are separated by colons.

    Raises:
        ValueError: no such folder, or no dictionary in it.
    """
    folder = path.split(os.pathsep)[0]
    found = os.listdir(folder) if os.path.isdir(folder) else None
    if found is None or not any(name.startswith("dict.") for name in found):
        reason = "no such folder" if found is None else "no dict.*.txt in it"
        raise ValueError(f"DATA {folder}: {reason}; make it with fairseq-preprocess, e.g. data-bin/demo")


def check_run(cfg, plan):
    """Refuse what can be known to fail before any data is loaded.

    Args:
        cfg: the task's config inside the full config.
        plan: the run's plan.

    Raises:
        ValueError: naming the option, the value and a valid example.
    """
    check_data(cfg.data)
    for option, path in (
        ("--restore-file", cfg.prune_restore_file),
        ("--finetune-from-model", cfg.prune_finetune_from_model),
    ):
        if path and path != "checkpoint_last.pt" and not os.path.isfile(path):
            raise ValueError(f"{option} {path}: no such file; give e.g. checkpoints/dense/checkpoint_best.pt")
    if cfg.prune_ddp_backend == "fully_sharded":
        raise ValueError("--ddp-backend fully_sharded: parameters are split over ranks; use e.g. legacy_ddp")
    if plan.prunes:
        check_reachable(plan.schedule, cfg.prune_max_epoch, cfg.prune_max_update)
