"""Distillation on logits written by hand, and the criterion on a small model."""

import math
from types import SimpleNamespace

import fairseq  # noqa: F401  (before fairseq_prune, which then registers itself)
import pytest
import torch
from small_models import DECODER, ENCODER, VOCABULARY, build_model

from fairseq_prune.criterions.distillation import distillation_loss
from fairseq_prune.criterions.srp import SrpCriterion, SrpCriterionConfig, kd_weight
from fairseq_prune.criterions.teacher import Teacher, _check_vocabulary

PAD = 1
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
    loss = distillation_loss(STUDENT, TEACHER, KEEP, temperature)
    assert loss.shape == (1,)
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    backwards = distillation_loss(TEACHER, STUDENT, KEEP, temperature)  # control: KL is not symmetric
    assert backwards.item() != pytest.approx(expected, rel=1e-2)


def random_logits(*shape, seed=1):
    return 3 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_zero_for_identical_and_positive_otherwise():
    logits, keep = random_logits(4, 3, 7), torch.ones(4, 3, dtype=torch.bool)
    assert not distillation_loss(logits, logits, keep, 10.0).any()
    assert not distillation_loss(logits.half(), logits.half(), keep, 10.0).any()
    assert (distillation_loss(logits, logits.flip(-1), keep, 10.0) > 0).all()


def test_a_constant_added_to_a_row_cancels():
    """So log-probabilities do as well as logits."""
    student, teacher, keep = random_logits(5, 7), random_logits(5, 7, seed=2), torch.ones(5, dtype=torch.bool)
    expected = distillation_loss(student, teacher, keep, 3.0)
    moved = distillation_loss(student.log_softmax(-1), teacher + 5, keep, 3.0)
    assert torch.allclose(moved, expected, atol=1e-12)
    assert not torch.allclose(distillation_loss(student * 1.1, teacher, keep, 3.0), expected)


def test_a_high_temperature_compares_centred_logits():
    """T^2 KL -> half the mean squared difference of the centred logits (Hinton et al. 2015)."""
    student, teacher, keep = random_logits(5, 7), random_logits(5, 7, seed=2), torch.ones(5, dtype=torch.bool)
    difference = student - teacher
    limit = (difference - difference.mean(-1, keepdim=True)).square().mean(-1) / 2
    assert torch.allclose(distillation_loss(student, teacher, keep, 1e4), limit, rtol=1e-3)
    assert not torch.allclose(distillation_loss(student, teacher, keep, 1.0), limit, rtol=1e-1)


def test_positions_left_out_have_no_effect():
    student, teacher, keep = random_logits(6, 7), random_logits(6, 7, seed=2), torch.arange(6) % 3 > 0
    student.requires_grad_()
    loss = distillation_loss(student, teacher, keep, 2.0)
    loss.sum().backward()
    assert not loss[~keep].any() and loss[keep].all()
    assert not student.grad[~keep].any() and student.grad[keep].all()
    other = torch.where(keep.unsqueeze(-1), teacher, 1e4)
    assert torch.equal(distillation_loss(student, other, keep, 2.0), loss)
    assert not torch.equal(distillation_loss(student, -teacher, keep, 2.0), loss)


@pytest.mark.parametrize("temperature", [1.0, 10.0])
def test_gradient(temperature):
    """By finite differences, and T (q - p) in closed form; the teacher gets none."""
    student, teacher = random_logits(3, 5).requires_grad_(), random_logits(3, 5, seed=2).requires_grad_()
    keep = torch.tensor([True, False, True])
    assert torch.autograd.gradcheck(lambda s: distillation_loss(s, teacher, keep, temperature), student)
    distillation_loss(student, teacher, keep, temperature).sum().backward()
    p, q = ((logits / temperature).softmax(-1) for logits in (teacher, student))
    assert torch.allclose(student.grad, temperature * (q - p) * keep.unsqueeze(-1))
    assert teacher.grad is None


def test_half_precision_is_computed_in_fp32():
    student, teacher = random_logits(50, 1000), random_logits(50, 1000, seed=2)
    keep = torch.ones(50, dtype=torch.bool)
    for dtype, width in ((torch.float16, torch.float32), (torch.bfloat16, torch.float32), (torch.float64,) * 2):
        low = [student.to(dtype), teacher.to(dtype)]
        loss = distillation_loss(*low, keep, 10.0)
        assert loss.dtype == width
        assert torch.allclose(loss.double(), distillation_loss(*(x.double() for x in low), keep, 10.0), rtol=1e-3)


def test_shapes_must_agree():
    with pytest.raises(ValueError, match=r"--srp-teacher: .*\[1, 2\].*\[1, 3\].*e.g. checkpoints/dense"):
        distillation_loss(torch.zeros(1, 3), TEACHER, KEEP, 1.0)


def options(**given):
    return SrpCriterionConfig(**given)


@pytest.mark.parametrize(
    ("given", "weight"),
    [
        ({}, 0.0),
        ({"use_kd": True}, 0.7),
        ({"prob_kd": 0.3}, 0.3),
        ({"use_kd": True, "prob_kd": 2}, 2),
        ({"use_kd": True, "prob_kd": 0.0, "srp_teacher": "a.pt"}, 0.0),
        ({"attn_kd": 1.0, "prob_kd": 0.0, "T": 10.0}, 0.0),  # the original's scripts
    ],
)
def test_weight(given, weight):
    assert kd_weight(options(**given)) == weight


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
def test_mistakes(given, message):
    with pytest.raises(ValueError, match=message):
        kd_weight(options(**given))


def small_model(seed, **given):
    torch.manual_seed(seed)
    return build_model("transformer", **ENCODER, **DECODER, share_all_embeddings=True, **given)


def sentences():
    """Two pairs; the second ends in padding on the target side."""
    target = torch.tensor([[5, 6, 7, 8, 2], [9, 10, 2, PAD, PAD]])
    source = torch.tensor([[11, 12, 2], [13, 14, 2]])
    previous = torch.tensor([[2, 5, 6, 7, 8], [2, 9, 10, PAD, PAD]])
    net_input = {"src_tokens": source, "src_lengths": torch.tensor([3, 3]), "prev_output_tokens": previous}
    return {"net_input": net_input, "target": target, "ntokens": 8}


def criterion_with(teacher=None, weight=0.7, temperature=10.0, prefix=0):
    task = SimpleNamespace(target_dictionary=SimpleNamespace(pad=lambda: PAD))
    criterion = SrpCriterion(task, False, 0.1, ignore_prefix_size=prefix)
    if teacher is not None:
        criterion.teacher, criterion.kd_weight, criterion.temperature = Teacher(teacher), weight, temperature
    return criterion


def loss_of(criterion, student, sample=None, reduce=True):
    loss, _, log = criterion(student.train(), sample or sentences(), reduce)
    return loss, log


def test_adds_to_the_cross_entropy():
    """Against the formula, written out on the two models' logits."""
    student, teacher, sample = small_model(1), small_model(2), sentences()
    plain, log = loss_of(criterion_with(), student)
    assert "kd_loss" not in log
    loss, log = loss_of(criterion_with(teacher, 0.5, 4.0), student)
    log_q = (student(**sample["net_input"])[0] / 4).log_softmax(-1)
    p = (teacher(**sample["net_input"])[0] / 4).softmax(-1)
    divergence = (p * (p.log() - log_q)).sum(-1)[sample["target"] != PAD].sum()
    assert log["kd_loss"].item() == pytest.approx(0.5 * 16 * divergence.item(), rel=1e-3)
    assert loss.item() == pytest.approx(plain.item() + log["kd_loss"].item(), rel=1e-6)
    assert log["kd_loss"] > 1e-3
    assert loss.item() == log["loss"].item()


def test_training_brings_the_student_closer():
    """Than the cross entropy alone does."""
    distances = []
    for weight in (0.0, 10.0):
        student = small_model(1)
        criterion = criterion_with(small_model(2), weight, 1.0)
        optimizer = torch.optim.Adam(student.parameters(), lr=0.01)
        for _ in range(15):
            optimizer.zero_grad()
            loss_of(criterion, student)[0].backward()
            optimizer.step()
        distances.append(loss_of(criterion_with(small_model(2), 1.0, 1.0), student)[1]["kd_loss"])
    assert distances[1] < 0.5 * distances[0]


def test_identical_teacher_adds_nothing():
    kd_losses = [loss_of(criterion_with(small_model(seed)), small_model(1))[1]["kd_loss"] for seed in (1, 2)]
    assert kd_losses[0] < 1e-4 < 1e-2 < kd_losses[1]


@pytest.mark.parametrize("prefix", [0, 2])
def test_prefix_and_rows(prefix):
    """``--ignore-prefix-size`` leaves out the same positions; without ``reduce``, one row a position."""
    student, criterion = small_model(1), criterion_with(small_model(2), prefix=prefix)
    loss, log = loss_of(criterion, student)
    rows, _ = loss_of(criterion, student, reduce=False)
    plain, _ = loss_of(criterion_with(prefix=prefix), student, reduce=False)
    assert rows.shape == plain.shape == (2 * (5 - prefix), 1)
    target = sentences()["target"][:, prefix:].reshape(-1)
    assert torch.equal((rows - plain).squeeze(-1) > 0, target != PAD)
    assert loss.item() == pytest.approx(rows.sum().item())
    assert (rows - plain).sum().item() == pytest.approx(log["kd_loss"].item(), rel=1e-4)


def test_more_padding_has_no_effect():
    def padded(sample):
        pads = torch.full((2, 3), PAD)
        net_input = dict(sample["net_input"])
        net_input["prev_output_tokens"] = torch.cat([net_input["prev_output_tokens"], pads], 1)
        return {**sample, "net_input": net_input, "target": torch.cat([sample["target"], pads], 1)}

    student, criterion = small_model(1), criterion_with(small_model(2))
    short, long = (loss_of(criterion, student, sample)[1] for sample in (sentences(), padded(sentences())))
    assert short["kd_loss"].item() == pytest.approx(long["kd_loss"].item(), rel=1e-4)
    unmasked = criterion_with(small_model(2))
    unmasked.padding_idx = -1  # control: the padding would count
    assert loss_of(unmasked, student, padded(sentences()))[1]["kd_loss"] > 1.5 * short["kd_loss"]


def test_the_teacher_stays_as_it_is():
    student, teacher = small_model(1), small_model(2, dropout=0.5)
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    criterion = criterion_with(teacher).train()
    loss, first = loss_of(criterion, student)
    loss.backward()
    assert all(p.grad is None and not p.requires_grad for p in teacher.parameters())
    assert all(p.grad is not None for p in student.parameters())
    assert not any(module.training for module in teacher.modules())
    _, second = loss_of(criterion, student)
    assert torch.equal(first["kd_loss"], second["kd_loss"])  # no dropout
    assert all(torch.equal(before[name], value) for name, value in teacher.state_dict().items())
    teacher.train()
    assert not torch.equal(loss_of(criterion, student)[1]["kd_loss"], first["kd_loss"])  # control: there is dropout


def test_the_teacher_is_no_part_of_the_criterion():
    criterion = criterion_with(small_model(2))
    assert not list(criterion.parameters()) and not criterion.state_dict() and not list(criterion.children())


def test_none_in_eval_mode():
    student, sample, criterion = small_model(1), sentences(), criterion_with(small_model(2))
    training, _ = loss_of(criterion, student)
    loss, _, log = criterion(student.eval(), sample)
    plain, _, plain_log = criterion_with()(student, sample)
    assert torch.equal(loss, plain) and log.keys() == plain_log.keys()
    assert loss < training


def test_the_teacher_follows_the_students_dtype():
    student, teacher = small_model(1).double(), small_model(2)
    teacher = Teacher(teacher)
    moved = teacher.beside(student)
    assert {p.dtype for p in moved.parameters()} == {torch.float64}
    assert teacher.beside(student) is moved
    assert {p.device.type for p in teacher.beside(student.to("meta")).parameters()} == {"meta"}


def test_metrics():
    """In the unit of ``loss``: bits a token; absent without distillation."""
    from fairseq.logging import metrics

    logs = [{"loss": 8.0, "nll_loss": 6.0, "kd_loss": 2.0, "ntokens": 4, "sample_size": 4} for _ in range(2)]
    with metrics.aggregate(new_root=True) as values:
        SrpCriterion.reduce_metrics(logs)
    assert values["kd_loss"].avg == pytest.approx(0.5 / math.log(2))
    assert values["loss"].avg == pytest.approx(2 / math.log(2))
    with metrics.aggregate(new_root=True) as values:
        SrpCriterion.reduce_metrics([{k: v for k, v in log.items() if k != "kd_loss"} for log in logs])
    assert "kd_loss" not in values
    assert SrpCriterion.logging_outputs_can_be_summed()


def test_vocabulary_is_checked_by_the_dictionaries_a_tensor_belongs_to():
    task = SimpleNamespace(source_dictionary=range(VOCABULARY), target_dictionary=range(30))
    encoder = {"encoder.embed_tokens.weight": torch.zeros(40, 2)}
    decoder = {"decoder.embed_tokens.weight": torch.zeros(30, 2)}
    output = {"decoder.output_projection.weight": torch.zeros(31, 2)}
    _check_vocabulary(encoder | decoder, task, "")
    _check_vocabulary({"decoder.embed_tokens.weight": torch.zeros(40, 2)}, task, "")  # a language model
    with pytest.raises(ValueError, match="decoder.embed_tokens.weight has 30 words, DATA 40"):
        _check_vocabulary(decoder, task, "--srp-teacher a.pt")
    with pytest.raises(ValueError, match="--srp-teacher a.pt: its decoder.output_projection.weight has 31"):
        _check_vocabulary(encoder | decoder | output, task, "--srp-teacher a.pt")
