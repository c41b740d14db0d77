"""Evaluating candidates: scores, the output layer's screen, early abandoning."""

import math
import random
from types import SimpleNamespace

import pytest
import torch
from small_models import DECODER, build_model
from torch.nn import functional as F

from fairseq_prune.evaluate.abandon import is_hopeless
from fairseq_prune.evaluate.blocks import batch_blocks
from fairseq_prune.evaluate.load import Workbench
from fairseq_prune.evaluate.output import OutputLayer
from fairseq_prune.evaluate.score import Score
from fairseq_prune.evaluate.translation import _text, hypothesis_perplexity, whitespace_bleu


def decoder(rows, width=8, absent=0, seed=1):
    """A decoder of nothing but a linear output layer; words before its first row are ``absent`` (count)."""
    torch.manual_seed(seed)
    return SimpleNamespace(dictionary=range(rows + absent), output_projection=torch.nn.Linear(width, rows))


class TestOutputLayer:
    @pytest.fixture
    def data(self):
        """700 features and targets over 900 words, a third of them what the layer predicts."""
        layer, generator = decoder(900, absent=2), torch.Generator().manual_seed(2)
        features = torch.randn(700, 8, generator=generator)
        targets = torch.randint(900, (700,), generator=generator)
        predicted = layer.output_projection(features).argmax(1)
        targets[::3] = predicted[::3]
        return layer, features, targets + 2, int((predicted == targets).sum())

    def test_hits_with_and_without_a_screen(self, data):
        layer, features, targets, hits = data
        output = OutputLayer(layer)
        assert output.count_hits(features, targets) == hits >= 234  # any words will do for a screen
        assert output.count_predictions(features, targets) == hits
        learnt = OutputLayer(layer, output.predicted)
        assert learnt.count_hits(features, targets) == hits

    def test_the_screen_drops_most_misses(self, data, monkeypatch):
        monkeypatch.setattr("fairseq_prune.evaluate.output._SCREEN", 64)
        layer, features, targets, hits = data
        output = OutputLayer(layer)
        output.count_predictions(features, targets)
        weight, bias = layer.output_projection.weight, layer.output_projection.bias
        for learnt in (OutputLayer(layer, output.predicted), output):  # a worker's, and the one that learnt
            alive = learnt._survivors(features, targets - 2, weight, bias)
            assert hits <= int(alive.sum()) < 0.6 * len(features)
            assert output.predicted[learnt._screen].sum() == output.predicted.topk(64).values.sum()

    def test_likelihood(self, data):
        layer, features, targets, _ = data
        expected = torch.nn.functional.cross_entropy(layer.output_projection(features), targets - 2, reduction="sum")
        assert OutputLayer(layer).nll(features, targets) == pytest.approx(float(expected), rel=1e-5)

    def test_tied_output(self):
        layer = torch.nn.Embedding(20, 8)
        tied = SimpleNamespace(dictionary=range(20), share_input_output_embed=True, embed_tokens=layer)
        features = layer.weight.detach() * 5
        expected = int(((features @ layer.weight.t()).argmax(1) == torch.arange(20)).sum())
        assert OutputLayer(tied).count_hits(features, torch.arange(20)) == expected > 0

    def test_an_adaptive_softmax_is_refused(self):
        adaptive = SimpleNamespace(dictionary=range(20), share_input_output_embed=True, adaptive_softmax=object())
        with pytest.raises(ValueError, match="linear output layer"):
            OutputLayer(adaptive)


RNN = {"decoder_embed_dim": 8, "decoder_hidden_size": 8, "decoder_out_embed_dim": 8}


CONVOLUTIONS = {"decoder_layers": "[(8, 3)] * 2", "decoder_embed_dim": 8, "decoder_attention": "False"}
STOCK = {"transformer_lm": DECODER, "lstm_lm": RNN, "fconv_lm": CONVOLUTIONS}


@pytest.mark.parametrize("arch, options", STOCK.items())
def test_what_a_stock_language_model_puts_out_is_what_is_scored(arch, options):
    """By its output layer it gives the model's own logits; padding does not count."""
    model, pad = build_model(arch, **options).eval(), 1
    tokens = torch.tensor([[5, 6, 7, 8], [9, 10, 11, pad]])
    target = torch.tensor([[6, 7, 8, 2], [10, 11, 2, pad]])
    ((features, words),) = batch_blocks([{"net_input": {"src_tokens": tokens}, "target": target}], pad)(model)
    assert torch.equal(words, target[target != pad])
    logits, output = model(tokens)[0][target != pad], OutputLayer(model.decoder)
    assert output.nll(features, words) == pytest.approx(float(F.cross_entropy(logits, words, reduction="sum")), 1e-6)
    assert output.count_hits(features, logits.argmax(1)) == len(words) > output.count_hits(features, words)


class TestScore:
    def test_numbers(self):
        score = Score((3, 4), 20, nll=20 * math.log(7))
        assert (score.hits, score.accuracy) == (7, 0.35) and score.perplexity == pytest.approx(7)

    def test_the_exponent_is_capped(self):
        assert Score((0,), 1, nll=1e9).perplexity == pytest.approx(math.exp(100))

    def test_the_reference_divides_by_a_row_more(self):
        """Published: 17,341 hits of 73,760 where 73,750 were targets."""
        assert Score((17_341,), 73_760).accuracy == pytest.approx(0.23510032537960953)

    @pytest.mark.parametrize(
        "printed, tokens, sound",
        [
            (120.408, 73_760, 120.486), (133.718, 73_760, 133.807),  # validation: original, pruned
            (117.216, 82_430, 117.284), (128.782, 82_430, 128.858),  # test
        ],
    )  # fmt: skip
    def test_published_perplexities(self, printed, tokens, sound):
        """In ten columns, the last row of which is no target; perplexities are related by T / (T - 1)."""
        nll = math.log(printed) * tokens
        assert Score((0,), tokens - 10, nll).perplexity == pytest.approx(sound, abs=1.1e-3)
        assert Score((0,), tokens, nll).perplexity == pytest.approx(printed)  # the reference's


class TestAbandoning:
    reference = tuple(100 + (i % 3) for i in range(20))

    def hits(self, loss, blocks):
        rng = random.Random(1)
        return [hits - loss + rng.randint(-2, 2) for hits in self.reference[:blocks]]

    def test_a_clear_loser_is_abandoned_soon(self):
        required = sum(self.reference) - 40
        assert is_hopeless(self.hits(10, 5), self.reference, required)

    def test_an_equal_is_never_abandoned(self):
        required = sum(self.reference) - 40
        assert not any(is_hopeless(self.hits(0, n), self.reference, required) for n in range(1, 21))

    def test_one_with_enough_hits_already_is_never_abandoned(self):
        falling = (1000, 1000, 1000, 1000, 5, 5)  # the mean loss per block is more than a later block has
        assert not is_hopeless([900, 901, 899, 900], falling, 3600)
        assert is_hopeless([900, 901, 899, 900], falling, 3601)

    def test_it_takes_three_and_a_half_standard_errors(self):
        """Gains of 1 and -3 by turns: mean -1, standard deviation 4/sqrt(3); four of sixteen blocks."""
        hits = [hits + gain for hits, gain in zip(self.reference, (1, -3, 1, -3), strict=False)]
        predicted = sum(self.reference) - 4 - 12
        error = 4 / math.sqrt(3) * math.sqrt(12 + 12**2 / 4)
        assert not is_hopeless(hits, self.reference[:16], predicted - sum(self.reference[16:]) + 3.4 * error)
        assert is_hopeless(hits, self.reference[:16], predicted - sum(self.reference[16:]) + 3.6 * error)

    def test_three_blocks_say_too_little_and_after_the_last_it_is_over(self):
        assert not is_hopeless([0, 0, 0], self.reference, 10**6)
        assert not is_hopeless([0] * 20, self.reference, 10**6)


def test_bleu_is_not_smoothed():
    text = ["a b c d e", "f g h i"]
    assert whitespace_bleu(text, text) == pytest.approx(100)
    assert whitespace_bleu(["a b c x e"], ["a b c d e"]) == 0  # trigrams in common, but no 4-grams


def test_an_unknown_word_of_a_reference_is_never_hit():
    from fairseq.data import Dictionary

    task, words = SimpleNamespace(target_dictionary=Dictionary()), torch.tensor([3, 2])
    assert _text(task, words) == "<unk>" != _text(task, words, escape_unk=True)


def test_the_perplexity_of_hypotheses():
    assert hypothesis_perplexity(-30.0, 20) == pytest.approx(math.exp(1.5))


@pytest.mark.parametrize(
    ("there", "split"), [({"dev", "valid"}, "dev"), ({"valid", "other"}, "valid"), ({"dev"}, "dev"), (set(), "dev")]
)
def test_the_split_of_the_training_or_the_usual_one(monkeypatch, there, split):
    bench = Workbench.__new__(Workbench)
    bench._config = SimpleNamespace(dataset=SimpleNamespace(valid_subset="dev,other"))
    monkeypatch.setattr(Workbench, "has", lambda self, name: name in there)
    assert bench.validation == split
