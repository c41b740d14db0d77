"""What a teacher adds to the losses of criterions, on small models."""

import math
from types import SimpleNamespace

import fairseq  # noqa: F401  (before fairseq_prune, which then registers itself)
import pytest
import torch
from fairseq.criterions import CRITERION_REGISTRY
from fairseq.criterions.cross_entropy import CrossEntropyCriterion
from taught import PAD, TASK, loss_of, sentences, small_model, smoothed

from fairseq_prune.distillation.distiller import Distiller, log_distilled
from fairseq_prune.distillation.options import Distillation
from fairseq_prune.distillation.teacher import Teacher


def kl_by_hand(student, teacher, temperature, keep):
    log_q, p = (student / temperature).log_softmax(-1), (teacher / temperature).softmax(-1)
    return temperature**2 * (p * (p.log() - log_q)).sum(-1)[keep].sum()


def test_adds_to_the_loss():
    """Against the formula, written out on the two models' logits; what the criterion logs stays."""
    student, teacher, sample = small_model(1), small_model(2), sentences()
    plain, plain_log = loss_of(student)
    loss, log = loss_of(student, teacher, weight=0.5, temperature=4.0)
    logits = [model(**sample["net_input"])[0] for model in (student, teacher)]
    expected = 0.5 * kl_by_hand(*logits, 4.0, sample["target"] != PAD)
    assert log.pop("kd_loss").item() == pytest.approx(expected.item(), rel=1e-3) and expected > 1e-3
    assert loss.item() == pytest.approx(plain.item() + expected.item(), rel=1e-6)
    assert log == plain_log


def test_training_brings_the_student_closer():
    """Than the cross entropy alone does."""
    distances = []
    for weight in (1e-6, 10.0):
        student = small_model(1)
        optimizer = torch.optim.Adam(student.parameters(), lr=0.01)
        for _ in range(15):
            optimizer.zero_grad()
            loss_of(student, small_model(2), weight=weight, temperature=1.0)[0].backward()
            optimizer.step()
        distances.append(loss_of(student, small_model(2), weight=1.0, temperature=1.0)[1]["kd_loss"])
    assert distances[1] < 0.5 * distances[0]


def test_identical_teacher_adds_nothing():
    kd_losses = [loss_of(small_model(1), small_model(seed), hidden=1.0)[1] for seed in (1, 2)]
    assert kd_losses[0]["kd_loss"] < 1e-4 < 1e-2 < kd_losses[1]["kd_loss"]
    assert kd_losses[0]["kd_hidden"] < 1e-8 < 1e-2 < kd_losses[1]["kd_hidden"]


def test_a_prefix_is_left_out():
    student, teacher = small_model(1), small_model(2)
    logits = [model(**sentences()["net_input"])[0][:, 2:] for model in (student, teacher)]
    expected = kl_by_hand(*logits, 2.0, sentences()["target"][:, 2:] != PAD)
    _, log = loss_of(student, teacher, smoothed(prefix=2))
    assert log["kd_loss"].item() == pytest.approx(expected.item(), rel=1e-3)
    assert loss_of(student, teacher)[1]["kd_loss"] > 1.2 * expected


def padded(sample):
    """The same with three more places for words on both sides."""
    pads, net_input = torch.full((2, 3), PAD), dict(sample["net_input"])
    net_input["src_tokens"] = torch.cat([pads, net_input["src_tokens"]], 1)
    net_input["prev_output_tokens"] = torch.cat([net_input["prev_output_tokens"], pads], 1)
    return {**sample, "net_input": net_input, "target": torch.cat([sample["target"], pads], 1)}


def test_more_padding_has_no_effect():
    student, teacher = small_model(1), small_model(2)
    short, long = (
        loss_of(student, teacher, sample=sample, hidden=1.0)[1] for sample in (sentences(), padded(sentences()))
    )
    for name in ("kd_loss", "kd_hidden"):
        assert short[name].item() == pytest.approx(long[name].item(), rel=1e-3)
    unmasked = smoothed()
    unmasked.padding_idx = -1  # control: the padding would count
    assert loss_of(student, teacher, unmasked, padded(sentences()))[1]["kd_loss"] > 1.5 * short["kd_loss"]


def test_the_teacher_stays_as_it_is():
    student, teacher = small_model(1), small_model(2, dropout=0.5)
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    loss, first = loss_of(student, teacher)
    loss.backward()
    assert all(p.grad is None and not p.requires_grad for p in teacher.parameters())
    assert all(p.grad is not None for p in student.parameters())
    assert not any(module.training for module in teacher.modules())
    _, second = loss_of(student, teacher)
    assert torch.equal(first["kd_loss"], second["kd_loss"])  # no dropout
    assert all(torch.equal(before[name], value) for name, value in teacher.state_dict().items())


def test_none_in_eval_mode():
    student, sample, criterion = small_model(1).eval(), sentences(), smoothed()
    plain = criterion(student, sample)
    distiller = Distiller(Distillation("a.pt", ""), Teacher(small_model(2)), criterion, student)
    with distiller.beside(criterion):
        assert criterion(student, sample) == plain
        assert criterion(student.train(), sample)[0] > plain[0]


def test_an_error_leaves_no_hook():
    student, criterion = small_model(1), smoothed()
    distiller = Distiller(Distillation("a.pt", "", hidden=1.0), Teacher(small_model(2)), criterion, student)
    with pytest.raises(KeyError), distiller.beside(criterion):
        criterion(student, {"net_input": sentences()["net_input"]})
    assert not any(module._forward_hooks for module in student.modules())
    with distiller.beside(criterion):
        assert "kd_loss" in criterion(student, sentences())[2]


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

    logs = [{"loss": 8.0, "kd_loss": 2.0, "ntokens": 4, "sample_size": 4} for _ in range(2)]
    with metrics.aggregate(new_root=True) as values:
        log_distilled(logs)
    assert values["kd_loss"].avg == pytest.approx(0.5 / math.log(2)) and "kd_hidden" not in values
    with metrics.aggregate(new_root=True) as values:
        log_distilled([{"loss": 8.0, "sample_size": 4}])
    assert not values


def test_criterions_without_logits_are_refused():
    class AdaptiveLoss(CRITERION_REGISTRY["adaptive_loss"]):
        def __init__(self):
            torch.nn.Module.__init__(self)

    with pytest.raises(ValueError, match="--prune-teacher a.pt: --criterion AdaptiveLoss hands out no logits .* ctc"):
        loss_of(small_model(1), small_model(2), AdaptiveLoss())
    adaptive = small_model(1, "transformer_lm", adaptive_softmax_cutoff="10,20", decoder_output_dim=16)
    with pytest.raises(ValueError, match="--prune-teacher a.pt: an adaptive softmax hands out no logits of all words"):
        loss_of(adaptive, small_model(2, "transformer_lm"), CrossEntropyCriterion(TASK, False))


def test_masked_words():
    """Only masked positions are computed and compared; a batch without any adds nothing."""
    roberta = {"encoder_layers": 1, "encoder_embed_dim": 16, "encoder_ffn_embed_dim": 24, "encoder_attention_heads": 2}
    student, teacher = (small_model(seed, "roberta_base", **roberta, max_positions=64) for seed in (1, 2))
    criterion = CRITERION_REGISTRY["masked_lm"](SimpleNamespace(tpu=False), TASK)
    tokens = torch.tensor([[2, 5, 6, 7, 2], [2, 8, 9, 2, PAD]])
    target = torch.where(torch.tensor([[0, 1, 0, 1, 0], [0, 0, 1, 0, 0]], dtype=torch.bool), tokens, PAD)
    sample = {"net_input": {"src_tokens": tokens}, "target": target, "ntokens": 9, "nsentences": 2}
    _, log = loss_of(student, teacher, criterion, sample)
    logits = [model.train(model is student)(tokens)[0] for model in (student, teacher)]
    expected = kl_by_hand(*logits, 2.0, target != PAD)
    assert log["kd_loss"].item() == pytest.approx(expected.item(), rel=1e-3)
    _, log = loss_of(student, teacher, criterion, {**sample, "target": torch.full_like(target, PAD)})
    assert log["kd_loss"] == 0


class Frames(torch.nn.Module):
    """Emits frames of 4 symbols; [T, B, 4]."""

    def __init__(self, seed):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.frames = torch.nn.Parameter(torch.randn(5, 2, 4, generator=generator))

    def forward(self, **net_input):
        return {"encoder_out": self.frames, "padding_mask": net_input.get("padding_mask")}

    def get_normalized_probs(self, output, log_probs):
        return output["encoder_out"].log_softmax(-1)


@pytest.mark.parametrize("told_by", ["src_lengths", "padding_mask", None])
def test_frames(told_by):
    """Of CTC: frames of padding do not count."""
    student, teacher = Frames(1), Frames(2)
    dictionary = SimpleNamespace(pad=lambda: PAD, eos=lambda: 2)
    settings = SimpleNamespace(post_process="letter", wer_args=None, wer_kenlm_model=None, zero_infinity=False)
    settings.sentence_avg = False
    criterion = CRITERION_REGISTRY["ctc"](settings, SimpleNamespace(target_dictionary=dictionary))
    lengths = {"src_lengths": torch.tensor([5, 3]), "padding_mask": torch.arange(5) >= torch.tensor([[5], [3]])}
    sample = {"net_input": {told_by: lengths[told_by]} if told_by else {}, "target": torch.tensor([[3, 3], [3, PAD]])}
    sample |= {"ntokens": 3, "id": torch.arange(2)}
    keep = torch.arange(5)[:, None] < (lengths["src_lengths"] if told_by else torch.tensor([5, 5]))
    _, log = loss_of(student, teacher, criterion, sample)
    expected = kl_by_hand(student.frames, teacher.frames, 2.0, keep)
    assert log["kd_loss"].item() == pytest.approx(expected.item(), rel=1e-4)
