"""How far outputs are from a teacher's, on numbers written by hand, and the options that ask for it."""

import math

import fairseq  # noqa: F401  (before fairseq_prune, which then registers itself)
import pytest
import torch

from fairseq_prune.criterions.srp import SrpCriterionConfig, asked_distillation
from fairseq_prune.distillation.divergence import distance, divergence
from fairseq_prune.distillation.options import SELF, Distillation, DistillationOptions, read_distillation

STUDENT = torch.zeros(1, 2)  # 1/2, 1/2
TEACHER = torch.tensor([[math.log(9), 0.0]])  # 9/10, 1/10; at T = 2: 3/4, 1/4
KEEP = torch.tensor([True])


@pytest.mark.parametrize(
    ("temperature", "expected"),
    [
        (1.0, 0.9 * math.log(1.8) + 0.1 * math.log(0.2)),
        (2.0, 4 * (0.75 * math.log(1.5) + 0.25 * math.log(0.5))),
    ],
)
def test_by_hand(temperature, expected):
    loss = divergence(STUDENT, TEACHER, KEEP, temperature)
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    backwards = divergence(TEACHER, STUDENT, KEEP, temperature)  # control: KL is not symmetric
    assert backwards.item() != pytest.approx(expected, rel=1e-2)
    two = divergence(STUDENT.expand(3, 2), TEACHER.expand(3, 2), torch.tensor([True, False, True]), temperature)
    assert two.item() == pytest.approx(2 * expected, rel=1e-5)


def test_distance_by_hand():
    student, teacher = torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([[0.0, 0.0], [9.0, 9.0]])
    assert distance(student, teacher, torch.tensor([True, False])).item() == 2.5
    assert distance(student, teacher, torch.tensor([False, True])).item() == 30.5
    assert distance(student.half(), teacher.half(), torch.tensor([True, True])).dtype == torch.float32


def random_logits(*shape, seed=1):
    return 3 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_zero_for_identical_and_positive_otherwise():
    logits, keep = random_logits(4, 3, 7), torch.ones(4, 3, dtype=torch.bool)
    assert not divergence(logits, logits, keep, 10.0)
    assert not divergence(logits.half(), logits.half(), keep, 10.0)
    assert divergence(logits, logits.flip(-1), keep, 10.0) > 0


def test_a_constant_added_to_a_row_cancels():
    """So log-probabilities do as well as logits."""
    student, teacher, keep = random_logits(5, 7), random_logits(5, 7, seed=2), torch.ones(5, dtype=torch.bool)
    expected = divergence(student, teacher, keep, 3.0)
    moved = divergence(student.log_softmax(-1), teacher + 5, keep, 3.0)
    assert torch.allclose(moved, expected, atol=1e-12)
    assert not torch.allclose(divergence(student * 1.1, teacher, keep, 3.0), expected)


def test_a_high_temperature_compares_centred_logits():
    """T^2 KL -> half the mean squared difference of the centred logits (Hinton et al. 2015)."""
    student, teacher, keep = random_logits(5, 7), random_logits(5, 7, seed=2), torch.ones(5, dtype=torch.bool)
    difference = student - teacher
    limit = (difference - difference.mean(-1, keepdim=True)).square().mean(-1).sum() / 2
    assert torch.allclose(divergence(student, teacher, keep, 1e4), limit, rtol=1e-3)
    assert not torch.allclose(divergence(student, teacher, keep, 1.0), limit, rtol=1e-1)


def test_positions_left_out_have_no_effect():
    student, teacher, keep = random_logits(6, 7), random_logits(6, 7, seed=2), torch.arange(6) % 3 > 0
    student.requires_grad_()
    loss = divergence(student, teacher, keep, 2.0)
    loss.backward()
    assert not student.grad[~keep].any() and student.grad[keep].all()
    other = torch.where(keep.unsqueeze(-1), teacher, 1e4)
    assert torch.equal(divergence(student, other, keep, 2.0), loss)
    assert not torch.equal(divergence(student, -teacher, keep, 2.0), loss)


@pytest.mark.parametrize("temperature", [1.0, 10.0])
def test_gradient(temperature):
    """By finite differences, and T (q - p) in closed form; the teacher gets none."""
    student, teacher = random_logits(3, 5).requires_grad_(), random_logits(3, 5, seed=2).requires_grad_()
    keep = torch.tensor([True, False, True])
    assert torch.autograd.gradcheck(lambda s: divergence(s, teacher, keep, temperature), student)
    divergence(student, teacher, keep, temperature).backward()
    p, q = ((logits / temperature).softmax(-1) for logits in (teacher, student))
    assert torch.allclose(student.grad, temperature * (q - p) * keep.unsqueeze(-1))
    assert teacher.grad is None


def test_half_precision_is_computed_in_fp32():
    student, teacher = random_logits(50, 1000), random_logits(50, 1000, seed=2)
    keep = torch.ones(50, dtype=torch.bool)
    for dtype, width in ((torch.float16, torch.float32), (torch.bfloat16, torch.float32), (torch.float64,) * 2):
        low = [student.to(dtype), teacher.to(dtype)]
        loss = divergence(*low, keep, 10.0)
        assert loss.dtype == width
        assert torch.allclose(loss.double(), divergence(*(x.double() for x in low), keep, 10.0), rtol=1e-3)


@pytest.mark.parametrize("compare", [lambda *three: divergence(*three, 1.0), distance])
def test_shapes_must_agree(compare):
    with pytest.raises(ValueError, match=r"\[1, 2\].*\[1, 3\].*e.g. checkpoints/dense"):
        compare(torch.zeros(1, 3), TEACHER, KEEP)


def options(**given):
    return SrpCriterionConfig(**given)


@pytest.mark.parametrize(
    ("given", "weight"),
    [
        ({}, None),
        ({"use_kd": True}, 0.7),
        ({"prob_kd": 0.3}, 0.3),
        ({"use_kd": True, "prob_kd": 2}, 2),
        ({"use_kd": True, "prob_kd": 0.0, "srp_teacher": "a.pt"}, None),
        ({"attn_kd": 1.0, "prob_kd": 0.0, "T": 10.0}, None),  # the original's scripts
    ],
)
def test_weight_by_the_options_of_srp(given, weight):
    asked = asked_distillation(options(**given))
    assert (asked and asked.weight) == weight
    assert asked is None or (asked.teacher, asked.temperature, asked.hidden) == (SELF, 10.0, 0.0)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"prob_kd": -0.1}, r"--srp-kd-weight -0.1 \(--prob-kd\): give 0 or more, e.g. 0.7"),
        ({"prob_kd": math.nan}, "--srp-kd-weight nan"),
        ({"prob_kd": math.inf}, "--srp-kd-weight inf"),
        ({"T": 0.0}, r"--srp-kd-temperature 0.0 \(--T\): give a number above 0, e.g. 10"),
        ({"T": -1.0}, "--srp-kd-temperature -1.0"),
        ({"T": math.nan}, "--srp-kd-temperature nan"),
        ({"srp_teacher": "a.pt"}, "--srp-teacher a.pt: has no effect here; .* e.g. --use-kd"),
    ],
)
def test_mistakes_of_srp(given, message):
    with pytest.raises(ValueError, match=message):
        asked_distillation(options(**given))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"prune_kd_weight": -0.1}, "--prune-kd-weight -0.1: give a number, 0 or more, e.g. 2"),
        ({"prune_kd_weight": math.nan}, "--prune-kd-weight nan"),
        ({"prune_kd_weight": 0.0}, "--prune-kd-weight 0: nothing of --prune-teacher a.pt is left; give e.g. "),
        ({"prune_kd_temperature": 0.0}, "--prune-kd-temperature 0.0: give a number, above 0"),
        ({"prune_kd_hidden": math.inf}, "--prune-kd-hidden inf: give a number, 0 or more"),
    ],
)
def test_mistakes(given, message):
    with pytest.raises(ValueError, match=message):
        read_distillation(DistillationOptions(prune_teacher="a.pt", **given))


def test_options():
    assert read_distillation(DistillationOptions()) is None
    asked = read_distillation(DistillationOptions(prune_teacher="a.pt", prune_kd_hidden=3.0, prune_kd_weight=0.0))
    assert asked == Distillation("a.pt", "--prune-teacher a.pt", 0.0, Distillation.temperature, 3.0)
