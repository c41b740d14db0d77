"""The options of distillation, and what they mean.

See :mod:`fairseq_prune.engine.options` for what fairseq demands of such a dataclass.
"""

import math
from dataclasses import dataclass, field
from typing import Any, Optional

from fairseq.dataclass import FairseqDataclass
from fairseq.tasks import FairseqTask  # noqa: F401  (fairseq.dataclass is incomplete without it)

from ..needs import Need

EXAMPLE = "checkpoints/dense/checkpoint_best.pt"
SELF = "self"


@dataclass(frozen=True)
class Distillation:
    """What a run learns from beside its data, and how much.

    Args:
        teacher: path of a checkpoint; :data:`SELF`: the model that the run starts from.
        asked: how the user said so, e.g. ``"--prune-teacher self"``.
        weight: of the divergence from the teacher's distributions in the loss.
        temperature: of both distributions.
        hidden: weight of the squared distance from the teacher's hidden states.
        spelling: how the options of the three begin.
    """

    teacher: str
    asked: str
    weight: float = 1.0
    temperature: float = 2.0
    hidden: float = 0.0
    spelling: str = "--prune-kd-"

    def plain(self) -> dict[str, float]:
        """How much, to store in a checkpoint and compare on a resume."""
        return {"weight": self.weight, "temperature": self.temperature, "hidden": self.hidden}


def _option(text, needs=None):
    return field(default=None, metadata={"help": text} | ({"needs": needs} if needs else {}))


_LEARNS = Need(lambda run: run.options.prune_teacher, "--prune-teacher self")
_COMPARES = Need(lambda run: run.options.prune_teacher and run.options.prune_kd_weight != 0, "--prune-teacher self")


@dataclass
class DistillationOptions(FairseqDataclass):
    """Options of distillation, which every pruning task has; None means not given."""

    prune_teacher: Optional[str] = _option(
        f"learn from the outputs of this checkpoint, too; {SELF}: of the one that the run starts from"
    )
    prune_kd_weight: Optional[float] = _option(f"weight of the teacher's outputs ({Distillation.weight})", _LEARNS)
    prune_kd_temperature: Optional[float] = _option(
        f"divides the logits of both models ({Distillation.temperature})", _COMPARES
    )
    prune_kd_hidden: Optional[float] = _option(
        "weight of the hidden states of Transformer layers in the loss, matched evenly to the teacher's (0)", _LEARNS
    )


def read_distillation(cfg: DistillationOptions) -> Distillation | None:
    """What the options ask for; None where there is no teacher.

    Raises:
        ValueError: naming the option, the value and a valid example.
    """
    if not cfg.prune_teacher:
        return None
    typed = {"weight": cfg.prune_kd_weight, "temperature": cfg.prune_kd_temperature, "hidden": cfg.prune_kd_hidden}
    given: dict[str, Any] = {name: value for name, value in typed.items() if value is not None}
    for name, value in given.items():
        lowest = "above 0" if name == "temperature" else "0 or more"
        if not 0 <= value < math.inf or value == 0 and name == "temperature":
            raise ValueError(f"--prune-kd-{name} {value}: give a number, {lowest}, e.g. 2")
    asked = Distillation(cfg.prune_teacher, f"--prune-teacher {cfg.prune_teacher}", **given)
    if not (asked.weight or asked.hidden):
        raise ValueError(f"--prune-kd-weight 0: nothing of {asked.asked} is left; give e.g. --prune-kd-weight 1")
    return asked
