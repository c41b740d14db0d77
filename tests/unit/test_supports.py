"""Stripes and kernels, N of M, patterns: what they keep, against brute force."""

import itertools

import pytest
import torch
from torch import nn

from fairseq_prune.engine.make_plan import make_plan
from fairseq_prune.engine.targets import Targets
from fairseq_prune.pruning.budget import Deviation
from fairseq_prune.pruning.budget.given import parse_target
from fairseq_prune.pruning.layout import output_input_axes
from fairseq_prune.pruning.prunable import find_prunables
from fairseq_prune.pruning.units import NM, NofM, Pattern, parse_units
from fairseq_prune.pruning.units.pattern import decode
from fairseq_prune.pruning.units.support import topmost


def weights(*shape, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def select(model, fraction=None, masks=None, event=99, **options):
    options = {"scope": "layer", **options, **({} if fraction is None else {"target": fraction})}
    targets = Targets(model, make_plan({"method": "magnitude", **options}))
    targets.begin(masks or {})
    return targets.select(event, masks or {}).masks


def conv(outputs=6, inputs=8, size=3, **more):
    torch.manual_seed(1)
    return nn.Sequential(nn.Conv2d(inputs, outputs, size, **more))


def test_stripes_are_removed_whole_and_the_smallest_first():
    model = conv()
    keep = select(model, 0.5, units="stripe")["0.weight"]
    stripes = keep.any(1)
    assert torch.equal(keep, stripes[:, None].expand_as(keep)) and int((~stripes).sum()) == 27
    norms = model[0].weight.detach().abs().mean(1)
    assert norms[stripes].min() >= norms[~stripes].max()


def test_kernels_are_removed_whole_and_the_smallest_first():
    model = conv()
    keep = select(model, 0.25, units="kernel")["0.weight"]
    kernels = keep.flatten(2).any(2)
    assert torch.equal(keep.flatten(2).all(2), kernels) and int((~kernels).sum()) == 12
    norms = model[0].weight.detach().abs().flatten(2).mean(2)
    assert norms[kernels].min() >= norms[~kernels].max()


@pytest.mark.parametrize("units", ["stripe", "pattern"])
@pytest.mark.parametrize("layer", [nn.Conv2d(4, 4, 1), nn.Linear(4, 4)], ids=["1x1", "linear"])
def test_there_are_none_where_kernels_have_one_place(units, layer):
    with pytest.raises(ValueError, match=r"--prune-units \w+: the model has none: 0.weight: .*--prune-units weight"):
        select(nn.Sequential(layer), 0.6, units=units)


@pytest.mark.parametrize("size", range(1, 20))
def test_the_largest_of_every_group(size):
    """Up to 16 by comparing pairs, beyond by sorting; ties leave the lower index out."""
    values = weights(5, size, 3)
    tied = weights(5, size, 3).mul(2).round()
    for n in {1, (size + 1) // 2, size}:
        for tensor in (values, tied):
            keep = topmost(tensor, n, 1)
            assert (keep.sum(1) == n).all()
            order = tensor.argsort(dim=1, stable=True)[:, size - n :]
            expected = torch.zeros_like(keep).scatter_(1, order, True)
            assert torch.equal(keep, expected)


@pytest.mark.parametrize("shape", [(6, 8), (4, 8, 3), (4, 8, 3, 3), (2, 8, 2, 2, 2)])
@pytest.mark.parametrize("n, m", [(2, 4), (1, 4), (1, 8), (4, 8), (3, 4)])
def test_n_of_m_keeps_the_most_magnitude(shape, n, m):
    weight = weights(*shape)
    keep = NM().keep(weight.abs(), n, m)
    groups = weight.movedim(1, -1).reshape(-1, m).abs()
    kept = keep.movedim(1, -1).reshape(-1, m)
    assert (kept.sum(1) == n).all()
    best = torch.stack([groups[:, list(c)].sum(1) for c in itertools.combinations(range(m), n)]).max(0).values
    assert torch.allclose((groups * kept).sum(1), best)


def test_n_of_m_by_option():
    model = nn.Sequential(nn.Linear(8, 4), nn.Linear(4, 16))
    two_of_four = {name: int(keep.sum()) for name, keep in select(model, units="2:4").items()}
    assert two_of_four == {"0.weight": 16, "1.weight": 32}
    by_layer = select(model, {"0.weight": "m8n1", "*": 0.0}, units="n:m")
    assert {name: int(keep.sum()) for name, keep in by_layer.items()} == {"0.weight": 4}
    assert select(model, "m4n2", units="n:m").keys() == {"0.weight", "1.weight"}


def test_n_steps_down_from_m():
    model = nn.Sequential(nn.Linear(8, 4))
    times = {"schedule": "linear", "end": "4up", "every": "1up"}
    masks = [select(model, "1:4", event=event, units="n:m", **times) for event in range(1, 6)]
    counts = [int(found.get("0.weight", torch.ones(32)).sum()) for found in masks]
    assert counts == [32, 32, 24, 16, 8]


@pytest.mark.parametrize("options, message", [
    ({"units": "n:m", "target": 0.5}, "--prune-target 0.5: units n:m need 2:4 or m4n2"),
    ({"units": "n:m", "target": "m4n5"}, "--prune-target 'm4n5': write 2:4 or m4n2"),
    ({"units": "n:m", "target": "m3n2"}, r"the model has none: 0.weight: its 8 inputs are not divisible by 3; give"),
    ({"units": "2:4", "target": 0.5}, "--prune-target 0.5: --prune-units 2:4 says it already"),
    ({"units": "0:4"}, "write 2:4 or m4n2"),
    ({"units": "n:m"}, "needs --prune-target, e.g. --prune-target 2:4"),
    ({"units": "2:4", "scope": "global"}, "--prune-scope global: units n:m are selected in each layer"),
    ({"units": "pattern:0", "target": 0.6}, "write pattern, pattern:12"),
    ({"units": "pattern:x", "target": 0.6}, "write pattern, pattern:12"),
    ({"units": "kernel", "target": 0.6}, "has no kernels"),
    ({"target": "2std"}, None),
    ({"target": "std"}, "write 0.7std"),
    ({"target": "0std"}, "write 0.7std"),
    ({"target": "1std", "units": "row"}, "is for single weights"),
    ({"target": 0.5, "only": "*fc9*"}, r"--prune-only \*fc9\*: matches no parameter"),
    ({"target": 0.5, "rounding": "down"}, "--prune-rounding down: unknown rounding"),
])  # fmt: skip
def test_bad_input(options, message):
    model = nn.Sequential(nn.Linear(8, 4))
    if message is None:
        assert select(model, **{k: v for k, v in options.items() if k != "target"}, fraction=options["target"])
        return
    with pytest.raises(ValueError, match=message):
        select(model, **options)


def test_natural_patterns():
    """Centre and the three largest of the others; the most frequent ones make the library."""
    kernels = torch.full((5, 2, 3, 3), 0.1)
    kernels[:3, :, 0, :] = 2.0  # six times the upper row
    kernels[3:, :, :, 2] = -3.0  # four times the right column
    kernels[4, 1] = 0  # but this is no kernel
    library = Pattern(8).learn([kernels])
    assert decode(library).view(-1, 3, 3).int().tolist() == [
        [[1, 1, 1], [0, 1, 0], [0, 0, 0]],
        [[0, 0, 1], [0, 1, 1], [0, 0, 1]],
    ]
    assert Pattern(1).learn([kernels]) == library[:1]


@pytest.mark.parametrize("text, entries, squared", [("pattern", 4, True), ("pattern:seed", 5, False)])
def test_each_kernel_gets_the_pattern_that_keeps_most(text, entries, squared):
    units, weight = parse_units(text), weights(6, 5, 3, 3)
    library = units.learn([weight])
    keep = units.fit(weight.abs(), library).reshape(-1, 9)
    patterns = decode(library)
    assert (patterns.sum(1) == entries).all() and patterns[:, 4].all() and len(set(library)) == len(library) <= 8
    worth = weight.reshape(-1, 9).square() if squared else weight.reshape(-1, 9).abs()
    for kernel, kept in zip(worth, keep, strict=True):
        assert kept.tolist() in patterns.tolist()
        assert kernel[kept].sum() >= max(kernel[p].sum() for p in patterns) - 1e-6


def test_the_seeds_patterns():
    rows = [[101, 10, 101], [10, 111, 10], [110, 10, 110], [11, 10, 11]]
    bits = [[int(digit) for row in rows_ for digit in f"{row:03}"] for rows_ in rows]
    assert decode(parse_units("pattern:seed").fixed).int().tolist() == bits


@pytest.mark.parametrize("fraction, kernels", [(0.0, 48), (0.2, 48), (5 / 9, 48), (0.8, 22), (0.99, 1)])
def test_kernels_are_removed_beyond_what_patterns_remove(fraction, kernels):
    model = conv()
    masks = select(model, fraction, units="pattern")
    keep = masks.get("0.weight", torch.ones(6, 8, 3, 3))
    assert int(keep.flatten(2).any(2).sum()) == kernels
    assert int(keep.sum()) == (432 if not fraction else 4 * kernels)


def test_connectivity_keeps_the_strongest_kernels():
    model = conv()
    keep = select(model, 0.8, units="pattern")["0.weight"]
    units = parse_units("pattern")
    weight = model[0].weight.detach()
    patterned = (weight * units.fit(weight.abs(), units.learn([weight]))).flatten(2).norm(dim=2)
    alive = keep.flatten(2).any(2)
    assert patterned[alive].min() >= patterned[~alive].max()


def test_what_is_gone_stays_gone():
    model = conv(size=3)
    for units, fraction in (("pattern", 0.8), ("n:m", "1:4"), ("stripe", 0.5)):
        gone = torch.rand(6, 8, 3, 3, generator=torch.Generator().manual_seed(2)) < 0.9
        keep = select(model, fraction, {"0.weight": gone}, units=units)["0.weight"]
        assert not (keep & ~gone).any()


def test_weights_below_deviations():
    model = nn.Sequential(nn.Linear(30, 20), nn.Linear(20, 30))
    model[1].weight.data *= 100
    masks = select(model, "0.7std")
    for name, keep in masks.items():
        weight = model.get_parameter(name).detach()
        assert int((~keep).sum()) == int((weight.abs() < 0.7 * weight.std(correction=0)).sum()) > 100
    assert Deviation.parse("1.5std") == parse_target("1.5std")["*"]


def test_outputs_come_first():
    """Transposed convolutions and fairseq's ConvTBC store their axes in other orders."""
    torch.manual_seed(1)
    model = nn.Sequential(nn.ConvTranspose2d(4, 6, 3))
    (p,) = find_prunables(model)
    assert p.shape == (6, 4, 3, 3) and torch.equal(p.store(p.weight()), model[0].weight)
    keep = select(model, 0.5, units="stripe")["0.weight"]
    assert torch.equal(keep.any(0), keep.all(0)) and int(keep.any(0).sum()) == 27
    assert output_input_axes(type("ConvTBC", (), {})(), 3) == (2, 1, 0)


def test_a_fraction_and_a_count():
    """Layers are counted in units, and keep one at least."""
    model = nn.Sequential(nn.Linear(9, 512))
    assert int((~select(model, 0.55, units="row")["0.weight"].any(1)).sum()) == 282
    assert int(select(model, 0.999, units="row")["0.weight"].any(1).sum()) == 1
    assert int((~select(model, 0.55, units="row", rounding="reference")["0.weight"].any(1)).sum()) == 283


def test_target_strings():
    goal = parse_target("a=2:4,b=m8n1,*=0.3")
    assert goal == {"a": 0.5, "b": 0.875, "*": 0.3} and str(goal["a"]) == "2:4" and goal["b"] == NofM(1, 8)
