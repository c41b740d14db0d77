"""Scores are minus the loss's derivative by connectivity, and scoring leaves no trace."""

import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from fairseq.criterions.label_smoothed_cross_entropy import LabelSmoothedCrossEntropyCriterion
from srp_models import PAD, WORDS, busy, dictionary, srp

from fairseq_prune.engine.evidence import gather
from fairseq_prune.pruning.importance import EVIDENCE, IMPORTANCES
from fairseq_prune.pruning.units import Row

SMALL = {
    "encoder_layers": 1, "encoder_embed_dim": 8, "encoder_ffn_embed_dim": 6, "encoder_attention_heads": 2,
    "decoder_layers": 1, "decoder_embed_dim": 8, "decoder_ffn_embed_dim": 5, "decoder_attention_heads": 2,
    "dropout": 0.3, "attention_dropout": 0.1, "activation_dropout": 0.1,
}  # fmt: skip


def small(**options):
    return busy(srp(**SMALL | options)).train()


def criterion():
    task = SimpleNamespace(target_dictionary=dictionary(WORDS))
    return LabelSmoothedCrossEntropyCriterion(task, sentence_avg=False, label_smoothing=0.1)


def sample(seed, sentences=3):
    """A batch padded on both sides."""
    generator = torch.Generator().manual_seed(seed)
    source, target = (torch.randint(4, WORDS, (sentences, length), generator=generator) for length in (6, 5))
    source[0, :2], target[1, -2:] = PAD, PAD
    previous = torch.cat([torch.full((sentences, 1), 2), target[:, :-1]], 1)
    inputs = {"src_tokens": source, "src_lengths": source.ne(PAD).sum(1), "prev_output_tokens": previous}
    return {"net_input": inputs, "target": target, "ntokens": int(target.ne(PAD).sum())}


def scores_of(model, criterion, batches, kind="connectivity_gradient"):
    """What the importance makes of the evidence, dict of vector name -> scores."""
    score = IMPORTANCES[next(name for name, of in EVIDENCE.items() if of == kind)]
    return {name: score(found[:, None], Row()) for name, found in gather(kind, model, criterion, batches).items()}


def loss_with(model, vector, unit, value, batches):
    """The loss in eval mode with the connectivity of one unit changed."""
    connectivity = model.connectivity[vector]
    connectivity.vector[unit] = value
    connectivity.refresh()
    with torch.no_grad():
        loss = sum(criterion()(model.eval(), batch)[0].item() for batch in batches)
    connectivity.vector[unit] = 1
    connectivity.refresh()
    return loss


@pytest.mark.parametrize(
    "options",
    [{"share_decoder_input_output_embed": True}, {"share_all_embeddings": True}, {"srp_plain_layernorm": True}],
    ids=["weighted", "shared", "plain"],
)
def test_scores_are_central_differences(monkeypatch, options):
    """Every unit of every vector, in float64 (fairseq has fp32 in two places), over two batches."""
    monkeypatch.setattr("fairseq.utils.log_softmax", lambda x, dim, onnx_trace=False: x.log_softmax(dim))
    monkeypatch.setattr(torch.Tensor, "softmax", lambda x, dim, dtype=None: torch.softmax(x, dim))
    model, batches, step = small(**options), [sample(1), sample(2, 4)], 1e-5
    scores = scores_of(model, criterion(), batches)
    assert scores.keys() == model.connectivity.keys()
    for vector in model.vectors:
        assert scores[vector.name].shape == (vector.length,) and scores[vector.name].dtype == torch.float32
        differences = [
            (loss_with(model, vector.name, u, 1 - step, batches) - loss_with(model, vector.name, u, 1 + step, batches))
            / (2 * step)
            for u in range(vector.length)
        ]
        expected = torch.tensor(differences, dtype=torch.float32)
        torch.testing.assert_close(scores[vector.name], expected, rtol=1e-5, atol=1e-6)
        assert scores[vector.name].abs().max() > 1e-3  # control: there is something to compare


def test_sums_over_batches():
    model, one, other = small(), sample(1), sample(2, 4)
    together = scores_of(model, criterion(), iter([one, other]))
    parts = [scores_of(model, criterion(), [batch]) for batch in (one, other)]
    for name, score in together.items():
        torch.testing.assert_close(score, parts[0][name] + parts[1][name])
        assert not torch.allclose(score, parts[0][name])


def test_no_dropout():
    model = small()
    first, second = (scores_of(model, criterion(), [sample(1)]) for _ in range(2))
    still = scores_of(small(dropout=0, attention_dropout=0, activation_dropout=0), criterion(), [sample(1)])
    for name, score in first.items():
        assert torch.equal(score, second[name]) and torch.equal(score, still[name])
    for switch in model.modules():  # control: with dropout they differ
        switch.train = lambda mode=True: None
    noisy = scores_of(model, criterion(), [sample(1)])
    assert any(not torch.equal(score, noisy[name]) for name, score in first.items())


def traces(model, loss):
    """All that scoring might change."""
    return {
        "state": {name: value.clone() for name, value in model.state_dict().items()},
        "gradients": {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None},
        "wanted": {name: p.requires_grad for name, p in [*model.named_parameters(), *model.named_buffers()]},
        "modes": [part.training for module in (model, loss) for part in module.modules()],
        "idle": {name: c.idle for name, c in model.connectivity.items()},
        "random": [torch.get_rng_state(), torch.tensor(np.random.get_state()[1].astype(np.int64)), random.getstate()],
    }


def failing():
    return [sample(1), {**sample(2), "target": None}]


@pytest.mark.parametrize("batches", [lambda: [sample(1), sample(2)], failing, list], ids=["scored", "failed", "none"])
def test_leaves_no_trace(batches):
    """Neither after scoring nor after an error, whatever mode each submodule was in."""
    model, loss = small(), criterion().train()
    loss(model, sample(3))[0].backward()
    model.encoder.layers[0].eval()
    model.decoder.layers[0].fc1.requires_grad_(False)
    before = traces(model, loss)
    try:
        scores_of(model, loss, batches())
    except (AttributeError, ValueError):
        assert batches in (failing, list)
    torch.testing.assert_close(traces(model, loss), before, rtol=0, atol=0)
    assert len(before["gradients"]) > 10 and len(set(before["modes"])) == 2  # controls
    assert any(before["wanted"].values()) and not any(before["wanted"][name] for name in model.connectivity)


def test_needs_a_batch():
    with pytest.raises(ValueError, match=r"\(--srp-score-batches\): .* no batch .*--max-tokens"):
        scores_of(small(), criterion(), [])


def test_squared_scores_add_up_the_squares_of_batches():
    model, batches = small(), [sample(1), sample(2, 4)]
    singles = [scores_of(model, criterion(), [batch]) for batch in batches]
    found = scores_of(model, criterion(), batches, "connectivity_gradient_squared")
    for name, score in found.items():
        torch.testing.assert_close(score, singles[0][name].square() + singles[1][name].square())
    assert any((score != (singles[0][n] + singles[1][n]).square()).any() for n, score in found.items())
