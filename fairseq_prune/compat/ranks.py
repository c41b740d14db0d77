"""Several ranks: starting them, and loading checkpoints with masks on all of them."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from .patching import patch_once

if TYPE_CHECKING:
    from omegaconf import DictConfig


def install() -> None:
    """Start ranks by torchrun also where it has several machines or no GPU, on the CPU with any ``--ddp-backend``.

    And let them end in order.
    """
    from fairseq.distributed import utils
    from fairseq.models import distributed_fairseq_model

    patch_once(utils, "infer_init_method", _as_torchrun_says)
    patch_once(utils, "distributed_main", _leaving_the_group)
    if distributed_fairseq_model.DistributedDataParallel is not OnAnyDevice:
        distributed_fairseq_model.DistributedDataParallel = OnAnyDevice


def _as_torchrun_says(infer_init_method):
    """fairseq divides by the number of GPUs, and if ``--distributed-world-size`` is 1 lets each process train alone.

    Its default is the number of GPUs of this machine. And without a GPU fairseq's spawn starts no process and ends
    as if all were well.
    """

    def infer(cfg, force_distributed=False):
        started = int(os.environ.get("WORLD_SIZE", 1)) if "TORCHELASTIC_RUN_ID" in os.environ else 1
        if started > 1 and cfg.distributed_init_method is None:
            cfg.distributed_init_method, cfg.distributed_no_spawn = "env://", True
            cfg.distributed_world_size, cfg.distributed_rank = started, int(os.environ["RANK"])
            cfg.device_id = int(os.environ["LOCAL_RANK"]) if torch.cuda.is_available() else 0
        else:
            infer_init_method(cfg, force_distributed)

    return infer


def _leaving_the_group(distributed_main):
    """fairseq does not: a thread of the group that outlives its rank then ends it by SIGABRT, one run in thirty."""

    def run(*given):
        distributed_main(*given)
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()

    return run


class OnAnyDevice(DistributedDataParallel):
    """fairseq names a GPU also for a model on the CPU, which torch refuses."""

    def __init__(
        self, module: nn.Module, device_ids: list[int] | None = None, output_device: int | None = None, **kwargs: Any
    ):
        if not next(module.parameters()).is_cuda:
            device_ids = output_device = None
        super().__init__(module, device_ids, output_device, **kwargs)


def load_on_every_rank(config: DictConfig | None) -> None:
    """Have each rank read checkpoints itself.

    fairseq reads on rank 0 and broadcasts; that pickles a class which ``weights_only`` refuses and
    drops the metadata of the state dict, where the masks are. All ranks need to see the file.

    Args:
        config: the full config; None: there is none.
    """
    if config is not None and config.distributed_training.distributed_world_size > 1:
        config.checkpoint.load_checkpoint_on_all_dp_ranks = True


def read_on_every_rank(parser: argparse._ActionsContainer) -> None:
    """As :func:`load_on_every_rank`, for tasks that get a copy of all options: it sets the option's default.

    Args:
        parser: the parser fairseq is filling, before it parses for good.
    """
    parser.set_defaults(load_checkpoint_on_all_dp_ranks=True)
