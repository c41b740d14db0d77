"""Layer norm with connectivity: what it sees, and its derivatives."""

import copy

import pytest
import torch
from test_srp_modules import connected, randomly
from torch import nn
from torch.nn import functional as F

from fairseq_prune.modules.layer_norm import ConnectedLayerNorm, _WeightedLayerNorm, dimension_weights
from fairseq_prune.modules.sided_norm import SidedLayerNorm, shared_by

C = torch.tensor([1.0, 0, 1, 1, 0, 1]).double()
ALIVE = C == 1


def norm(values, weighted=True):
    """A random layer norm, and the same one connected; it has stored its original width."""
    plain = nn.LayerNorm(len(values)).double()
    plain.weight.data, plain.bias.data = randomly(1, len(values)), randomly(2, len(values))
    ours = ConnectedLayerNorm(plain, connected(values))
    ours.weighted = weighted
    return plain, ours


def test_weighted_norm_sees_only_what_is_kept():
    plain, ours = norm(C)
    x = randomly(3, 5, 2, 6)
    expected = F.layer_norm(x[..., ALIVE], (4,), plain.weight[ALIVE], plain.bias[ALIVE], plain.eps)
    out = ours(x)
    assert (out[..., ALIVE] - expected).abs().max() < 1e-12 and not out[..., ~ALIVE].any()
    x[..., ~ALIVE] += 100
    assert torch.equal(ours(x), out)
    assert (norm(C, weighted=False)[1](x)[..., ALIVE] - expected).abs().max() > 0.01


def test_plain_norm_sees_zeros():
    plain, ours = norm(C, weighted=False)
    x = randomly(3, 5, 2, 6)
    expected = plain(x * C) * C
    assert (ours(x) - expected).abs().max() < 1e-12
    x[..., ~ALIVE] += 100
    assert torch.equal(ours(x), ours(x * C))


@pytest.mark.parametrize("weighted", [True, False])
def test_a_cut_norm_is_the_masked_one(weighted):
    x, (_, masked), (_, cut) = randomly(3, 5, 2, 6), norm(C, weighted), norm(C, weighted)
    cut.weight.data, cut.bias.data = cut.weight.data[ALIVE], cut.bias.data[ALIVE]
    cut._connectivity._owner.c = cut._connectivity.vector[ALIVE]
    cut._connectivity.refresh()
    assert cut._connectivity.idle
    assert (cut(x[..., ALIVE]) - masked(x)[..., ALIVE]).abs().max() < 1e-12
    cut.weighted = not weighted  # the modes have become different functions
    assert (cut(x[..., ALIVE]) - masked(x)[..., ALIVE]).abs().max() > 0.01


@pytest.mark.parametrize("weighted", [True, False])
def test_norm_of_intermediate_values(weighted):
    """Against SRP's formula in plain loops, and its derivatives against differences."""
    values = torch.tensor([1.0, 0.3, 1, 0.7, 0.05, 1]).double()
    plain, ours = norm(values, weighted)
    x = randomly(3, 2, 6)
    for row, out in zip(x, ours(x), strict=True):
        weights = values / values.sum() if weighted else torch.ones(6).double() / 6
        row = row if weighted else row * values
        mean = sum(w * v for w, v in zip(weights, row, strict=True))
        variance = sum(w * (v - mean) ** 2 for w, v in zip(weights, row, strict=True))
        expected = values * (plain.weight * (row - mean) / (variance + plain.eps).sqrt() + plain.bias)
        assert (out - expected).abs().max() < 1e-12

    def run(x, c):
        ours._connectivity._owner.c = c
        return ours(x)

    assert torch.autograd.gradcheck(run, (x.requires_grad_(), values.clone().requires_grad_()))
    assert torch.autograd.gradcheck(run, (x, torch.ones(6).double().requires_grad_()))


@pytest.mark.parametrize("weighted", [True, False])
def test_norm_at_one_is_torchs(weighted):
    plain, ours = norm(torch.ones(6), weighted)
    x = randomly(3, 5, 6)
    assert torch.equal(ours(x), plain(x))
    ours._connectivity.vector.requires_grad_()
    assert (ours(x) - plain(x)).abs().max() < 1e-14
    assert ours(x[:1].expand(2, 6) * 0 + 3).isfinite().all()  # no variance: a finite gradient too
    ours(x * 0 + 3).sum().backward()
    assert ours._connectivity.vector.grad.isfinite().all()


@pytest.mark.parametrize("weighted", [True, False])
def test_norm_in_low_precision(weighted):
    _, ours = norm(C, weighted)
    x = 1000 * randomly(3, 5, 6)  # whose squares float16 cannot hold
    expected = ours(x)
    for dtype in (torch.float16, torch.bfloat16, torch.float32):
        low = copy.deepcopy(ours).to(dtype)(x.to(dtype))
        assert low.dtype == dtype
        torch.testing.assert_close(low.double(), expected, rtol=0.02, atol=0.05)
    with torch.autocast("cpu", torch.bfloat16):
        assert (ours.float()(x.float()) - expected).abs().max() < 1e-5
    _, none = norm(torch.zeros(6), weighted)
    assert not none(x).any()


def both_ways(x, values):
    """Output and gradients of a weighted norm, by its own backward pass and, as for scores, by autograd."""
    found = []
    for wanted in (False, True):
        plain, ours = norm(values)
        ours._connectivity._owner.c = ours._connectivity.vector.requires_grad_(wanted)
        leaf = x.detach().requires_grad_()
        out = ours(leaf.transpose(0, 1))
        assert out.grad_fn.name() == ("_WeightedLayerNormBackward" if not wanted else "AddcmulBackward0")
        out.backward(randomly(4, *x.shape).transpose(0, 1))
        found.append([out, leaf.grad, ours.weight.grad, ours.bias.grad])
    return found


@pytest.mark.parametrize("values", [C, torch.tensor([1.0, 0.3, 1, 0, 0.05, 1]).double()])
def test_own_backward_is_autograds(values):
    """Of an input and an upstream gradient in another order of memory; the output is in order."""
    x = randomly(3, 5, 2, 6)
    (out, *_), _ = found = both_ways(x, values)
    assert out.shape == (2, 5, 6) and out.is_contiguous()
    for mine, autograds in zip(*found, strict=True):
        assert autograds.abs().max() > 0.1 and (mine - autograds).abs().max() < 1e-12


def test_own_backward_is_the_derivative():
    """By differences, with features, scale, shift and upstream gradient all free, and a connectivity of 0."""
    values = torch.tensor([1.0, 0.3, 1, 0, 0.05, 1]).double()
    inputs = [randomly(3, 3, 2, 6), randomly(1, 6), randomly(2, 6)]

    def run(x, scale, shift):
        return _WeightedLayerNorm.apply(x.transpose(0, 1), scale, shift, values, 1e-5).transpose(0, 1)

    assert torch.autograd.gradcheck(run, [value.requires_grad_() for value in inputs])
    (again,) = torch.autograd.grad(run(*inputs).square().sum(), inputs[0], create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):  # rather than wrong
        again.sum().backward()


def sided(c, scale):
    (shared,) = shared_by(dimension_weights(c.detach()), [scale.detach()])
    return lambda x, scale, shift: SidedLayerNorm.apply(x, scale, shift, shared, 1e-5)


@pytest.mark.parametrize("values", [C, torch.tensor([1.0, 0.3, 1, 0, 1e-5, 1]).double(), torch.ones(6).double()])
def test_the_norm_of_few_launches_is_the_weighted_one(values):
    """Values and all gradients; the scale and the shift hold their products with connectivity."""
    found = []
    values = values.detach()
    inputs = [3 * randomly(3, 5, 2, 6) + 2, randomly(1, 6) * values, randomly(2, 6) * values]
    for norm in (lambda *given: _WeightedLayerNorm.apply(*given, values, 1e-5), sided(values, inputs[1])):
        leaves = [value.clone().requires_grad_() for value in inputs]
        out = norm(*leaves)
        out.backward(randomly(4, *out.shape))
        found.append([out, *(leaf.grad for leaf in leaves)])
        assert out.is_contiguous()
    for theirs, ours in zip(*found, strict=True):
        assert theirs.abs().max() > 0.1 and (ours - theirs).abs().max() < 1e-12
    other = sided(C.roll(1), inputs[1])(*inputs)
    assert (other - found[0][0]).abs().max() > 0.01


def test_the_norm_of_few_launches_sees_only_what_is_kept():
    x, (scale, shift) = randomly(3, 5, 2, 6), randomly(1, 2, 6) * C
    before = sided(C, scale)(x, scale, shift)
    x[..., ~ALIVE] += 100
    assert (sided(C, scale)(x, scale, shift) - before).abs().max() < 1e-12
    none = torch.zeros(6).double()
    assert not sided(none, none)(x, none, none).any()
    assert (sided(C, scale)(x * 0 + 3, scale, shift) - shift).abs().max() < 1e-12  # no variance
