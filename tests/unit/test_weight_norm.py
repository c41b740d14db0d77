"""Weight-normalised layers: what counts is w = g v / |v|, and no mask may make it 0 / 0."""

import pytest
import torch
from small_models import build_model
from torch import nn
from torch.nn.utils import weight_norm

from fairseq_prune.engine.make_plan import make_plan
from fairseq_prune.engine.targets import Targets
from fairseq_prune.pruning.enforce import mask_tensor
from fairseq_prune.pruning.prunable import find_prunables
from fairseq_prune.pruning.weight_norm import find_scales

pytestmark = pytest.mark.filterwarnings("ignore:`torch.nn.utils.weight_norm` is deprecated:FutureWarning")

LAYERS = {
    "linear": lambda: (weight_norm(nn.Linear(5, 4).double()), (3, 5)),
    "linear-columns": lambda: (weight_norm(nn.Linear(5, 4).double(), dim=1), (3, 5)),
    "linear-one-norm": lambda: (weight_norm(nn.Linear(5, 4).double(), dim=None), (3, 5)),
    "conv": lambda: (weight_norm(nn.Conv1d(3, 4, 2).double(), dim=2), (2, 3, 6)),
    "embedding": lambda: (weight_norm(nn.Embedding(6, 4).double()), None),
}
AXES = {"linear": 0, "linear-columns": 1, "linear-one-norm": None, "conv": 2, "embedding": 0}


@pytest.fixture(params=LAYERS)
def case(request):
    """A layer whose scales are not |v|, its prunable, an input, and the axis of its norms."""
    torch.manual_seed(1)
    layer, shape = LAYERS[request.param]()
    layer.weight_g.data.uniform_(-2, 2)
    inputs = torch.randn(shape, dtype=torch.float64) if shape else torch.arange(6)
    (prunable,) = find_prunables(layer)
    return layer, prunable, inputs, AXES[request.param]


def weight_of(layer, inputs):
    """The weight that torch computes for a forward pass."""
    layer(inputs)
    return layer.weight.detach().clone()


def enforce(layer, prunable, keep):
    """Mask as the pruner does: rescale first, then mask v and g."""
    masks = prunable.masks_for(keep)
    if "weight_v" in masks:
        layer.weight_g.data.mul_(prunable.scale.shrinkage(layer.weight_v.detach(), masks["weight_v"]))
    for name, mask in masks.items():
        mask_tensor(getattr(layer, name).data, mask)


def removing_slices(shape, axis, generator):
    """A random mask that removes the first slice under each norm whole."""
    keep = torch.rand(shape, generator=generator) < 0.6
    if axis is None:
        return torch.zeros(shape, dtype=torch.bool)
    keep.select(axis, 0).fill_(False)
    keep.select(axis, 1).fill_(True)
    return keep


def random_masks(shape, axis, count=20):
    generator = torch.Generator().manual_seed(2)
    yield torch.ones(shape, dtype=torch.bool)
    yield removing_slices(shape, axis, generator)
    for _ in range(count):
        yield torch.rand(shape, generator=generator) < torch.rand((), generator=generator)


def test_direction_and_scale_are_one_prunable(case):
    layer, prunable, inputs, _ = case
    assert (prunable.name, prunable.scale.name) == ("weight_v", "weight_g")
    assert torch.allclose(prunable.weight(), weight_of(layer, inputs), rtol=1e-12)
    assert not torch.allclose(prunable.weight(), layer.weight_v)  # control: the direction is another


def test_split_masks_multiply_to_the_mask_and_empty_no_slice(case):
    layer, prunable, _, axis = case
    for keep in random_masks(layer.weight_v.shape, axis):
        keep_v, keep_g = prunable.scale.split_mask(keep)
        assert keep_g.shape == layer.weight_g.shape
        assert torch.equal(keep_v & keep_g, keep)
        assert (prunable.scale.norm(keep_v.double()) > 0).all()
        mask = prunable.mask_in(prunable.masks_for(keep))
        assert torch.equal(torch.ones_like(keep) if mask is None else mask, keep)


def test_masking_leaves_the_survivors(case):
    layer, prunable, inputs, axis = case
    start = {name: value.detach().clone() for name, value in layer.named_parameters()}
    for keep in random_masks(layer.weight_v.shape, axis):
        for name, value in layer.named_parameters():
            value.data.copy_(start[name])
        before = weight_of(layer, inputs)
        enforce(layer, prunable, keep)
        after = weight_of(layer, inputs)
        assert not after[~keep].any()
        assert torch.allclose(after, before * keep, rtol=1e-12)


def test_masking_twice_leaves_the_survivors(case):
    layer, prunable, inputs, _ = case
    before = weight_of(layer, inputs)
    generator = torch.Generator().manual_seed(3)
    keep = torch.ones_like(before, dtype=torch.bool)
    for _ in range(4):
        keep &= torch.rand(before.shape, generator=generator) < 0.7
        enforce(layer, prunable, keep)
        assert torch.allclose(weight_of(layer, inputs), before * keep, rtol=1e-12)


def test_slices_without_a_mask_keep_their_scale_to_the_bit():
    """In every precision, over many slices."""
    torch.manual_seed(1)
    layer = weight_norm(nn.Linear(7, 1000))
    layer.weight_g.data.uniform_(-2, 2)
    (prunable,) = find_prunables(layer)
    keep = torch.ones_like(layer.weight_v, dtype=torch.bool)
    keep[3, 0] = False
    for dtype in (torch.float64, torch.float32, torch.float16, torch.bfloat16):
        shrinkage = prunable.scale.shrinkage(layer.weight_v.detach().to(dtype), keep)
        assert (shrinkage != 1).flatten().nonzero().tolist() == [[3]] and 0 < shrinkage[3] < 1


def test_removed_slices_are_zero_and_train_on(case):
    layer, prunable, inputs, axis = case
    keep = removing_slices(layer.weight_v.shape, axis, torch.Generator().manual_seed(4))
    enforce(layer, prunable, keep)
    masks = prunable.masks_for(keep)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.01)
    for _ in range(3):
        optimizer.zero_grad()
        layer(inputs).square().sum().backward()
        assert all(p.grad.isfinite().all() for p in layer.parameters() if p.grad is not None)
        optimizer.step()
        for name, mask in masks.items():
            mask_tensor(getattr(layer, name).data, mask)
        weight = weight_of(layer, inputs)
        assert weight.isfinite().all() and not weight[~keep].any()
        assert axis is None or weight[keep].all()


def test_controls_masking_the_direction_alone(case):
    """Without rescaling the survivors grow; an empty slice is not a number."""
    layer, _, inputs, axis = case
    before, one = weight_of(layer, inputs), torch.ones_like(layer.weight_v, dtype=torch.bool)
    one.view(-1)[0] = False
    mask_tensor(layer.weight_v.data, one)
    assert not torch.allclose(weight_of(layer, inputs), before * one)
    mask_tensor(layer.weight_v.data, removing_slices(one.shape, axis, torch.Generator().manual_seed(4)))
    assert weight_of(layer, inputs).isnan().any()


def test_a_stock_convolutional_model():
    """Every direction in fairseq's ``fconv`` is found, and no scale is prunable itself."""
    model = build_model(
        "fconv", encoder_layers="[(8, 3)]", decoder_layers="[(8, 3)]", decoder_attention="True",
        encoder_embed_dim=8, decoder_embed_dim=8, decoder_out_embed_dim=8,
        encoder_embed_path=None, decoder_embed_path=None, share_input_output_embed=False,
    )  # fmt: skip
    directions = [name for name, _ in model.named_parameters() if name.endswith("weight_v")]
    assert len(directions) > 5
    assert list(find_scales(model)) == directions
    found = {p.name: p for p in find_prunables(model)}
    assert not [name for name in found if name.endswith("weight_g")]
    for name in directions:
        layer = model.get_submodule(name.rpartition(".")[0])
        assert torch.allclose(found[name].store(found[name].weight()), layer.weight, atol=1e-6)


def test_methods_that_cannot_take_them_leave_them_whole():
    """As wav2vec's positions; unless they are what was asked for, or all that there is."""
    net = nn.Sequential(weight_norm(nn.Linear(5, 4)), nn.Linear(4, 3))
    snip = {"method": "snip", "target": 0.5}
    assert [p.name for p in Targets(net, make_plan(snip)).prunables] == ["1.weight"]
    assert len(Targets(net, make_plan({**snip, "method": "magnitude"})).prunables) == 2
    for plan, model in (({**snip, "only": ["0.weight_v"]}, net), (snip, net[:1])):
        with pytest.raises(ValueError, match="which --prune-method snip cannot take; give .* --prune-method magnitude"):
            Targets(model, make_plan(plan))
