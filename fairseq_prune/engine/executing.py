"""``--prune-execute``: how the layers of a model are run in evaluation."""

from typing import Any

import torch
from fairseq.models import BaseFairseqModel

from ..modules.csr.execute import Execution, check_how


def check_execute(cfg: Any) -> None:
    """Refuse what only CPUs compute, in float32, elsewhere.

    Args:
        cfg: config with the fields of :class:`~.options.PruneOptions`.

    Raises:
        ValueError: naming the option.
    """
    how = cfg.prune_execute
    check_how("--prune-execute", how)
    if how in ("auto", "csr") and ((torch.cuda.is_available() and not cfg.prune_cpu) or cfg.prune_fp16):
        raise ValueError(f"--prune-execute {how}: for CPUs and float32; give --cpu and no --fp16")


def execute_when_loaded(model: BaseFairseqModel, how: str | None) -> None:
    """Have a model run its layers as asked once it has loaded its weights.

    Args:
        model: that is built.
        how: value of ``--prune-execute``; None or dense: as ever.
    """
    if how not in (None, "dense"):
        model.register_load_state_dict_post_hook(lambda *_: Execution(model, how) and None)
