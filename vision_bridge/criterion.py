"""Cross-entropy and accuracy of image classification."""

import math
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from fairseq.criterions import FairseqCriterion, register_criterion
from fairseq.dataclass import FairseqDataclass
from fairseq.logging import metrics
from fairseq.models import BaseFairseqModel
from torch import Tensor

from fairseq_prune.distillation.logits import LOGITS
from fairseq_prune.errors import one_line_errors
from fairseq_prune.needs import Need, refuse_idle_fields

TOP = (1, 5)
UNITS = {"loss": math.log(2), "nll_loss": math.log(2), **{f"top{k}": 0.01 for k in TOP}}  # bits and percent


@dataclass
class ImageClassificationCriterionConfig(FairseqDataclass):
    """Options of the loss."""

    label_smoothing: float = field(
        default=0.0, metadata={"help": "share of the target spread over all classes, in [0, 1), e.g. 0.1"}
    )
    aux_weight: float = field(
        default=0.4,
        metadata={
            "help": "weight of the loss of an auxiliary classifier, in nets that have one",
            "needs": Need(lambda task: task.auxiliary, "--arch torchvision --torchvision-model inception_v3"),
        },
    )


@register_criterion("image_classification", dataclass=ImageClassificationCriterionConfig)
class ImageClassificationCriterion(FairseqCriterion):
    """Cross-entropy; logs loss and nll_loss (no smoothing or auxiliary losses) in bits, and top1 and top5 in %."""

    def __init__(self, task, label_smoothing, aux_weight):
        super().__init__(task)
        for option, value, limit in (("label-smoothing", label_smoothing, 1), ("aux-weight", aux_weight, math.inf)):
            if not 0 <= value < limit:
                raise SystemExit(f"--{option} {value}: a number in [0, {limit}); give e.g. --{option} 0.1")
        self.label_smoothing, self.aux_weight = label_smoothing, aux_weight
        with one_line_errors():
            refuse_idle_fields(ImageClassificationCriterionConfig, self, task)

    def forward(self, model, sample, reduce=True):
        """The summed loss of a batch.

        Args:
            model: ``model(image=...)`` returns logits [B, classes], or a tuple of these and of the logits of
                auxiliary classifiers.
            sample: batch of :class:`~.data.image_dataset.ImageDataset`.
            reduce: sum over the batch; otherwise the loss is [B].

        Returns:
            ``(loss, B, logging output)``, the loss in nats.
        """
        output = model(**sample["net_input"])
        logits, *aux = output if isinstance(output, tuple) else (output,)
        target, reduction = sample["target"], "sum" if reduce else "none"
        loss = self._loss(logits, target, reduction)
        for more in aux:
            if more is not None:
                loss = loss + self.aux_weight * self._loss(more, target, reduction)
        with torch.no_grad():
            nll = F.cross_entropy(logits.float(), target, reduction="sum")
        log = {"loss": loss.detach().sum(), "nll_loss": nll, **hits(logits.detach(), target)}
        sizes = dict.fromkeys(("ntokens", "nsentences", "sample_size"), len(target))
        return loss, len(target), {**log, **sizes}

    def _loss(self, logits, target, reduction):
        return F.cross_entropy(logits.float(), target, reduction=reduction, label_smoothing=self.label_smoothing)

    @staticmethod
    def reduce_metrics(logging_outputs):
        """Log means over all images of all ranks, each image counted once."""
        images = sum(log["sample_size"] for log in logging_outputs)
        for key, unit in UNITS.items():
            if any(key in log for log in logging_outputs):
                total = sum(log.get(key, 0) for log in logging_outputs)
                mean = torch.as_tensor(total, dtype=torch.float64) / (unit * images)
                metrics.log_scalar(key, mean, images, round=3)

    @staticmethod
    def logging_outputs_can_be_summed():
        """True: all entries are sums over images."""
        return True


@LOGITS.add("image_classification")
def of_images(criterion: FairseqCriterion, model: BaseFairseqModel, sample: dict, output: Any) -> tuple[Tensor, Tensor]:
    """Logits [B, classes] of the main classifier, for distillation, and a mask [B] that selects all of them."""
    logits = output[0] if isinstance(output, tuple) else output
    return logits, logits.new_ones(len(logits), dtype=torch.bool)


def hits(logits: Tensor, target: Tensor) -> dict[str, Tensor]:
    """Count the images whose class is among the k most likely ones.

    Args:
        logits: [B, classes].
        target: int64 [B].

    Returns:
        dict of ``top<k>`` -> int64 tensor [], for each k in :data:`TOP` below the number of classes.
    """
    counted = [k for k in TOP if k < logits.size(1)]
    likeliest = logits.topk(max(counted, default=1), dim=1).indices
    return {f"top{k}": (likeliest[:, :k] == target[:, None]).sum() for k in counted}
