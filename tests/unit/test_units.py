"""Unit kinds against a loop over elements."""

import itertools
import math

import pytest
import torch

from fairseq_prune.pruning.units import UNITS, Block, Column, Row, Support, Weight, is_coupled, parse_units


def unit_of(units, index, shape):
    """The unit that an element belongs to, from the definition of the kind."""
    flat = sum(i * math.prod(shape[axis + 1 :]) for axis, i in enumerate(index))
    if isinstance(units, Weight):
        return flat
    if isinstance(units, Row):
        return index[0]
    if isinstance(units, Column):
        return index[1]
    width = math.prod(shape[1:])
    return (index[0] // units.height) * math.ceil(width / units.width) + (flat % width) // units.width


def members(units, shape):
    """Elements of each unit, in the order of the units."""
    found = {}
    for index in itertools.product(*map(range, shape)):
        found.setdefault(unit_of(units, index, shape), []).append(index)
    return [found[u] for u in range(len(found))]


def agrees(units, shape, generator, definition=None):
    """True if sizes, pool and spread all follow the definition (of these units, unless another is given)."""
    elements = members(definition or units, shape)
    sizes = units.sizes(shape)
    values = torch.randn(shape, generator=generator, dtype=torch.float64)
    means = torch.tensor([sum(values[i] for i in unit) / len(unit) for unit in elements], dtype=torch.float64)
    keep = torch.rand(len(elements), generator=generator) < 0.5
    mask = torch.zeros(shape, dtype=torch.bool)
    for decision, unit in zip(keep, elements, strict=True):
        for index in unit:
            mask[index] = decision
    pooled = units.pool(values)
    return (
        (sizes if isinstance(sizes, int) else sizes.tolist())
        == (len(elements[0]) if isinstance(sizes, int) else [len(unit) for unit in elements])
        and pooled.shape == means.shape
        and torch.allclose(pooled, means, atol=1e-12)
        and torch.equal(units.spread(keep, shape), mask)
    )


def random_cases(count):
    """Units with shapes of 1 to 4 dimensions that they fit."""
    generator = torch.Generator().manual_seed(1)
    draw = lambda low, high: int(torch.randint(low, high + 1, (), generator=generator))  # noqa: E731
    for _ in range(count):
        units = [Weight(), Row(), Column(), Block(draw(1, 4), draw(1, 5))][draw(0, 3)]
        dims = draw(1 if isinstance(units, Weight) else 2, 4)
        yield units, torch.Size(draw(1, 5) for _ in range(dims)), generator


def test_sizes_pool_and_spread_follow_the_definition():
    for units, shape, generator in random_cases(80):
        units.check(shape)
        assert agrees(units, shape, generator), (units, shape)


def test_control_other_units_do_not_agree():
    generator = torch.Generator().manual_seed(2)
    for units, other in [(Row(), Column()), (Block(2, 3), Block(3, 2)), (Weight(), Row())]:
        assert agrees(units, torch.Size([6, 6]), generator)
        assert not agrees(units, torch.Size([6, 6]), generator, definition=other)


def test_every_element_is_in_exactly_one_unit():
    for units, shape, _ in random_cases(40):
        count = units.pool(torch.zeros(shape)).numel()
        masks = [units.spread(one_hot, shape) for one_hot in torch.eye(count, dtype=torch.bool)]
        assert (torch.stack(masks).sum(0) == 1).all()
        sizes = torch.as_tensor(units.sizes(shape)).expand(count)
        assert [int(mask.sum()) for mask in masks] == sizes.tolist()


def test_edge_blocks_average_only_what_they_hold():
    """A 3 x 3 matrix of ones in blocks of 2 x 2: padding must not lower the mean."""
    assert Block(2, 2).pool(torch.ones(3, 3)).tolist() == [1.0, 1.0, 1.0, 1.0]
    assert Block(2, 2).sizes(torch.Size([3, 3])).tolist() == [4, 2, 2, 1]


def test_a_spread_mask_owns_its_elements():
    """Writing to one element of a mask changes no other."""
    mask = Row().spread(torch.tensor([True, False]), torch.Size([2, 3]))
    mask[0, 0] = False
    assert mask.tolist() == [[False, True, True], [False, False, False]]


@pytest.mark.parametrize("name", ["row", "column", "block"])
def test_vectors_have_only_weights(name):
    with pytest.raises(ValueError, match=r"shape \[5\] has no"):
        parse_units(name).check(torch.Size([5]))
    Weight().check(torch.Size([5]))


def test_parsing():
    coupled = {name for name in UNITS if is_coupled(parse_units(name))}
    supports = {name for name in UNITS if isinstance(parse_units(name), Support)}
    assert set(UNITS) - coupled - supports == {"weight", "row", "column", "block", "stripe", "kernel"}
    assert supports == {"pattern", "n:m"}
    cut = {"filter", "channel", "neuron", "head", "qk", "vo", "hidden", "embedding", "layer"}
    assert coupled == cut | {"node", "weight+node", "width"}
    assert {name: type(parse_units(name)) for name in ("weight", "row", "column")} == {
        "weight": Weight, "row": Row, "column": Column,
    }  # fmt: skip
    assert parse_units("block") == Block(4, 4)
    assert parse_units("block:1x12") == Block(height=1, width=12)


@pytest.mark.parametrize("text, message", [
    ("rwo", "unknown units 'rwo'; did you mean 'row'"),
    ("row:4", "units 'row' take no argument, got '4'"),
    ("block:4", "cannot read block size '4'; write e.g. 'block:4x4'"),
    ("block:0x4", "cannot read block size '0x4'"),
    ("block:4x4x4", "cannot read block size '4x4x4'"),
])  # fmt: skip
def test_unreadable_units_are_explained(text, message):
    with pytest.raises(ValueError) as error:
        parse_units(text)
    assert message in str(error.value)
