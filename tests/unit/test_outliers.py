"""Layers' fractions by their outliers: the published rule, and counts that are exact in total."""

import pytest
import torch

from fairseq_prune.engine.make_plan import make_plan
from fairseq_prune.engine.outliers import block_of, shares_by_outliers
from fairseq_prune.pruning.budget.outliers import SPREAD, Outliers, fitted, outlier_ratio
from fairseq_prune.pruning.calibration.inputs import Inputs
from fairseq_prune.pruning.prunable import find_prunables


def test_the_published_rule_on_blocks_of_one_size():
    """lib/prune_all.py of OWL: densities stretched to a range of 2 lambda around the target's."""
    worths = {}
    for number, outliers in enumerate((0, 5, 10)):
        worth = torch.ones(10, 100)
        worth.view(-1)[:outliers] = 1000.0 / max(outliers, 1)
        worths[f"layers.{number}"] = [worth[:4], worth[4:]]
    ratios = [outlier_ratio(those) for those in worths.values()]
    assert ratios == [0.0, 0.005, 0.01]
    densities = torch.tensor(ratios) * (1 / (max(ratios) - min(ratios)) * SPREAD * 2)
    densities = densities - densities.mean() + (1 - 0.7)
    found = Outliers(0.7).shares(worths, dict.fromkeys(worths, 1000))
    assert list(found.values()) == pytest.approx([1 - float(d) for d in densities], abs=1e-6)
    assert found["layers.0"] == pytest.approx(0.7 + SPREAD) and found["layers.2"] == pytest.approx(0.7 - SPREAD)


@pytest.mark.parametrize("fraction", [0.02, 0.5, 0.7, 0.97])
def test_counts_come_to_the_target(fraction):
    sizes = {"a": 101, "b": 77, "c": 1003, "d": 5}
    found = fitted({"a": 0.1, "b": 0.0, "c": -0.05, "d": 0.02}, sizes, fraction)
    counts = [found[name] * size for name, size in sizes.items()]
    assert sum(map(round, counts)) == round(fraction * sum(sizes.values())) and counts == pytest.approx(
        list(map(round, counts))
    )
    assert all(0 <= f < 1 for f in found.values()) and found["a"] >= found["b"] >= found["c"]


def test_tensors_of_one_block_lose_the_same_part():
    torch.manual_seed(1)
    net = torch.nn.Sequential(
        *(torch.nn.Sequential(torch.nn.Linear(20, 30), torch.nn.Linear(30, 20)) for _ in range(3))
    )
    prunables = [p for p in find_prunables(net) if p.parameter.dim() > 1]
    names = [p.name for p in prunables]
    assert [block_of(name) for name in names] == ["0.0", "0.1", "1.0", "1.1", "2.0", "2.1"]

    def walk():
        for p in prunables:
            squares = torch.ones(1, p.shape[1])
            squares[0, 0] = 400.0 if p.name == "1.0.weight" else 1.0  # a feature that is large
            yield p.name, Inputs(None, squares, 1.0)

    goal = Outliers(0.5)
    found = shares_by_outliers(prunables, dict.fromkeys(names, goal), walk())
    assert min(found, key=found.get) == "1.0.weight" and len(found) == 6
    total = sum(found[p.name] * p.parameter.numel() for p in prunables)
    assert total == pytest.approx(0.5 * sum(p.parameter.numel() for p in prunables), abs=0.5)


@pytest.mark.parametrize("words, message", [
    ({"target": "0owl"}, "--prune-target 0owl: write 0.7owl"),
    ({"target": "1.5owl"}, "--prune-target 1.5owl: write 0.7owl"),
    ({"target": "0.5owl", "scope": "global"}, "--prune-target 0.5owl: .* leave out --prune-scope global"),
    ({"target": "0.5owl", "units": "neuron"}, "--prune-target 0.5owl: .* several layers share neuron"),
    ({"target": "0.5owl", "units": "n:m"}, "--prune-target 0.5owl: units n:m need 2:4"),
])  # fmt: skip
def test_bad_targets(words, message):
    with pytest.raises(ValueError, match=message):
        make_plan({"method": "magnitude", **words})


def test_scopes_follow():
    assert make_plan({"method": "magnitude", "target": "0.5owl"}).scope == "layer"
    assert make_plan({"method": "wanda", "target": "0.5owl"}).scope == "output"
    assert make_plan({"method": "magnitude", "target": "0.5owl"}).evidence == ("inputs",)
    for without_data in ("0.5", "0.5erk"):
        assert not make_plan({"method": "magnitude", "target": without_data}).evidence
