"""The recurrent language model: counts, formula, carried state, generation."""

from argparse import Namespace

import pytest
import torch
from fairseq.criterions.cross_entropy import CrossEntropyCriterion
from fairseq.criterions.label_smoothed_cross_entropy import LabelSmoothedCrossEntropyCriterion
from fairseq.data import Dictionary
from fairseq.models import ARCH_CONFIG_REGISTRY, ARCH_MODEL_REGISTRY
from fairseq.sequence_generator import SequenceGenerator
from torch import nn
from torch.nn import functional as F

from fairseq_prune.engine.carried import Carried
from fairseq_prune.models.rnn_lm import RnnLm, RnnLmConfig, RnnLmDecoder


def dictionary(entries):
    """``<s> <pad> </s> <unk>`` and words."""
    words = Dictionary()
    for index in range(entries - len(words)):
        words.add_symbol(f"w{index}")
    return words


def tiny(entries=13, layers=2, dropout=0.0, seed=1):
    torch.manual_seed(seed)
    return RnnLm(RnnLmDecoder(dictionary(entries), 6, 5, layers, dropout)).double()


def tokens(seed, batch=3, length=8, entries=13):
    return torch.randint(2, entries, (batch, length), generator=torch.Generator().manual_seed(seed))


def test_parameters_of_the_reference():
    model = RnnLm(RnnLmDecoder(dictionary(10_002)))
    sizes = {name.removeprefix("decoder."): tuple(p.shape) for name, p in model.named_parameters()}
    expected = {"embed_tokens.weight": (10_000, 200)}
    for layer in (0, 1):
        expected |= {f"lstm.weight_{kind}_l{layer}": (800, 200) for kind in ("ih", "hh")}
        expected |= {f"lstm.bias_{kind}_l{layer}": (800,) for kind in ("ih", "hh")}
    expected |= {"output_projection.weight": (10_000, 200), "output_projection.bias": (10_000,)}
    assert sizes == expected
    assert sum(p.numel() for p in model.parameters()) == 4_653_200
    for kind in ("ih", "hh"):
        assert sum(p.numel() for name, p in model.named_parameters() if f"_{kind}_" in name) == 321_600


def test_initial_values():
    torch.manual_seed(1)
    decoder = RnnLmDecoder(dictionary(2_000), 50, 40)
    for weight in (decoder.embed_tokens.weight, decoder.output_projection.weight):
        assert 0.0999 < weight.max() <= 0.1 and -0.1 <= weight.min() < -0.0999
        assert abs(weight.std().item() - 0.2 / 12**0.5) < 1e-3
    assert not decoder.output_projection.bias.any()
    for weight in decoder.lstm.parameters():
        assert 0.9 * 40**-0.5 < weight.abs().max() <= 40**-0.5


@pytest.mark.parametrize(("arch", "sizes"), [
    ("rnn_lm", (200, 200, 2)), ("rnn_lm_small", (64, 64, 2)), ("rnn_lm_tiny", (16, 16, 2)),
])  # fmt: skip
def test_architectures(arch, sizes):
    args = Namespace(arch=arch)
    ARCH_CONFIG_REGISTRY[arch](args)
    config = RnnLmConfig(**{name: value for name, value in vars(args).items() if name != "arch"})
    task = Namespace(source_dictionary=dictionary(20))
    decoder = ARCH_MODEL_REGISTRY[arch].build_model(config, task).decoder
    assert (decoder.embed_tokens.weight.size(1), decoder.lstm.hidden_size, decoder.lstm.num_layers) == sizes
    assert decoder.dropout.p == decoder.lstm.dropout == 0.2


@pytest.mark.parametrize(("options", "message"), [
    ({"decoder_hidden_size": 0}, "--decoder-hidden-size 0: give a positive number"),
    ({"decoder_layers": -1}, "--decoder-layers -1: give a positive number"),
    ({"dropout": 1.0}, r"--dropout 1.0: give a probability in \[0, 1\), e.g. --dropout 0.2"),
])  # fmt: skip
def test_bad_sizes(options, message):
    with pytest.raises(SystemExit, match=message):
        RnnLm.build_model(RnnLmConfig(**options), Namespace(source_dictionary=dictionary(20)))


def by_hand(decoder, inputs):
    """Logits [batch, length, rows] of the reference's formula, in plain loops over PyTorch's LSTM equations."""
    values = dict(decoder.lstm.named_parameters())
    x = decoder.embed_tokens.weight[inputs - 2]
    for layer in range(decoder.lstm.num_layers):
        h = c = x.new_zeros(len(x), decoder.lstm.hidden_size)
        outputs = []
        for step in range(x.size(1)):
            w, v, b, a = (values[f"{n}_l{layer}"] for n in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
            i, f, g, o = (x[:, step] @ w.t() + b + h @ v.t() + a).chunk(4, 1)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh()
            outputs.append(h)
        x = torch.stack(outputs, 1)
    return x @ decoder.output_projection.weight.t() + decoder.output_projection.bias


def test_formula():
    model = tiny().eval()
    nn.init.normal_(model.decoder.output_projection.bias)
    logits, _ = model(tokens(1))
    assert logits.shape == (3, 8, 13)
    assert (logits[..., 2:] - by_hand(model.decoder, tokens(1))).abs().max() < 1e-14
    assert model.get_normalized_probs((logits, None), log_probs=False)[..., :2].eq(0).all()


def test_absent_tokens():
    """<s> and <pad> as inputs stand for row 0; they never come out, also in half precision."""
    model = tiny().eval()
    inputs, filled = tokens(1), tokens(1)
    inputs[0, -2:], inputs[1, 0], filled[0, -2:], filled[1, 0] = 1, 0, 2, 2
    assert torch.equal(model(inputs)[0], model(filled)[0])
    assert model.half().float()(inputs)[0].isfinite().all()
    features = torch.zeros(1, 5).half()
    assert model.half().decoder.output_layer(features).isfinite().all()


def test_dropout_places(monkeypatch):
    """After the embedding, between the layers and after the last; nothing else is random."""
    model = tiny(dropout=0.5)
    assert model.decoder.lstm.dropout == 0.5 and tiny(layers=1, dropout=0.5).decoder.lstm.dropout == 0
    seen = []
    monkeypatch.setattr(nn.Dropout, "forward", lambda self, x: seen.append((self.p, tuple(x.shape))) or x)
    model(tokens(1))
    assert seen == [(0.5, (8, 3, 6)), (0.5, (8, 3, 5))]
    assert not torch.equal(model(tokens(1))[0], model(tokens(1))[0])  # that between the layers is PyTorch's
    assert torch.equal(model.eval()(tokens(1))[0], model(tokens(1))[0])


@pytest.mark.parametrize("cuts", [[8], [3, 5], [1] * 8])
def test_carried_state(cuts):
    model, carried = tiny().eval(), Carried()
    parts = [model(part, carried=carried)[0] for part in tokens(1).split(cuts, 1)]
    whole, state = model.extract_features(tokens(1))
    assert (torch.cat(parts, 1) - model.output_layer(whole)).abs().max() < 1e-14
    for mine, last in zip(carried.state, state, strict=True):
        assert mine.shape == (2, 3, 5) and not mine.requires_grad and last.requires_grad
        assert (mine - last).abs().max() < 1e-14
    reset = [model(part)[0] for part in tokens(1).split(cuts, 1)]
    assert (len(cuts) == 1) == torch.equal(torch.cat(reset, 1), model(tokens(1))[0])


def test_features_go_on_from_a_state():
    model = tiny().eval()
    first, state = model.decoder.extract_features(tokens(1)[:, :3])
    rest, _ = model.decoder.extract_features(tokens(1)[:, 3:], state)
    assert first.shape == (3, 3, 5)
    assert (torch.cat([first, rest], 1) - model.decoder.extract_features(tokens(1))[0]).abs().max() < 1e-14


def test_a_state_of_another_precision_is_converted():
    model = tiny().float()
    carried = Carried(tuple(torch.zeros(2, 3, 5).double() for _ in "hc"))
    assert torch.equal(model(tokens(1), carried=carried)[0], model(tokens(1))[0])
    assert carried.state[0].dtype == torch.float32


def test_incremental_decoding():
    model, state = tiny().eval(), {}
    steps = [model.decoder(tokens(1)[:, : n + 1], incremental_state=state)[0] for n in range(8)]
    assert [step.shape for step in steps] == [(3, 1, 13)] * 8
    assert (torch.cat(steps, 1) - model(tokens(1))[0]).abs().max() < 1e-14
    prefix, state = tokens(1)[:, :5], {}  # a whole prefix at once
    begin = model.decoder(prefix, incremental_state=state)[0]
    after = model.decoder(tokens(1)[:, :6], incremental_state=state)[0]
    assert (torch.cat([begin, after], 1) - model(tokens(1)[:, :6])[0]).abs().max() < 1e-14


def test_states_follow_their_hypotheses():
    model, state, order = tiny().eval(), {}, torch.tensor([2, 0, 0])
    model.decoder(tokens(1)[:, :5], incremental_state=state)
    unmoved = dict(state)
    model.decoder.reorder_incremental_state_scripting(state, order)
    expected = model(tokens(1)[order][:, :6])[0][:, -1:]
    assert (model.decoder(tokens(1)[order][:, :6], incremental_state=state)[0] - expected).abs().max() < 1e-14
    assert (model.decoder(tokens(1)[order][:, :6], incremental_state=unmoved)[0] - expected).abs().max() > 1e-4
    model.decoder.reorder_incremental_state_scripting({}, order)  # nothing yet


def test_beam_search_scores_what_it_finds():
    """The score of each hypothesis of fairseq's generator is that of the model read in one go."""
    model = tiny(seed=3).float().eval()
    with torch.no_grad():
        model.decoder.output_projection.weight.mul_(30)
    words = model.decoder.dictionary
    generator = SequenceGenerator([model], words, beam_size=3, max_len_a=0, max_len_b=6, normalize_scores=False)
    sample = {"net_input": {"src_tokens": torch.empty(1, 0).long(), "src_lengths": torch.zeros(1).long()}}
    (found,) = generator.generate([model], sample, bos_token=words.eos())
    assert len(found) == 3 and len({tuple(h["tokens"].tolist()) for h in found}) == 3
    for hypothesis in found:
        target = hypothesis["tokens"]
        inputs = torch.cat([torch.tensor([words.eos()]), target[:-1]])
        chances = model(inputs[None])[0].log_softmax(-1)[0].gather(1, target[:, None]).squeeze(1)
        torch.testing.assert_close(hypothesis["positional_scores"], chances, rtol=0, atol=1e-4)


@pytest.mark.parametrize("smoothing", [None, 0.0, 0.1])
def test_criterions_of_fairseq(smoothing):
    model = tiny().eval()
    task = Namespace(target_dictionary=model.decoder.dictionary)
    criterion = CrossEntropyCriterion(task, False)
    if smoothing is not None:
        criterion = LabelSmoothedCrossEntropyCriterion(task, False, smoothing, report_accuracy=True)
    target = tokens(2)
    target[0, -1] = 1  # <pad> does not count
    sample = {"net_input": {"src_tokens": tokens(1)}, "target": target, "ntokens": 23}
    loss, size, log = criterion(model, sample)
    logits = by_hand(model.decoder, tokens(1)).flatten(0, 1)
    loss.backward()
    assert size == 23 and all(p.grad.isfinite().all() and p.grad.any() for p in model.parameters())
    truth = F.cross_entropy(logits, target.flatten() - 2, ignore_index=-1, reduction="sum").item()
    assert abs(log["nll_loss" if smoothing is not None else "loss"].item() - truth) < 1e-3
    if smoothing is not None:
        hits = (logits.argmax(1) + 2 == target.flatten()).sum().item()
        assert (log["n_correct"], log["total"]) == (hits, 23)


def test_only_the_output_bias():
    """All else zero: the same prediction everywhere, of which everything is known."""
    model = tiny().eval()
    for parameter in model.parameters():
        parameter.data.zero_()
    bias = torch.linspace(-1, 1, 11).double().roll(4)
    model.decoder.output_projection.bias.data = bias
    logits = model(tokens(1, 4, 100))[0]
    target = tokens(2, 4, 100)
    assert logits.argmax(-1).unique().tolist() == [bias.argmax() + 2] == [5]
    accuracy = (logits.argmax(-1) == target).double().mean().item()
    assert accuracy == (target == 5).double().mean().item() and 0 < accuracy < 1
    loss = F.cross_entropy(logits.flatten(0, 1), target.flatten()).item()
    frequency = torch.bincount(target.flatten() - 2, minlength=11).double() / 400
    assert abs(loss + (frequency * bias.log_softmax(0)).sum().item()) < 1e-12
