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
    """Make torchrun work with several machines and without a GPU, and any ``--ddp-backend`` work on the CPU.

    Also let ranks shut down in an orderly way.
    """
    from fairseq.distributed import utils
    from fairseq.models import distributed_fairseq_model

    patch_once(utils, "infer_init_method", _as_torchrun_says)
    patch_once(utils, "distributed_main", _leaving_the_group)
    if distributed_fairseq_model.DistributedDataParallel is not OnAnyDevice:
        distributed_fairseq_model.DistributedDataParallel = OnAnyDevice


def _as_torchrun_says(infer_init_method):
    """fairseq divides by the number of GPUs, and lets each process train alone if ``--distributed-world-size`` is 1.

    The default of that option is the number of GPUs of this machine. Without a GPU, fairseq's spawn starts no process
    at all and ends as if all were well.
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
    """fairseq never leaves the process group; in one run of thirty, a thread that outlives its rank raises SIGABRT."""

    def run(*given):
        distributed_main(*given)
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()

    return run


class OnAnyDevice(DistributedDataParallel):
    """fairseq passes a GPU even for a model on the CPU, which torch refuses."""

    def __init__(
        self, module: nn.Module, device_ids: list[int] | None = None, output_device: int | None = None, **kwargs: Any
    ):
        if not next(module.parameters()).is_cuda:
            device_ids = output_device = None
        super().__init__(module, device_ids, output_device, **kwargs)


def load_on_every_rank(config: DictConfig | None) -> None:
    """Make each rank read checkpoints itself.

    fairseq reads on rank 0 and broadcasts. That pickles a class which ``weights_only`` refuses, and
    drops the metadata of the state dict, where the masks are. All ranks must be able to read the file.

    Args:
        config: the full config, or None if there is none.
    """
    if config is not None and config.distributed_training.distributed_world_size > 1:
        config.checkpoint.load_checkpoint_on_all_dp_ranks = True


def read_on_every_rank(parser: argparse._ActionsContainer) -> None:
    """As :func:`load_on_every_rank`, for tasks that get a copy of all options: sets the option's default.

    Args:
        parser: the parser that fairseq is filling, before it parses for good.
    """
    parser.set_defaults(load_checkpoint_on_all_dp_ranks=True)
