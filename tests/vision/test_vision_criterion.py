"""The loss of image classification, and what is shown of it."""

import math
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from fairseq.logging import metrics

from vision_bridge.criterion import ImageClassificationCriterion as Criterion
from vision_bridge.criterion import hits


class Net(torch.nn.Module):
    """Logits that were given."""

    def __init__(self, *logits):
        super().__init__()
        self.logits = logits

    def forward(self, image):
        return self.logits if len(self.logits) > 1 else self.logits[0]


def log_of(criterion, net, target):
    sample = {"net_input": {"image": None}, "target": target}
    return criterion(net, sample)


def reduced(logs):
    """What is shown of logging outputs."""
    with metrics.aggregate(new_root=True) as meters:
        Criterion.reduce_metrics(logs)
    return {name: float(meters[name].avg) for name in meters}


def logits_and_target(count=31, classes=7):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(2, count, classes, generator=generator), torch.arange(count) % classes


@pytest.mark.parametrize("smoothing, weight", [(0, 0.4), (0.1, 0.4), (0.1, 0)])
def test_the_loss(smoothing, weight):
    (logits, aux), target = logits_and_target()
    criterion = Criterion(SimpleNamespace(auxiliary=True), smoothing, weight)
    main, more = (F.cross_entropy(x, target, label_smoothing=smoothing, reduction="sum") for x in (logits, aux))
    loss, size, log = log_of(criterion, Net(logits), target)
    assert torch.isclose(loss, main) and size == 31
    both, _, aux_log = log_of(criterion, Net(logits, aux), target)
    assert torch.isclose(both, main + weight * more)
    shown, nll = reduced([log]), float(F.cross_entropy(logits, target)) / math.log(2)
    assert shown["loss"] == pytest.approx(float(main) / 31 / math.log(2), rel=1e-6)
    assert shown["nll_loss"] == pytest.approx(nll, rel=1e-6) == pytest.approx(reduced([aux_log])["nll_loss"])


def test_top1_and_top5_count_each_image_once():
    (logits, _), target = logits_and_target()
    right = 100 * float((logits.argmax(1) == target).double().mean())
    in_five = 100 * float((logits.topk(5).indices == target[:, None]).any(1).double().mean())
    criterion = Criterion(SimpleNamespace(auxiliary=True), 0, 0)
    logs = [log_of(criterion, Net(part), labels)[2] for part, labels in zip(logits.split(8), target.split(8), strict=True)]  # fmt: skip  # noqa: E501
    summed = {key: sum(log[key] for log in logs) for key in logs[0]}  # as fairseq does over ranks
    for shown in (reduced(logs), reduced([summed])):
        assert shown["top1"] == pytest.approx(right, rel=1e-12) and shown["top5"] == pytest.approx(in_five, rel=1e-12)
    with metrics.aggregate(new_root=True) as meters:  # one batch after the other
        for log in logs:
            Criterion.reduce_metrics([log])
    assert float(meters["top1"].avg) == pytest.approx(right, rel=1e-12)


@pytest.mark.parametrize("classes, names", [(3, ["top1"]), (5, ["top1"]), (6, ["top1", "top5"])])
def test_top5_only_where_it_says_something(classes, names):
    (logits, _), target = logits_and_target(classes=classes)
    assert sorted(hits(logits, target)) == names
