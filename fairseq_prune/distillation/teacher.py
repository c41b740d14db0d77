"""The frozen model that a student learns from."""

from __future__ import annotations

import os
import zlib
from typing import TYPE_CHECKING

import torch
from fairseq.models import FairseqEncoderDecoderModel, FairseqEncoderModel, FairseqLanguageModel, FairseqMultiModel
from torch import nn

from ..checkpoint.load import load_model, other_words
from ..checkpoint.start import Start
from ..compat import load_checkpoint
from ..errors import errors_named
from .options import EXAMPLE, SELF, Distillation

if TYPE_CHECKING:
    from fairseq.models import BaseFairseqModel
    from fairseq.tasks import FairseqTask


class Teacher:
    """A frozen model in eval mode, for ever.

    It is no module, so whatever holds it has no parameters of it: nothing of it is saved, trained,
    wrapped by DDP, or switched to training mode.

    Args:
        model: the fairseq model; changed in place.

    Attributes:
        checksum: of its weights (int).
    """

    def __init__(self, model: BaseFairseqModel):
        self.model = model.eval().requires_grad_(False)
        self.checksum = _checksum(model)

    def beside(self, student: nn.Module) -> BaseFairseqModel:
        """The model, on the device and in the dtype of the student's weights.

        With ``--fp16`` that is fp16. With ``--amp`` both are fp32 and run under the same autocast.
        """
        theirs, mine = (next(model.parameters()) for model in (student, self.model))
        if (theirs.device, theirs.dtype) != (mine.device, mine.dtype):
            self.model.to(device=theirs.device, dtype=theirs.dtype)
        return self.model


_KINDS: dict[type[nn.Module], str] = {  # which are called with other things
    FairseqEncoderDecoderModel: "an encoder and a decoder",
    FairseqLanguageModel: "a language model",
    FairseqEncoderModel: "an encoder alone",
    FairseqMultiModel: "several models in one",
}


def check_kind(student: nn.Module, teacher: nn.Module) -> None:
    """Refuse a teacher that cannot be called as the student is; of models of no base of fairseq's nothing is known.

    Raises:
        ValueError: naming both kinds.
    """
    mine, theirs = (
        next((kind for base, kind in _KINDS.items() if isinstance(model, base)), "") for model in (student, teacher)
    )
    if mine and theirs and mine != theirs:
        raise ValueError(f"is {theirs}, the model that is trained {mine}; give one of the same kind, e.g. {EXAMPLE}")


def _checksum(model):
    crc = 0
    for name, value in sorted(model.state_dict().items()):
        values = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
        crc = zlib.crc32(values, zlib.crc32(name.encode(), crc))
    return crc


def load_teacher(asked: Distillation, start: Start, task: FairseqTask) -> Teacher:
    """Read the teacher of a run.

    Args:
        asked: names it.
        start: what the run starts from.
        task: the run's task; builds the teacher, by the architecture in its own checkpoint.

    Returns:
        A :class:`Teacher`.

    Raises:
        ValueError: none is named, the file is missing or unreadable, or it holds a model of another
            vocabulary or of another kind of task.
    """
    path = start.origin if asked.teacher == SELF else asked.teacher
    if not path:
        begins = f"goes on from {start.path}, which it replaces" if start.path else "starts from new weights"
        raise ValueError(f"{asked.asked}: the run {begins}; add e.g. --finetune-from-model {EXAMPLE}, or name a file")
    several = path.split(os.pathsep)
    if len(several) > 1 and not os.path.exists(path):
        raise ValueError(f"{asked.asked}: one checkpoint teaches, no ensemble; give e.g. --prune-teacher {several[0]}")
    with errors_named(asked.asked):
        load_checkpoint(path)  # what is wrong with a file is said better here than by fairseq
        model = load_model(path, task)
        if differs := other_words(path, task):
            raise ValueError(f"{path}: it was trained with another {differs} than DATA has; give e.g. {EXAMPLE}")
    return Teacher(model)
