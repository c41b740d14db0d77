"""RNNSearch and LuongNet compute what they say, alone, in batches and step by step."""

import pytest
import torch
from srp_models import PAD, batch, build, busy, dictionary, logits, step_by_step
from torch import nn
from torch.nn import functional as F

from fairseq_prune.modules.rnn_attention import GeneralAttention, MlpAttention
from fairseq_prune.modules.rnn_cells import GruCell, LstmCell

ARCHS = ["rnnsearch_tiny", "luongnet_tiny"]
BOS, EOS, UNK = 0, 2, 3
TARGET = torch.tensor([[EOS, 7, 30, 9, 7]])


def model_of(arch, **options):
    """A tiny model of busy weights in float64, to evaluate."""
    return busy(build(arch, **options))


def logits_of(model, *sentences, left=0, right=0):
    """Logits [sentences, 5, words] of TARGET after sources (lists of tokens), in one batch padded so much or more."""
    length = max(map(len, sentences))
    rows = [[PAD] * left + s + [PAD] * (length - len(s) + right) for s in sentences]
    source = torch.tensor(rows)
    with torch.no_grad():
        return model(source, source.ne(PAD).sum(1), TARGET.expand(len(rows), -1))[0]


def differ(a, b):
    return (a - b).abs().max().item()


@pytest.mark.parametrize("ours, theirs", [(GruCell, nn.GRUCell), (LstmCell, nn.LSTMCell)])
def test_cells_equal_torch(ours, theirs):
    torch.manual_seed(1)
    cell, x, h, c = ours(5, 4).double(), torch.randn(3, 5).double(), torch.randn(3, 4).double(), torch.randn(3, 4)
    state = (h,) if ours is GruCell else (h, c.double())
    expected = theirs.forward(cell, x, state if len(state) > 1 else h)
    expected = expected if isinstance(expected, tuple) else (expected,)
    found = cell.advance(F.linear(x, cell.weight_ih, cell.bias_ih), state)
    assert len(found) == len(expected)
    assert all(differ(a, b) < 1e-14 for a, b in zip(found, expected, strict=True))
    assert differ(found[0], h) > 0.1


def naive_attention(attention, query, states):
    """Output [width] and probabilities (list) of one query [width] and unpadded states (list of [width])."""
    w, general = dict(attention.named_parameters()), isinstance(attention, GeneralAttention)
    if general:
        scores = [(w["query_proj.weight"] @ query) @ h for h in states]
    else:
        asked = w["query_proj.weight"] @ query + w["query_proj.bias"]
        scores = [w["v.weight"][0] @ torch.tanh(asked + w["context_proj.weight"] @ h) for h in states]
    weights = [e.exp() / sum(other.exp() for other in scores) for e in scores]
    context = sum(a * h for a, h in zip(weights, states, strict=True))
    output = w["output_proj.weight"] @ torch.cat([context, query])
    return (output.tanh() if general else output + w["output_proj.bias"]), weights


@pytest.mark.parametrize("kind", [MlpAttention, GeneralAttention])
def test_attention_formula(kind):
    torch.manual_seed(1)
    attention = busy(kind(6))
    query, states = torch.randn(2, 6).double(), torch.randn(2, 4, 6).double()
    padding = torch.tensor([[False] * 4, [False, False, True, True]])
    output, probabilities = attention(query, states, attention.keys(states), padding)
    for row, length in ((0, 4), (1, 2)):
        expected, weights = naive_attention(attention, query[row], list(states[row, :length]))
        assert differ(output[row], expected) < 1e-12
        assert differ(probabilities[row, :length], torch.stack(weights)) < 1e-12
        assert not probabilities[row, length:].any()
    assert differ(output[1], naive_attention(attention, query[1], list(states[1]))[0]) > 0.01


def naive_logits(model, words):
    """Logits [1, 5, words] of TARGET after a source of words, from torch's own layers, one step after another."""
    encoder, decoder = model.encoder, model.decoder
    embedded = encoder.embed_tokens.weight[[word - 2 for word in words]]
    states, final = encoder.rnn(embedded.unsqueeze(1))
    state, directions = list(final) if isinstance(final, tuple) else [final], 1 + encoder.rnn.bidirectional
    layers = [[torch.cat([*s[directions * k : directions * (k + 1)]], 1) for s in state] for k in range(2)]
    feed, outputs = torch.zeros(1, 16).double(), []
    for token in TARGET[0]:
        x = torch.cat([decoder.embed_tokens.weight[token].unsqueeze(0), feed], 1)
        for k, (cell, kept) in enumerate(zip(decoder.layers, layers, strict=True)):
            new = type(cell).__mro__[1].forward(cell, x, tuple(kept) if len(kept) > 1 else kept[0])
            layers[k] = list(new) if isinstance(new, tuple) else [new]
            x = layers[k][0]
        feed = naive_attention(decoder.attention, x[0], list(states[:, 0]))[0].unsqueeze(0)
        outputs.append(feed @ decoder.output_projection.weight.t() + decoder.output_projection.bias)
    return torch.stack(outputs, 1)


@pytest.mark.parametrize("arch", ARCHS)
def test_model_equals_naive_computation(arch):
    model, words = model_of(arch), [9, UNK, 33, 4]
    with torch.no_grad():
        expected = naive_logits(model, words)
        assert differ(logits_of(model, [*words, EOS], [8, EOS])[:1], expected) < 1e-10
        assert differ(expected, naive_logits(model, words[::-1])) > 0.01


@pytest.mark.parametrize("arch", ARCHS)
def test_incremental_equals_teacher_forced(arch):
    model = model_of(arch)
    expected = F.log_softmax(logits(model), 2)
    assert differ(F.log_softmax(step_by_step(model), 2), expected) < 1e-10
    source, lengths, target = batch()
    with torch.no_grad():
        encoded, cache = model.encoder(source, lengths), {}
        first, _ = model.decoder(target[:, :3], encoded, incremental_state=cache)  # a prefix at once
        then, _ = model.decoder(target[:, :4], encoded, incremental_state=cache)
        forgetful, _ = model.decoder(target[:, 3:4], encoded, incremental_state={})
    assert differ(torch.cat([first, then], 1), logits(model)[:, :4]) < 1e-10
    assert differ(forgetful, then) > 0.01


@pytest.mark.parametrize("arch", ARCHS)
def test_padding_and_sentence_ends_change_nothing(arch):
    """Nor does what else is in the batch, on which side the padding is, or a mark of the beginning."""
    model, words = model_of(arch), [9, 20, 33]
    expected = logits_of(model, words)
    for same in (
        logits_of(model, [*words, EOS]),
        logits_of(model, [*words, EOS], right=3),
        logits_of(model, [*words, EOS], left=2),
        logits_of(model, [PAD, PAD, *words, EOS], list(range(4, 10)))[:1],
        logits_of(model, [*words, EOS], list(range(4, 16)))[:1],
        logits_of(model, [BOS, *words, EOS]),
    ):
        assert differ(same, expected) < 1e-12
    for other in ([9, 20, 34], [9, 33, 20], [9, 20, 33, UNK]):
        assert differ(logits_of(model, other), expected) > 0.01


@pytest.mark.parametrize("arch", ARCHS)
def test_rows_of_the_source_embedding(arch):
    """<pad> has row 0, <unk> row 1, the last word the last row."""
    model = build(arch, words=(30, 40))
    assert model.encoder.embed_tokens.weight.shape == (28, 16)
    assert model.decoder.embed_tokens.weight.shape == (40, 16)
    source = torch.tensor([[PAD, UNK, 29, EOS]])
    model(source, None, TARGET[:, :2])[0].sum().backward()
    assert model.encoder.embed_tokens.weight.grad.any(1).nonzero().flatten().tolist() == [1, 27]
    model.zero_grad()
    model(torch.tensor([[PAD, EOS]]), None, TARGET[:, :2])[0].sum().backward()
    assert model.encoder.embed_tokens.weight.grad.any(1).nonzero().flatten().tolist() == [0]


@pytest.mark.parametrize("arch", ARCHS)
def test_empty_source(arch):
    model = model_of(arch)
    alone = logits_of(model, [EOS])
    assert alone.isfinite().all()
    assert differ(alone, logits_of(model, [4, 5, 6, EOS], [EOS], left=1)[1:]) < 1e-12
    assert differ(alone, logits_of(model, [UNK, EOS])) > 0.01


@pytest.mark.parametrize("arch", ARCHS)
def test_reordered_hypotheses_keep_their_state(arch):
    """Also where a sentence ends and another one's hypothesis is doubled."""
    model, order = model_of(arch), torch.tensor([2, 0, 0, 1])
    source, lengths, target = batch()
    with torch.no_grad():
        encoded, cache = model.encoder(source, lengths), {}
        for length in (1, 2, 3):
            model.decoder(target[:, :length], encoded, incremental_state=cache)
        model.decoder.reorder_incremental_state_scripting(cache, order)
        encoded = model.encoder.reorder_encoder_out(encoded, order)
        found, extra = model.decoder(target[order][:, :4], encoded, incremental_state=cache)
        expected, expected_extra = model(source, lengths, target)
    assert differ(extra["attn"][0][:, 0], expected_extra["attn"][0][order][:, 3]) < 1e-10
    expected = expected[:, 3]
    assert differ(found[:, 0], expected[order]) < 1e-10
    assert differ(expected[order][:3], expected) > 0.01


@pytest.mark.parametrize("arch", ARCHS)
def test_beam_search_in_a_batch_equals_one_by_one(arch):
    from fairseq.sequence_generator import SequenceGenerator

    model, sentences = model_of(arch), [[9, 20, 33, 8, 5, EOS], [6, 7, EOS], [EOS], [11, 30, 4, EOS]]
    generator = SequenceGenerator([model], dictionary(36), beam_size=5, max_len_a=0, max_len_b=8)

    def translate(*sources):
        length = max(map(len, sources))
        tokens = torch.tensor([[PAD] * (length - len(s)) + s for s in sources])
        sample = {"net_input": {"src_tokens": tokens, "src_lengths": tokens.ne(PAD).sum(1)}}
        return [
            [(hypo["tokens"].tolist(), round(hypo["score"].item(), 5)) for hypo in hypos]
            for hypos in generator.generate([model], sample)
        ]

    together = translate(*sentences)
    assert together == [translate(sentence)[0] for sentence in sentences]
    assert all(len(hypos) == 5 for hypos in together)
    assert together[0] != together[3]


@pytest.mark.parametrize("arch", ARCHS)
def test_gradient_reaches_every_tensor(arch):
    model = model_of(arch).train()
    F.cross_entropy(model(*batch())[0].flatten(0, 1), batch()[2].flatten(), ignore_index=PAD).backward()
    for name, parameter in model.named_parameters():
        rows = parameter.grad.flatten(1) if parameter.dim() > 1 else parameter.grad.unsqueeze(1)
        assert rows.isfinite().all(), name
        assert rows.any(1).all() or "embed_tokens" in name and rows.any(), name


@pytest.mark.parametrize("arch", ARCHS)
def test_dropout_on_outputs_and_between_layers_only(arch):
    source, lengths, target = batch()
    model = model_of(arch, dropout=0.5, layers=1).train()
    encoded = [model.encoder(source, lengths).states for _ in range(2)]
    assert torch.equal(*encoded)
    cache = {}
    features, _ = model.decoder.extract_features(target, model.encoder(source, lengths), cache)
    assert 0.4 < (features == 0).double().mean() < 0.6
    (progress,) = cache.values()
    assert torch.equal(progress.feed, features[:, -1])  # what was dropped is not fed either
    deep = model_of(arch, dropout=0.5, layers=2).train()
    encoded = [deep.encoder(source, lengths) for _ in range(2)]
    assert torch.equal(encoded[0].final[0][0], encoded[1].final[0][0])
    assert differ(encoded[0].final[0][1], encoded[1].final[0][1]) > 0.01
    assert torch.equal(*(model_of(arch, dropout=0.5).eval()(*batch())[0] for _ in range(2)))


@pytest.mark.parametrize("arch", ARCHS)
def test_upper_decoder_layers_read_dropped_states(arch):
    """With all below dropped but nothing at the output, the top layer sees only its bias."""
    model = model_of(arch, layers=2).train()
    source, lengths, target = batch()
    encoded = model.encoder(source, lengths)
    dropped = []
    model.decoder.dropout_module.forward = lambda x: dropped.append(x) or x
    model.decoder.extract_features(target[:, :2], encoded)
    assert len(dropped) == 4  # two steps of one gap between layers and one output
    model.decoder.dropout_module.forward = lambda x: torch.zeros_like(x)
    first = model.decoder.extract_features(target[:, :1], encoded, cache := {})[0]
    (progress,) = cache.values()
    top = model.decoder.layers[1]
    expected = top.advance(top.bias_ih.expand(3, -1), tuple(final[1] for final in encoded.final))
    assert differ(progress.states[1][0], expected[0]) < 1e-12 and not first.any()


@pytest.mark.parametrize("arch", ARCHS)
def test_attention_comes_back_at_source_positions(arch):
    model = model_of(arch)
    source = torch.tensor([[PAD, PAD, 9, 20, EOS], [7, 8, 9, 20, EOS], [9, 20, EOS, PAD, PAD]])
    with torch.no_grad():
        (attn,) = model(source, None, TARGET.expand(3, -1))[1]["attn"]
        assert attn.shape == (3, 5, 5)
        assert differ(attn.sum(2), torch.ones(3, 5).double()) < 1e-12
        assert torch.equal(attn.bool().any(1), source > EOS)
        assert differ(attn[0, :, 2:4], attn[2, :, :2]) < 1e-12 and differ(attn[0, :, 2], attn[0, :, 3]) > 0.001
        assert model.train()(source, None, TARGET.expand(3, -1))[1] == {"attn": [None]}
        model.eval().make_generation_fast_()
        assert model(source, None, TARGET.expand(3, -1))[1] == {"attn": [None]}


@pytest.mark.parametrize("arch", ARCHS)
def test_half_precision_stays_half(arch):
    model = build(arch)
    expected = logits(model)
    model.half().train()
    found, _ = model(*batch())
    assert found.dtype == torch.float16
    assert 0 < differ(found.float(), expected) < 0.01
    found.float().logsumexp(2).sum().backward()
    assert all(p.grad.dtype == torch.float16 and p.grad.isfinite().all() for p in model.parameters())
    assert step_by_step(model.eval()).dtype == torch.float16
