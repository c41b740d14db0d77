"""Targets that can be met and those that cannot; units that tensors have, and the scope that units need."""

import pytest
import torch
from known_structure import KnownStructure
from torch import nn

from fairseq_prune.engine.make_plan import make_plan
from fairseq_prune.engine.targets import Targets
from fairseq_prune.methods.table import METHODS
from fairseq_prune.pruning.surgery.structure import Coupled, Structure
from fairseq_prune.pruning.surgery.table import Owner


def net():
    torch.manual_seed(1)
    return nn.Sequential(nn.Conv2d(4, 6, 3), nn.Conv2d(6, 8, 1), nn.Linear(8, 5))


VECTORS = {
    "0": Coupled("0", "channel", 6, ("0.weight",), ("1.weight",)),
    "1": Coupled("1", "channel", 8, ("1.weight",), ("2.weight",)),
}
TABLE = {
    "0.weight": (Owner(0, "0"),), "1.weight": (Owner(1, "0"), Owner(0, "1")), "2.weight": (Owner(1, "1"),),
}  # fmt: skip


def targets_of(model, **options):
    """(selection, fraction that the message names or None)"""
    targets = Targets(
        model, make_plan({"method": "magnitude", **options}), KnownStructure(lambda _: Structure(TABLE, VECTORS))
    )
    targets.begin({})
    return targets


def removed(targets):
    """Units or weights removed of all groups."""
    masks = targets.select(99, {}).masks
    return sum(targets.selector.count(group, masks)[0] for group in targets.selector.groups)


LIMITS = {  # units and scope -> units that can be removed of how many, in the layer where it is tightest
    ("weight", "global"): (4 * 54 + 48 + 40 - 1, 304),
    ("row", "layer"): (4, 5),
    ("stripe", "layer"): (53, 54),
    ("kernel", "layer"): (23, 24),
    ("filter", "global"): (12, 14),
    ("filter", "layer"): (5, 6),
    ("weight+node", "global"): (303, 304),
}


@pytest.mark.parametrize("units, scope", LIMITS)
def test_the_highest_target(units, scope):
    """Refused above, and named; met at the highest and below."""
    most, size = LIMITS[units, scope]
    targets_of(net(), units=units, scope=scope, target=(most + 0.49) / size)
    with pytest.raises(ValueError, match=r"--prune-target 0.9\d*: at most .* can be removed.* --prune-target") as error:
        targets_of(net(), units=units, scope=scope, target=max(0.9, (most + 0.51) / size))
    named = float(str(error.value).rpartition(" ")[2])
    assert named == pytest.approx(most / size, abs=1e-4)
    if scope == "global":
        assert removed(targets_of(net(), units=units, target=named, scope=scope)) == most


def test_recipes_of_sipo_can_remove_a_whole_group():
    stages = {"scope": "stage", "stages": "a=0*;b=1*,2*"}
    assert removed(targets_of(net(), target={"a": 1 - 1e-12, "b": 0.5}, **stages)) == 216 + 44
    with pytest.raises(ValueError, match="--prune-target 0.9999: at most 0.9953 of 'a' can be removed"):
        targets_of(net(), target={"a": 0.9999, "b": 0.5}, **stages)


def test_one_pattern_stays():
    """23 of 24 kernels can be removed, and 5 of 9 weights of the last."""
    with pytest.raises(ValueError, match=r"--prune-target 0.995: at most 0.9814 of '0.weight' can be removed") as error:
        targets_of(net(), units="pattern", target=0.995)
    assert removed(targets_of(net(), units="pattern", target=float(str(error.value).rpartition(" ")[2]))) == 216 - 4


def test_the_option_that_asked_is_named():
    plan = make_plan({"method": "l1", "budget": {"stage_pr": "[0-1:0.99]"}})
    info = KnownStructure(lambda _: Structure(TABLE, VECTORS))
    info.find_targets = lambda selector, *_: dict.fromkeys(selector.groups, 0.99)
    with pytest.raises(ValueError, match="--stage-pr 0.99: at most 0.8333 of '0' can be removed"):
        Targets(net(), plan, info)


def test_units_bring_their_scope():
    """Unless the user gives another, which is refused."""
    for units, scope in (("2:4", "layer"), ("pattern", "layer"), ("weight+node", "global")):
        for method in ("magnitude", "l1", "snip"):
            target = {} if units == "2:4" else {"target": 0.6}
            assert make_plan({"method": method, "units": units, **target}).scope == scope
            assert make_plan({"method": method, "units": "row", "target": 0.6}).scope == METHODS[method].scope
            other = {"layer": "global", "global": "layer"}[scope]
            with pytest.raises(ValueError, match=f"--prune-scope {other}"):
                targets_of(net(), method=method, units=units, scope=other, **target)


@pytest.mark.parametrize("options, members", [
    ({"units": "stripe", "target": 0.5}, ["0.weight"]),
    ({"units": "kernel", "target": 0.5}, ["0.weight", "1.weight"]),
    ({"units": "2:4"}, ["0.weight", "2.weight"]),
    ({"units": "row", "target": 0.5, "include": "*"}, ["0.weight", "1.weight", "2.weight"]),
    ({"units": "pattern", "target": "0*=0.6,*=0.8"}, ["0.weight"]),
], ids=str)  # fmt: skip
def test_tensors_without_such_units_are_left_out(options, members):
    targets = targets_of(net(), **options)
    assert [p.name for p in targets.prunables] == members
    assert {*targets.selector.left_out, *members} >= {"0.weight", "1.weight", "2.weight"}
    assert not targets.find_again()  # no other weights have come in


@pytest.mark.parametrize("options, message", [
    ({"units": "stripe", "target": 0.5, "only": "2*"}, r"--prune-only 2\*: matches nothing with units stripe"),
    ({"units": "row", "target": 0.5, "include": "*.bias"}, r"--prune-include \*.bias: matches nothing with units row"),
    ({"units": "pattern", "target": "1*=0.6,*=0.8"}, r"--prune-target: '1\*' matches no group"),
    ({"units": "3:7"}, r"--prune-units n:m: the model has none: 0.weight: its 4 inputs are not divisible by 7"),
], ids=str)  # fmt: skip
def test_what_the_user_named_has_to_have_them(options, message):
    with pytest.raises(ValueError, match=message):
        targets_of(net(), **options)
