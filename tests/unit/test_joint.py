"""Nodes and weights in one ranking, against brute force."""

import pytest
import torch
from known_structure import KnownStructure
from torch import nn

from fairseq_prune.engine.make_plan import make_plan
from fairseq_prune.engine.targets import Targets
from fairseq_prune.pruning.surgery.structure import Coupled, Structure
from fairseq_prune.pruning.surgery.table import Owner

TABLE = {
    "0.weight": (Owner(0, "0"),), "0.bias": (Owner(0, "0"),),
    "1.weight": (Owner(1, "0"), Owner(0, "1")), "1.bias": (Owner(0, "1"),), "2.weight": (Owner(1, "1"),),
}  # fmt: skip
VECTORS = {
    "0": Coupled("0", "channel", 6, ("0.weight",), ("1.weight",)),
    "1": Coupled("1", "channel", 5, ("1.weight",), ("2.weight",)),
}
TOTAL = 4 * 6 + 6 * 5 + 5 * 3


def targets(target, **options):
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(4, 6), nn.Linear(6, 5), nn.Linear(5, 3))
    plan = make_plan({"method": "cnip_it", "target": target, **options})
    found = Targets(model, plan, KnownStructure(lambda _: Structure(TABLE, VECTORS)))
    found.begin({})
    generator = torch.Generator().manual_seed(2)
    evidence = {name: torch.randn(p.shape, generator=generator) for name, p in model.named_parameters()}
    return found, evidence


def brute_force(evidence, budget):
    """The most nodes, by ascending score, that fit with all weights worth no more; then weights by score."""
    nodes = [
        (abs(float(evidence[f"{int(v) + 1}.weight"][:, j].sum())), v, j)
        for v in VECTORS
        for j in range(VECTORS[v].length)
    ]
    best = {max(n for n in nodes if n[1] == v) for v in VECTORS}
    nodes = sorted(n for n in nodes if n not in best)
    for count in range(len(nodes), -1, -1):
        gone = {
            name: torch.zeros_like(evidence[name], dtype=torch.bool) for name in ("0.weight", "1.weight", "2.weight")
        }
        for _, vector, unit in nodes[:count]:
            gone[f"{vector}.weight"][unit] = True
            gone[f"{int(vector) + 1}.weight"][:, unit] = True
        limit = nodes[count - 1][0] if count else -1.0
        if sum(int((gone[n] | (evidence[n].abs() <= limit)).sum()) for n in gone) <= budget:
            break
    left = sorted(float(evidence[n][~gone[n]].abs()[i]) for n in gone for i in range(int((~gone[n]).sum())))
    last = left[budget - sum(int(g.sum()) for g in gone.values()) - 1]
    return count, {n: ~gone[n] & (evidence[n].abs() > last) for n in gone}


@pytest.mark.parametrize("target", [0.3, 0.5, 0.7, 0.9])
def test_one_threshold_for_both(target):
    found, evidence = targets(target)
    selection = found.select(5, {}, evidence)
    count, expected = brute_force(evidence, round(target * TOTAL))
    assert sum(int((~units).sum()) for units in selection.keep.values()) == count
    assert all(torch.equal(selection.masks[name], keep) for name, keep in expected.items())
    assert sum(int((~selection.masks[name]).sum()) for name in expected) == round(target * TOTAL)
    for vector, units in selection.keep.items():
        bias = selection.masks.get(f"{vector}.bias", torch.ones_like(units))
        assert torch.equal(bias, units) and units.any()


def test_both_kinds_are_removed_and_what_is_gone_stays_so():
    found, evidence = targets(0.9)
    first = found.select(1, {}, evidence)
    last = found.select(5, first.masks, {name: value.flip(0) for name, value in evidence.items()})
    for name, keep in first.masks.items():
        assert not (last.masks[name] & ~keep).any()
    assert any(not units.all() for units in last.keep.values())
    assert any((~last.masks[f"{v}.weight"][units]).any() for v, units in last.keep.items())


@pytest.mark.parametrize("options, message", [
    ({"scope": "layer"}, "--prune-scope layer: units weight.node are one ranking"),
    ({"approach": {"prune_gate_lr": 0.1}}, "--prune-gate-lr 0.1: is not for --prune-method cnip_it"),
    ({"method": "l0", "units": "weight+node", "end": "9up"}, "--prune-units weight.node: are not for"),
])  # fmt: skip
def test_bad_input(options, message):
    with pytest.raises(ValueError, match=message):
        targets(0.5, **options)
