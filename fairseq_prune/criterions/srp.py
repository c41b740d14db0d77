"""``--criterion srp``: label-smoothed cross entropy, with knowledge distillation if asked for."""

import logging
import math
from dataclasses import dataclass, field
from typing import Optional

import torch
from fairseq.criterions import register_criterion
from fairseq.criterions.label_smoothed_cross_entropy import (
    LabelSmoothedCrossEntropyCriterion,
    LabelSmoothedCrossEntropyCriterionConfig,
    label_smoothed_nll_loss,
)
from fairseq.logging import metrics

from ..errors import one_line_errors
from ..needs import Need, refuse_idle_fields
from .distillation import distillation_loss
from .teacher import EXAMPLE, Teacher, load_teacher

logger = logging.getLogger(__name__)

DEFAULT_WEIGHT = 0.7


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


def kd_weight(cfg: SrpCriterionConfig) -> float:
    """Weight of distillation in a run; 0 means none.

    The original never read ``--use-kd``: there a positive ``--prob-kd`` alone was enough, and is here.

    Args:
        cfg: :class:`SrpCriterionConfig`.

    Raises:
        ValueError: naming the option, the value and a valid example.
    """
    if not 0 < cfg.T < math.inf:
        raise ValueError(f"--srp-kd-temperature {cfg.T} (--T): give a number above 0, e.g. 10")
    refuse_idle_fields(SrpCriterionConfig, cfg, cfg)
    if cfg.prob_kd is None:
        return DEFAULT_WEIGHT if cfg.use_kd else 0.0
    if not 0 <= cfg.prob_kd < math.inf:
        raise ValueError(f"--srp-kd-weight {cfg.prob_kd} (--prob-kd): give 0 or more, e.g. {DEFAULT_WEIGHT}")
    return cfg.prob_kd


def _warn_of_unread(cfg):
    for name in ("attn_kd", "fc_kd", "emb_kd"):
        if value := getattr(cfg, name):
            logger.warning(
                f"--{name.replace('_', '-')} {value} does nothing, here as in the original; "
                f"to distil the model's output, use e.g. --use-kd --srp-teacher {EXAMPLE}"
            )


@register_criterion("srp", dataclass=SrpCriterionConfig)
class SrpCriterion(LabelSmoothedCrossEntropyCriterion):
    """Label-smoothed cross entropy ``+ weight T^2 KL(teacher || student)`` over the target's words.

    The same positions count as for the cross entropy. Distillation takes part while the model trains;
    in eval mode (validation, scoring), and without a teacher, this is fairseq's criterion to the bit.

    Differences from the original: padding does not count, the teacher is in eval mode, and it is
    there only where asked for.
    """

    teacher: Teacher | None = None
    kd_weight = 0.0
    temperature = 1.0
    _kd_loss = None

    @classmethod
    def build_criterion(cls, cfg, task):
        """Build the criterion and load the teacher, before data is loaded.

        A task with a true ``only_evaluates`` gets none: its teacher may be a file of another machine.
        """
        criterion = super().build_criterion(cfg, task)
        if getattr(task, "only_evaluates", False):
            return criterion
        with one_line_errors():
            criterion.kd_weight, criterion.temperature = kd_weight(cfg), cfg.T
            _warn_of_unread(cfg)
            if criterion.kd_weight:
                criterion.teacher = load_teacher(cfg, task)
        return criterion

    def forward(self, model, sample, reduce=True):
        """As fairseq's, which logs what :meth:`compute_loss` returns; ``kd_loss`` is the added term."""
        self._kd_loss = None
        loss, sample_size, logging_output = super().forward(model, sample, reduce)
        if self._kd_loss is not None:
            logging_output["kd_loss"] = self._kd_loss
        return loss, sample_size, logging_output

    def compute_loss(self, model, net_output, sample, reduce=True):
        """(loss, nll_loss) in nats: sums, or one row a position (N, 1) if not ``reduce``."""
        if self.teacher is None or not model.training:
            return super().compute_loss(model, net_output, sample, reduce)
        lprobs, target = self.get_lprobs_and_target(model, net_output, sample)
        loss, nll_loss = label_smoothed_nll_loss(lprobs, target, self.eps, self.padding_idx, reduce)
        kd_loss = self._distil(self.teacher.beside(model), lprobs, target, sample)
        self._kd_loss = kd_loss.detach().sum()
        return loss + (kd_loss.sum() if reduce else kd_loss.unsqueeze(-1)), nll_loss

    def _distil(self, teacher, lprobs, target, sample):
        """Weighted distillation loss at each position (N,), from log-probabilities (N, V) and target (N,)."""
        with torch.no_grad():
            net_output = teacher(**sample["net_input"])
            expected, _ = self.get_lprobs_and_target(teacher, net_output, sample)
        with one_line_errors():
            keep = target.ne(self.padding_idx)
            return self.kd_weight * distillation_loss(lprobs, expected, keep, self.temperature)

    @classmethod
    def reduce_metrics(cls, logging_outputs):
        """As fairseq's; ``kd_loss`` in the unit of ``loss``, bits a token (or sentence), of which it is a part."""
        super().reduce_metrics(logging_outputs)
        kd_losses = [log["kd_loss"] for log in logging_outputs if "kd_loss" in log]
        if kd_losses:
            sample_size = sum(log["sample_size"] for log in logging_outputs)
            metrics.log_scalar("kd_loss", sum(kd_losses) / sample_size / math.log(2), sample_size, round=3)
