"""Moving sparsity and the shares of layers, by hand."""

import itertools

import pytest
import torch

from fairseq_prune.pruning.budget.erdos_renyi import erdos_renyi
from fairseq_prune.pruning.regrow import cosine, drop_and_grow


def test_the_smallest_are_dropped_and_those_worth_most_grow():
    weight = torch.tensor([[0.0, -5.0, 1.0], [0.0, 2.0, -0.5]])
    keep = weight != 0
    worth = torch.tensor([[3.0, 9.0, 0.1], [2.0, 9.0, 0.2]])
    moved = drop_and_grow(weight, keep, 0.5, worth)
    assert moved.tolist() == [[True, True, False], [True, True, False]]
    assert drop_and_grow(weight, keep, 0.25, worth).tolist() == [[True, True, True], [False, True, False]]


def test_what_was_dropped_may_grow_again():
    weight, keep = torch.tensor([3.0, 1.0, 0.0]), torch.tensor([True, True, False])
    assert torch.equal(drop_and_grow(weight, keep, 0.5, torch.tensor([0.0, 5.0, 4.0])), keep)
    assert drop_and_grow(weight, keep, 0.5, torch.tensor([0.0, 4.0, 5.0])).tolist() == [True, False, True]


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("kept", [1, 30, 58, 60])
def test_as_many_stay_whatever_the_ties(share, kept):
    generator = torch.Generator().manual_seed(kept)
    keep = torch.zeros(60, dtype=torch.bool).scatter(0, torch.randperm(60, generator=generator)[:kept], True)
    weight = torch.randint(-2, 3, (60,), generator=generator).float() * keep  # kept weights of 0 among them
    moved = drop_and_grow(weight.view(6, 10), keep.view(6, 10), share, torch.zeros(6, 10))
    assert int(moved.sum()) == kept


def test_cosine():
    assert [round(cosine(0.3, progress), 4) for progress in (0, 0.5, 1)] == [0.3, 0.15, 0]


def test_erdos_renyi_of_matrices():
    """Weights go as in + out: 15, 30 and 200 times the same number, but the first has no more than 50."""
    shapes = {"a": torch.Size([10, 5]), "b": torch.Size([10, 20]), "c": torch.Size([100, 100])}
    removed = erdos_renyi(shapes, 0.9)
    kept = {name: round((1 - removed[name]) * shape.numel()) for name, shape in shapes.items()}
    assert sum(kept.values()) == 1025
    assert kept == {"a": 50, "b": round(30 * 975 / 230), "c": round(200 * 975 / 230)}


def test_erdos_renyi_of_convolutions_counts_the_kernel():
    removed = erdos_renyi({"a": torch.Size([8, 8, 3, 3]), "b": torch.Size([24, 24])}, 0.9)
    kept = {"a": round((1 - removed["a"]) * 576), "b": round((1 - removed["b"]) * 576)}
    assert kept == {"a": round(115 * 22 / 70), "b": round(115 * 48 / 70)}


def test_erdos_renyi_is_exact_in_total():
    sizes = [torch.Size([a, b]) for a, b in itertools.product([1, 3, 17, 64], repeat=2)]
    shapes, total = {str(size): size for size in sizes}, sum(size.numel() for size in sizes)
    for fraction in (0.0, 0.3, 0.77, 0.95, 0.99):
        removed = erdos_renyi(shapes, fraction)
        assert sum(round(removed[name] * size.numel()) for name, size in shapes.items()) == round(fraction * total)
        assert all(0 <= share < 1 for share in removed.values())
    with pytest.raises(ValueError, match="--prune-target 0.9999: leaves less than one weight a layer"):
        erdos_renyi(shapes, 0.9999)
