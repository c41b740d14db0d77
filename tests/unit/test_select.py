"""Exact selection: the fast way equals its definition, whatever the ties."""

import itertools

import pytest
import torch

from fairseq_prune.pruning.selecting import Selection
from fairseq_prune.pruning.selecting.ranking import (
    drop_lowest,
    drop_lowest_by_ranking,
    drop_lowest_of_each,
    drop_lowest_within,
)

DTYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16]
INF = float("inf")
TIED = torch.tensor([-INF, -INF, -1.0, -0.0, 0.0, 0.0, 0.5, 0.5, 2.0, INF])


def random_scores(generator, dtype):
    """Up to 24 scores: all different, from a few values, or all zero."""
    n = int(torch.randint(0, 25, (), generator=generator))
    kind = int(torch.randint(0, 5, (), generator=generator))
    if kind == 0:
        return torch.randn(n, generator=generator, dtype=torch.float64).to(dtype)
    if kind == 1:
        return torch.zeros(n, dtype=dtype)
    return TIED[torch.randint(0, len(TIED), (n,), generator=generator)].to(dtype)


def ranking(scores):
    """Indices from the lowest up, equal scores by index, in plain Python."""
    return sorted(range(len(scores)), key=lambda i: (float(scores[i]), i))


def kept(scores, dropped):
    return [i not in dropped for i in range(len(scores))]


def test_the_definition_ranks_by_score_then_index():
    scores = torch.tensor([0.5, 0.0, -INF, 0.0, -1.0, -0.0])
    for num_drop, dropped in enumerate([[], [2], [2, 4], [2, 4, 1], [2, 4, 1, 3], [2, 4, 1, 3, 5]]):
        assert drop_lowest_by_ranking(scores, num_drop).tolist() == kept(scores, dropped)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_fast_equals_definition(dtype):
    generator = torch.Generator().manual_seed(1)
    for _ in range(25):
        scores = random_scores(generator, dtype)
        before, order = scores.clone(), ranking(scores)
        for num_drop in range(len(scores) + 1):
            fast = drop_lowest(scores, num_drop)
            assert fast.dtype == torch.bool
            assert fast.tolist() == kept(scores, order[:num_drop])
            assert torch.equal(fast, drop_lowest_by_ranking(scores, num_drop))
        assert torch.equal(scores, before)


def test_fast_equals_definition_on_many():
    for dtype, num_drop in itertools.product(DTYPES, (1, 7_777, 19_999)):
        scores = torch.randn(20_000, generator=torch.Generator().manual_seed(2)).to(dtype)
        assert torch.equal(drop_lowest(scores, num_drop), drop_lowest_by_ranking(scores, num_drop))


def test_control_a_threshold_misses_the_count():
    scores = torch.tensor([0.0, 0.0, 0.0, 1.0])
    assert int((~drop_lowest(scores, 2)).sum()) == 2
    boundary = scores.kthvalue(2).values
    assert int((~(scores > boundary)).sum()) == 3 and int((~(scores >= boundary)).sum()) == 0


def test_neighbours_in_float64_are_told_apart():
    """In float32 these scores are equal and the first would be removed."""
    scores = torch.tensor([1 + 1e-12, 1.0], dtype=torch.float64)
    assert drop_lowest(scores, 1).tolist() == [True, False]
    assert drop_lowest(scores.float(), 1).tolist() == [False, True]


def random_sizes(generator, n):
    return torch.randint(1, 6, (n,), generator=generator)


def test_within_a_budget():
    """The longest run of the ranking that fits; more budget removes a superset."""
    generator = torch.Generator().manual_seed(3)
    for _ in range(25):
        scores = random_scores(generator, torch.float32)
        sizes, order = random_sizes(generator, len(scores)), ranking(scores)
        before = torch.ones(len(scores), dtype=torch.bool)
        for budget in range(int(sizes.sum()) + 1):
            keep = drop_lowest_within(scores, sizes, budget)
            num_drop = int((~keep).sum())
            assert keep.tolist() == kept(scores, order[:num_drop])
            assert int(sizes[~keep].sum()) <= budget
            if num_drop < len(order):
                assert int(sizes[~keep].sum() + sizes[order[num_drop]]) > budget
            assert not (keep & ~before).any()
            before = keep


def test_within_equals_drop_lowest_for_units_of_one():
    generator = torch.Generator().manual_seed(4)
    for _ in range(20):
        scores = random_scores(generator, torch.float32)
        for budget in range(len(scores) + 1):
            keep = drop_lowest_within(scores, torch.ones(len(scores), dtype=torch.int64), budget)
            assert torch.equal(keep, drop_lowest(scores, budget))


def test_impossible_counts_and_budgets_are_refused():
    for select, num_drop in itertools.product([drop_lowest, drop_lowest_by_ranking], [-1, 4]):
        with pytest.raises(ValueError, match=rf"num_drop={num_drop} must lie in 0\.\.3"):
            select(torch.zeros(3), num_drop)
    for budget in (-1, 7):
        with pytest.raises(ValueError, match=rf"budget={budget} must lie in 0\.\.6"):
            drop_lowest_within(torch.zeros(3), torch.tensor([1, 2, 3]), budget)


def test_nan_is_refused_wherever_it_is():
    for dtype, i in itertools.product(DTYPES, range(3)):
        scores = torch.tensor([0.0, -INF, INF], dtype=dtype)
        drop_lowest(scores, 1)  # control: infinities are fine
        scores[i] = float("nan")
        for select in (drop_lowest, drop_lowest_by_ranking):
            with pytest.raises(ValueError, match="1 of 3 scores are NaN"):
                select(scores, 1)
        with pytest.raises(ValueError, match="1 of 3 scores are NaN"):
            drop_lowest_within(scores, torch.ones(3, dtype=torch.int64), 1)


def as_lists(keeps):
    return [keep.tolist() for keep in keeps]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_several_rankings_at_once_on_a_host_and_on_a_gpu(dtype, monkeypatch):
    generator = torch.Generator().manual_seed(5)
    scores = [random_scores(generator, dtype) for _ in range(60)]
    counts = [int(torch.randint(0, len(s) + 1, (), generator=generator)) for s in scores]
    expected = as_lists(map(drop_lowest_by_ranking, scores, counts))
    assert as_lists(drop_lowest_of_each(scores, counts)[0]) == expected
    monkeypatch.setattr("fairseq_prune.pruning.devices.HOSTS", set())
    keeps, nans = drop_lowest_of_each(scores, counts)
    assert as_lists(keeps) == expected and int(nans) == 0
    assert as_lists(map(drop_lowest, scores, counts)) == expected


def test_nan_on_a_gpu_is_counted_and_refused_once_somebody_looks(monkeypatch):
    scores = [torch.tensor([0.0, float("nan"), 1.0]), torch.zeros(4)]
    with pytest.raises(ValueError, match="1 of 3 scores are NaN"):
        drop_lowest_of_each(scores, [1, 2])
    monkeypatch.setattr("fairseq_prune.pruning.devices.HOSTS", set())
    keeps, nans = drop_lowest_of_each(scores, [1, 2])
    assert as_lists(keeps) == [[False, True, True], [False, False, True, True]]
    with pytest.raises(ValueError, match="1 scores are NaN; did the loss diverge"):
        Selection({}, nans=nans).checked()
    with pytest.raises(ValueError, match=r"num_drop=5 must lie in 0\.\.4"):
        drop_lowest_of_each(scores, [1, 5])


def test_examined_choices_have_no_masks_of_what_stays_whole():
    holed = torch.tensor([True, False])
    assert Selection({"whole": torch.ones(2, dtype=torch.bool), "holed": holed}).checked().masks.keys() == {"holed"}
