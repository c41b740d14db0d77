"""The layers of SRP architectures but layer norm, one by one."""

import copy

import pytest
import torch
from fairseq.modules import MultiheadAttention, SinusoidalPositionalEmbedding
from torch import nn

from fairseq_prune.modules.attention import ConnectedAttention
from fairseq_prune.modules.connectivity import (
    ConnectedLinear,
    Connectivity,
    InputScaledLinear,
    OutputScaledLinear,
    ScaledFeatures,
)
from fairseq_prune.modules.positions import SelectedPositions


def randomly(seed, *shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def connected(values):
    """A connectivity vector with these values, in float64."""
    connectivity = Connectivity(nn.Module().double(), "c", len(values))
    connectivity._owner.c = torch.as_tensor(values).double()
    connectivity.refresh()
    return connectivity


def test_connectivity():
    c, x = connected([1.0, 1, 1]), randomly(1, 2, 3)
    assert c.idle and c.active is None and c.scale(x, 1) is x
    c.vector.requires_grad_()
    assert c.active is c.vector and torch.equal(c.scale(x, -1), x)
    c.scale(x, -1).sum().backward()
    assert torch.allclose(c.vector.grad, x.sum(0))
    c.vector.requires_grad_(False)[1] = 0.5
    assert c.scale(x, -1) is x  # not looked at yet
    c.refresh()
    assert torch.equal(c.scale(x, -1), x * torch.tensor([1, 0.5, 1]).double())
    assert c.scale(x.half(), -1).dtype == torch.float16
    assert torch.equal(connected([2.0, 3]).scale(x, 0), x * torch.tensor([[2.0], [3]]).double())


def test_a_copy_reads_its_own_vector():
    owner = nn.Module()
    owner.layer = ScaledFeatures(Connectivity(owner, "c", 3))
    twin = copy.deepcopy(owner)
    twin.c[0] = 0
    twin.layer._connectivity.refresh()
    assert owner.layer(torch.ones(3)).tolist() == [1, 1, 1]
    assert twin.layer(torch.ones(3)).tolist() == [0, 1, 1]
    assert twin.half().layer._connectivity.vector.dtype == torch.float16
    assert list(owner.state_dict()) == ["c"]


def test_scaled_linear_layers():
    linear, x, values = nn.Linear(3, 4).double(), randomly(1, 2, 3), randomly(2, 4)
    assert torch.allclose(OutputScaledLinear(linear, connected(values))(x), linear(x) * values, atol=1e-14)
    assert torch.allclose(InputScaledLinear(linear, connected(values[:3]))(x), linear(x * values[:3]), atol=1e-14)
    assert torch.equal(InputScaledLinear(linear, connected([1, 1, 1]))(x), linear(x))
    bare = nn.Linear(3, 4, bias=False).double()
    assert torch.allclose(OutputScaledLinear(bare, connected(values))(x), bare(x) * values, atol=1e-14)
    assert InputScaledLinear(linear, connected([1, 1, 1])).weight is linear.weight


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("axis", [0, 1])
def test_gradients_of_what_is_removed_are_not_formed(axis, bias):
    linear, x, upstream = nn.Linear(3, 4, bias=bias).double(), randomly(1, 2, 5, 3), randomly(2, 2, 5, 4)
    inputs = {"stock": x.clone().requires_grad_(), "ours": x.clone().requires_grad_()}
    linear(inputs["stock"]).backward(upstream)
    expected = {name: p.grad for name, p in linear.named_parameters()}
    linear.zero_grad()
    layer = ConnectedLinear(linear)
    layer.kept = axis, torch.tensor([0, 2])
    layer(inputs["ours"]).backward(upstream)
    block = torch.zeros(4, 3).double().index_fill_(axis, torch.tensor([0, 2]), 1)
    assert torch.allclose(linear.weight.grad, expected["weight"] * block, atol=1e-14)
    assert not torch.allclose(linear.weight.grad, expected["weight"])
    assert torch.allclose(inputs["ours"].grad, inputs["stock"].grad, atol=1e-14)
    assert not bias or torch.equal(linear.bias.grad, expected["bias"])
    with torch.no_grad():
        assert torch.equal(layer(x), linear(x))


def test_gradients_of_what_stays_pass_connectivity_and_autocast():
    linear, x = nn.Linear(3, 4), randomly(1, 5, 3).float()
    layer = OutputScaledLinear(linear, connected([1, 0.5, 1, 0.25]))
    with torch.autocast("cpu", torch.bfloat16):
        layer(x).sum().backward()
    expected = linear.weight.grad.clone()
    linear.zero_grad()
    layer.kept = 1, torch.tensor([0, 2])
    with torch.autocast("cpu", torch.bfloat16):
        layer(x).sum().backward()
    assert torch.allclose(linear.weight.grad[:, [0, 2]], expected[:, [0, 2]], rtol=0.02)
    assert expected[:, 1].abs().min() > 0 and linear.weight.grad[:, 1].abs().max() == 0


def attentions(memory=8, heads=2, **kind):
    """fairseq's attention and ours with the same weights."""
    torch.manual_seed(1)
    theirs = MultiheadAttention(8, heads, kdim=memory, vdim=memory, **kind).double().eval()
    for parameter in theirs.parameters():
        parameter.data = torch.randn_like(parameter)
    ours = ConnectedAttention(copy.deepcopy(theirs), connected(torch.ones(8)), connected(torch.ones(8)))
    return theirs, ours.eval()


PADDING = torch.tensor([[True, False, False, False], [False, False, False, True], [False] * 4])


@pytest.mark.parametrize("mask", [None, torch.full((4, 4), float("-inf")).triu(1).double()])
@pytest.mark.parametrize("padding", [None, PADDING[[2, 1, 1]]])
@pytest.mark.parametrize("need", [{"need_weights": False}, {"need_weights": True}])
def test_self_attention(mask, padding, need):
    theirs, ours = attentions(self_attention=True)
    x = randomly(4, 4, 3, 8)
    expected = theirs(x, x, x, key_padding_mask=padding, attn_mask=mask, **need)
    out = ours(x, x, x, key_padding_mask=padding, attn_mask=mask, **need)
    assert (out[0] - expected[0]).abs().max() < 1e-12
    if need["need_weights"]:
        assert (out[1] - expected[1]).abs().max() < 1e-12
    else:
        assert out[1] is None and expected[1] is None


@pytest.mark.parametrize("need", [{"need_weights": True}, {"need_weights": False, "need_head_weights": True}])
@pytest.mark.parametrize("padding", [None, PADDING])
def test_attention_to_a_source_of_another_width(padding, need):
    theirs, ours = attentions(memory=6, encoder_decoder_attention=True)
    x, source = randomly(4, 2, 3, 8), randomly(5, 4, 3, 6)
    expected = theirs(x, source, source, key_padding_mask=padding, static_kv=True, **need)
    out = ours(x, source, source, key_padding_mask=padding, static_kv=True, **need)
    for a, b, tolerance in zip(out, expected, (1e-12, 1e-7), strict=True):  # fairseq's probabilities are float32
        assert a.shape == b.shape and (a - b).abs().max() < tolerance
    if padding is not None:
        assert not out[1].movedim(-3, 0)[0, ..., 0].any()  # the first word of the first source is padding


def test_attention_dropout():
    """In training, on the probabilities, and the same as fairseq's from the same seed."""
    theirs, ours = attentions(encoder_decoder_attention=True, dropout=0.5)
    x, source, outs = randomly(4, 2, 3, 8), randomly(5, 4, 3, 8), []
    for attention, training in ((theirs, True), (ours, True), (ours, False)):
        torch.manual_seed(1)
        outs.append(attention.train(training)(x, source, source, static_kv=True)[0])
    assert (outs[0] - outs[1]).abs().max() < 1e-12 and (outs[1] - outs[2]).abs().max() > 0.1


def test_incremental_self_attention():
    """Step by step, with hypotheses rearranged and padding that comes and goes."""
    both, caches = attentions(self_attention=True), ({}, {})
    for step, padded in enumerate((True, False, True)):
        x, outs = randomly(6 + step, 1, 3, 8), []
        padding = torch.tensor([[False], [step > 0], [False]]) if padded else None
        for attention, cache in zip(both, caches, strict=True):
            outs.append(attention(x, x, x, key_padding_mask=padding, incremental_state=cache)[0])
            attention.reorder_incremental_state(cache, torch.tensor([2, 0, 0]))
        assert (outs[0] - outs[1]).abs().max() < 1e-12
    assert both[1]._get_input_buffer(caches[1])["prev_key"].shape == (3, 2, 3, 4)


def test_incremental_attention_to_a_source():
    """Keys and values stay those of the first step, of the sentences that are left."""
    both, caches, source = attentions(encoder_decoder_attention=True), ({}, {}), randomly(5, 4, 3, 8)
    given = source, source, PADDING
    for order in ([2, 0], [0, 1], [1]):
        x, outs = randomly(6, 1, given[0].shape[1], 8), []
        for attention, cache in zip(both, caches, strict=True):
            outs.append(attention(x, *given, incremental_state=cache, static_kv=True)[0])
            attention.reorder_incremental_state(cache, torch.tensor(order))
        assert (outs[0] - outs[1]).abs().max() < 1e-12
        given = 2 * (torch.full((4, len(order), 8), torch.nan),) + (None,)  # not read again
    assert both[1]._get_input_buffer(caches[1])["prev_key"].shape == (1, 2, 4, 4)


@pytest.mark.parametrize("padding", [None, PADDING])
def test_hypotheses_of_a_sentence_share_what_is_kept_of_its_source(padding):
    """Two hypotheses each: as fairseq's attention of the same beam, and as ours that does not know of it."""
    theirs, ours = attentions(encoder_decoder_attention=True)
    alone, source = copy.deepcopy(ours), randomly(5, 4, 3, 8).repeat_interleave(2, 1)
    for attention in (theirs, ours):
        attention.set_beam_size(2)
    given = source, source, None if padding is None else padding.repeat_interleave(2, 0)
    caches = {theirs: {}, ours: {}, alone: {}}
    for order in ([0, 0, 3, 2, 4, 4], [3, 2, 5, 4], [0, 1, 2, 3]):  # the first sentence leaves after two steps
        x, outs = randomly(6, 1, given[0].shape[1], 8), []
        for attention, cache in caches.items():
            outs.append(attention(x, *given, incremental_state=cache, static_kv=True, need_weights=True))
            attention.reorder_incremental_state(cache, torch.tensor(order))
        for out in outs[1:]:
            assert (outs[0][0] - out[0]).abs().max() < 1e-6 and out[1].shape == (x.shape[1], 1, 4)
            assert (outs[0][1] - out[1]).abs().max() < 1e-6
        assert (outs[1][0] - outs[2][0]).abs().max() < 1e-12
        given = source[:, : len(order)] * torch.nan, source[:, : len(order)] * torch.nan, None
    assert ours._get_input_buffer(caches[ours])["prev_key"].shape == (2, 2, 4, 4)
    assert alone._get_input_buffer(caches[alone])["prev_key"].shape == (4, 2, 4, 4)
    assert ours(x, x, x)[0].shape == x.shape  # in training nothing is shared


def test_connectivity_and_widths_of_each_kind():
    """Fewer query/key dimensions than value dimensions, and down to none."""
    for qk, vo in ((2, 6), (6, 2), (0, 4), (4, 0), (0, 0)):
        _, ours = attentions(self_attention=True)
        keep = [torch.arange(8) % 4 < width // 2 for width in (qk, vo)]  # of each of 2 heads
        c = [connected(kept.double()) for kept in keep]
        masked = ConnectedAttention(ours, *c)
        cut = copy.deepcopy(ours)
        for layer, kept in ((cut.q_proj, keep[0]), (cut.k_proj, keep[0]), (cut.v_proj, keep[1])):
            layer.weight.data, layer.bias.data = layer.weight.data[kept], layer.bias.data[kept]
        cut.out_proj.weight.data = cut.out_proj.weight.data[:, keep[1]]
        x = randomly(4, 4, 3, 8)
        causal = torch.full((4, 4), float("-inf")).triu(1).double()
        a, b = (m(x, x, x, PADDING[[2, 1, 1]], attn_mask=causal)[0] for m in (masked, cut))
        assert (a - b).abs().max() < 1e-12
        assert (a - ours(x, x, x, PADDING[[2, 1, 1]], attn_mask=causal)[0]).abs().max() > 0.01
        b.sum().backward()
        assert all(p.grad.isfinite().all() for p in cut.parameters())
        assert cut.scaling == 4**-0.5 and cut.num_heads == 2
        cache = {}
        steps = [cut(x[i : i + 1], x[i : i + 1], None, incremental_state=cache)[0] for i in range(4)]
        assert (torch.cat(steps) - cut(x, x, x, attn_mask=causal)[0]).abs().max() < 1e-5  # softmax of steps in float32


def test_selected_positions():
    side = nn.Module()
    side.register_buffer("pos_emb_mask", torch.arange(8))
    whole = SinusoidalPositionalEmbedding(8, padding_idx=1, init_size=5)
    ours = SelectedPositions(whole, side)
    tokens = torch.tensor([[1, 1, 5, 6, 7, 8, 9, 10], [4, 5, 6, 7, 8, 9, 10, 1]])  # longer than the table
    assert torch.equal(ours(tokens), whole(tokens))
    side.pos_emb_mask = torch.tensor([0, 3, 7])
    assert torch.equal(ours(tokens), whole(tokens)[..., [0, 3, 7]])
    assert not ours(tokens)[0, :2].any() and ours(tokens)[1, 0].any()
    assert torch.equal(ours(tokens, incremental_state={}), whole(tokens, incremental_state={})[..., [0, 3, 7]])
    assert not list(ours.children()) and not ours.state_dict() and ours.max_positions == whole.max_positions
