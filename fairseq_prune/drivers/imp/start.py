"""Writing a checkpoint of the untrained model that a training would start from."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from fairseq import tasks, utils
from fairseq.dataclass.utils import convert_namespace_to_omegaconf
from fairseq.models import BaseFairseqModel
from fairseq.tasks import FairseqTask
from omegaconf import DictConfig, OmegaConf

from ...files.atomic import atomic_file
from ...files.locks import StrPath
from ..training import parse_words


def build(data: str, words: Sequence[str]) -> tuple[DictConfig, FairseqTask, BaseFairseqModel]:
    """Config, task and initialised model of a training, as fairseq-train builds them by its seed.

    Args:
        data: the DATA argument.
        words: options of fairseq-train.
    """
    config = convert_namespace_to_omegaconf(parse_words(data, words))
    np.random.seed(config.common.seed)
    utils.set_torch_seed(config.common.seed)
    task = tasks.setup_task(config.task)
    return config, task, task.build_model(config.model)


def write_start(data: str, words: Sequence[str], path: StrPath) -> None:
    """Write an initialised model as a checkpoint to finetune from.

    Args:
        data: the DATA argument.
        words: options of fairseq-train.
        path: of the file, written under a temporary name first.
    """
    config, _, model = build(data, words)
    history: dict[str, Any] = {
        "criterion_name": None,
        "optimizer_name": None,
        "lr_scheduler_state": {},
        "num_updates": 0,
    }
    content = {
        "cfg": OmegaConf.to_container(config, resolve=True, enum_to_str=True),
        "args": None,
        "model": model.state_dict(),
        "optimizer_history": [history],
        "extra_state": {},
        "last_optimizer_state": None,
    }
    with atomic_file(path) as file:
        torch.save(content, file)
