"""The decision: exact counts, what is removed stays removed, units never exceed the budget."""

import itertools

import pytest
import torch
from torch import nn

from fairseq_prune.pruning.importance import IMPORTANCES
from fairseq_prune.pruning.prunable import find_prunables, intersect
from fairseq_prune.pruning.selecting.groups import decide
from fairseq_prune.pruning.units import parse_units

DTYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16]
FRACTIONS = (0.0, 0.001, 1 / 3, 0.5, 0.77, 0.97)
VALUES = {
    "different": lambda p: p.normal_(),
    "tied": lambda p: p.random_(-2, 3),
    "zero": lambda p: p.zero_(),
}


def prunables_of(*shapes, values="different", dtype=torch.float32, seed=1):
    torch.manual_seed(seed)
    model = nn.ParameterDict({f"p{i}": nn.Parameter(torch.zeros(shape)) for i, shape in enumerate(shapes)})
    for parameter in model.values():
        VALUES[values](parameter.data)
    return find_prunables(model.to(dtype), include=["*"])


def prune(prunables, fraction, units="weight", masks=None):
    units = parse_units(units)
    score = lambda p: IMPORTANCES["magnitude"](p.weight(), units)  # noqa: E731
    budget = round(fraction * sum(p.parameter.numel() for p in prunables))
    return intersect(masks or {}, decide([(prunables, budget)], units, score, masks or {})[0])


def removed(keeps):
    return sum(int((~keep).sum()) for keep in keeps.values())


def total(prunables):
    return sum(p.parameter.numel() for p in prunables)


@pytest.mark.parametrize("values", VALUES)
def test_exact_counts(values):
    for dtype, fraction in itertools.product(DTYPES, FRACTIONS):
        prunables = prunables_of((7, 5), (11,), (2, 3, 4), values=values, dtype=dtype)
        keeps = prune(prunables, fraction)
        assert removed(keeps) == round(fraction * 70)
        assert {p.name: p.parameter.shape for p in prunables} == {name: k.shape for name, k in keeps.items()}
        dropped = [p.parameter.detach()[~keeps[p.name]] for p in prunables]
        left = [p.parameter.detach()[keeps[p.name]] for p in prunables]
        if removed(keeps):
            assert torch.cat(dropped).abs().max() <= torch.cat(left).abs().min()


def test_by_hand():
    """One ranking over two tensors; of equal weights the first is removed."""
    prunables = prunables_of((2, 2), (1, 3))
    prunables[0].parameter.data.copy_(torch.tensor([[5.0, -1.0], [0.5, 3.0]]))
    prunables[1].parameter.data.copy_(torch.tensor([[1.0, 0.1, -4.0]]))
    keeps = prune(prunables, 3 / 7)
    assert keeps["p0"].tolist() == [[True, False], [False, True]]
    assert keeps["p1"].tolist() == [[True, False, True]]


@pytest.mark.parametrize("units", ["weight", "row", "column", "block:2x3"])
def test_removed_stays_removed_as_the_fraction_grows(units):
    """Survivors get new weights between events, so that they would choose otherwise."""
    prunables = prunables_of((8, 6), (5, 12), (6, 6))
    masks, seed = {}, 0
    for fraction in (0.0, 0.1, 0.3, 0.3, 0.6, 0.95):
        keeps = prune(prunables, fraction, units, masks)
        fresh = prune(prunables, fraction, units)
        assert not any((keeps[name] & ~masks[name]).any() for name in masks)
        assert removed(keeps) <= round(fraction * total(prunables))
        if units == "weight":
            assert removed(keeps) == round(fraction * total(prunables))
        if fraction == 0.6:  # control: without the masks, others would be removed
            assert any((fresh[name] & ~masks[name]).any() for name in masks)
        masks = keeps
        for p in prunables:
            seed += 1
            p.parameter.data.normal_(generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("units", ["weight", "row", "block:2x3"])
def test_a_smaller_budget_revives_nothing(units):
    prunables = prunables_of((8, 6), (5, 12))
    masks = prune(prunables, 0.6, units)
    assert removed(masks) > 30
    for fraction in (0.0, 0.2):
        keeps = prune(prunables, fraction, units, masks)
        assert keeps.keys() == masks.keys()
        assert all(torch.equal(keep, masks[name]) for name, keep in keeps.items())


def test_tensors_without_a_mask_yet_join_those_with_one():
    prunables = prunables_of((4, 5), (4, 5))
    masks = {"p1": torch.arange(20).view(4, 5) > 9}
    keeps = prune(prunables, 0.75, masks=masks)
    assert removed(keeps) == 30 and not (keeps["p1"] & ~masks["p1"]).any()


SHAPES = [[(6, 4)], [(6, 4), (9, 4)], [(6, 4), (4, 6)], [(7, 5), (3, 2, 2), (4, 9)]]


@pytest.mark.parametrize("units", ["row", "column", "block:2x2", "block:3x4"])
def test_units_are_removed_whole_and_within_the_budget(units):
    kind = parse_units(units)
    for shapes, values, fraction in itertools.product(SHAPES, VALUES, (*FRACTIONS, 0.2, 0.9)):
        prunables = prunables_of(*shapes, values=values)
        largest = max(int(torch.as_tensor(kind.sizes(p.parameter.shape)).max()) for p in prunables)
        keeps = prune(prunables, fraction, units)
        budget = round(fraction * total(prunables))
        assert budget - largest < removed(keeps) <= budget
        for keep in keeps.values():
            assert {float(share) for share in kind.pool(keep.double())} <= {0.0, 1.0}


def test_equal_units_fill_the_budget():
    prunables = prunables_of((6, 4), (9, 4))
    for num_rows in range(15):
        assert removed(prune(prunables, num_rows * 4 / 60, "row")) == num_rows * 4


def test_units_stay_within_the_budget_where_single_weights_are_gone():
    """E.g. rows of a checkpoint that was pruned weight by weight."""
    prunables = prunables_of((10, 10))
    masks = prune(prunables, 0.5)
    assert removed(prune(prunables, 0.6, "row", masks)) <= 60


def test_units_of_all_kinds_one_after_the_other():
    generator = torch.Generator().manual_seed(1)
    for seed in range(30):
        shapes = torch.randint(1, 9, (3, 2), generator=generator).tolist()
        prunables, masks = prunables_of(*shapes, seed=seed), {}
        for units in ("weight", "row", "block:2x3", "column", "weight"):
            fraction = float(torch.rand((), generator=generator))
            keeps = prune(prunables, fraction, units, masks)
            assert not any((keeps[name] & ~masks[name]).any() for name in masks)
            assert removed(keeps) <= max(removed(masks), round(fraction * total(prunables)))
            masks = keeps


def test_scores_that_are_not_numbers_are_refused():
    prunables = prunables_of((3, 3))
    prunables[0].parameter.data[1, 1] = float("nan")
    with pytest.raises(ValueError, match="1 of 9 scores are NaN; did the loss diverge"):
        prune(prunables, 0.5)
    gone = torch.ones(3, 3, dtype=torch.bool)
    gone[1, 1] = False
    assert removed(prune(prunables, 4 / 9, masks={"p0": gone})) == 4  # control: not once it is gone
