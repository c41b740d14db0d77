"""``--criterion srp``: label-smoothed cross entropy, with knowledge distillation if asked for."""

import logging
import math
from dataclasses import dataclass, field
from typing import Optional

from fairseq.criterions import register_criterion
from fairseq.criterions.label_smoothed_cross_entropy import (
    LabelSmoothedCrossEntropyCriterion,
    LabelSmoothedCrossEntropyCriterionConfig,
)

from ..distillation.options import EXAMPLE, SELF, Distillation
from ..errors import one_line_errors
from ..needs import Need, refuse_idle_fields

logger = logging.getLogger(__name__)

DEFAULT_WEIGHT = 0.7
TASK = "--user-dir fairseq_prune --task prune_translation"

_DISTILS = Need(lambda cfg: cfg.use_kd or cfg.prob_kd is not None, "--use-kd")


def _unread(part):
    return field(default=0.0, metadata={"help": f"accepted for old command lines; {part} are not distilled"})


@dataclass
class SrpCriterionConfig(LabelSmoothedCrossEntropyCriterionConfig):
    """The original's options (no prefix) under their own and under clearer names."""

    use_kd: bool = field(default=False, metadata={"help": "distil from a teacher while training"})
    prob_kd: Optional[float] = field(
        default=None,
        metadata={
            "help": f"weight of distillation (default {DEFAULT_WEIGHT}); above 0 implies --use-kd, 0 switches it off",
            "argparse_alias": "--srp-kd-weight",
        },
    )
    T: float = field(
        default=10.0,
        metadata={"help": "temperature of distillation", "argparse_alias": "--srp-kd-temperature", "needs": _DISTILS},
    )
    srp_teacher: Optional[str] = field(
        default=None,
        metadata={"help": "checkpoint of the teacher (default: the model that the run starts from)", "needs": _DISTILS},
    )
    attn_kd: float = _unread("attention maps")
    fc_kd: float = _unread("feed-forward outputs")
    emb_kd: float = _unread("embeddings")


def asked_distillation(cfg: SrpCriterionConfig) -> Distillation | None:
    """What the options ask for; None: no distillation.

    The original never read ``--use-kd``: there a positive ``--prob-kd`` alone was enough, and is here.

    Args:
        cfg: :class:`SrpCriterionConfig`.

    Raises:
        ValueError: naming the option, the value and a valid example.
    """
    if not 0 < cfg.T < math.inf:
        raise ValueError(f"--srp-kd-temperature {cfg.T} (--T): give a number above 0, e.g. 10")
    refuse_idle_fields(SrpCriterionConfig, cfg, cfg)
    weight = cfg.prob_kd
    if weight is None:
        weight = DEFAULT_WEIGHT if cfg.use_kd else 0.0
    if not 0 <= weight < math.inf:
        raise ValueError(f"--srp-kd-weight {weight} (--prob-kd): give 0 or more, e.g. {DEFAULT_WEIGHT}")
    asked = f"--srp-teacher {cfg.srp_teacher}" if cfg.srp_teacher else "--use-kd"
    return Distillation(cfg.srp_teacher or SELF, asked, weight, cfg.T, spelling="--srp-kd-") if weight else None


def _warn_of_unread(cfg):
    for name in ("attn_kd", "fc_kd", "emb_kd"):
        if value := getattr(cfg, name):
            logger.warning(
                f"--{name.replace('_', '-')} {value} does nothing, here as in the original; "
                f"to distil the model's output, use e.g. --use-kd --srp-teacher {EXAMPLE}"
            )


@register_criterion("srp", dataclass=SrpCriterionConfig)
class SrpCriterion(LabelSmoothedCrossEntropyCriterion):
    """Label-smoothed cross entropy, and a second spelling of the options of distillation.

    Differences from the original's distillation: padding does not count, the teacher is in eval mode,
    and it is there only where asked for.

    Attributes:
        distillation: what a pruning task adds to the loss; None: nothing.
    """

    distillation: Distillation | None = None

    @classmethod
    def build_criterion(cls, cfg, task):
        """Build the criterion. A task with a true ``only_evaluates`` has no teacher, which may be elsewhere."""
        criterion = super().build_criterion(cfg, task)
        if not getattr(task, "only_evaluates", False):
            with one_line_errors():
                criterion.distillation = asked_distillation(cfg)
                _warn_of_unread(cfg)
                if criterion.distillation and not hasattr(task, "distiller"):
                    raise ValueError(f"{criterion.distillation.asked}: only pruning tasks distil; add e.g. {TASK}")
        return criterion
