"""What is removed stays removed: every method with all units, of three families, from models that have lost weights."""

import copy
import math
import re

import pytest
import torch
from one_layer import Optimizer
from small_models import build_model
from torch import nn

from fairseq_prune.engine.evidence import KINDS
from fairseq_prune.engine.plan import make_plan
from fairseq_prune.engine.pruner import Pruner
from fairseq_prune.families.family import stacks_of, structure_of
from fairseq_prune.methods.checks import approach_of
from fairseq_prune.methods.table import METHODS
from fairseq_prune.pruning.calibration.inputs import Inputs
from fairseq_prune.pruning.surgery.depth import layers_of
from fairseq_prune.pruning.times import Position
from fairseq_prune.pruning.units import UNITS, is_coupled, parse_units
from vision_bridge.surgery.trace import trace

WIDTH = "width"  # multipliers of 0 instead of masks, and no model without them: tests/run/test_srp_methods.py
ROWS = [(name, method) for name, method in METHODS.items() if method.prunes and method.units != WIDTH]
PRUNING = [name for i, (name, method) in enumerate(ROWS) if method not in [row for _, row in ROWS[:i]]]
ALL_UNITS = ["2:4" if name == "n:m" else name for name in UNITS]
GONE, TARGET = 0.3, 0.6  # of single weights before; of units afterwards
TIMES = {
    "once": {},
    "growing": {"end": "4up"},
    "reselect": {"freeze": "4up", "every": "1up"},
}
GRADUAL = {"end": "4up", "every": "1up"}


def transformer():
    return build_model("transformer", encoder_layers=1, decoder_layers=3, encoder_embed_dim=8, decoder_embed_dim=8,
                       encoder_ffn_embed_dim=12, decoder_ffn_embed_dim=12, encoder_attention_heads=4,
                       decoder_attention_heads=4)  # fmt: skip


def lstm():
    return build_model("lstm", encoder_embed_dim=8, decoder_embed_dim=8, encoder_hidden_size=12, encoder_layers=1,
                       decoder_hidden_size=12, decoder_layers=1, decoder_out_embed_dim=8)  # fmt: skip


def cnn():
    return nn.Sequential(
        nn.Conv2d(4, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 12, 3), nn.ReLU(), nn.Conv2d(12, 8, 1),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4),
    )  # fmt: skip


FAMILIES = {"transformer": transformer, "lstm": lstm, "cnn": cnn}


@pytest.fixture(scope="module")
def families():
    """Dict of family -> (model, its structure, masks of single weights)."""
    found = {}
    for name, build in FAMILIES.items():
        torch.manual_seed(1)
        model = build()
        structure = trace(model, torch.randn(2, 4, 8, 8)) if name == "cnn" else structure_of(model)
        generator = torch.Generator().manual_seed(2)
        masks = {n: torch.rand(p.shape, generator=generator) > GONE for n, p in model.named_parameters() if p.dim() > 1}
        found[name] = model, structure, masks
    return found


def options_of(method, units, target=TARGET):
    row = METHODS[method]
    times = {} if row.steps else TIMES.get(row.schedule, GRADUAL)
    target = {} if units == "2:4" else {"target": target}
    approach = {"update_reg_interval": 1, "stabilize_reg_interval": 1} if "greg" in method else {}
    if method == "gate_decorators":
        approach = {"prune_tocks": 1, "prune_ticks": 1}
    return {"method": method, "units": units, **target, **times, "approach": approach}


def start(family, plan):
    """A masked model's pruner and optimizer, before its first update."""
    model, structure, masks = family
    model = copy.deepcopy(model)
    generator = torch.Generator().manual_seed(3)
    noise = lambda p: torch.randn(p.shape, generator=generator)  # noqa: E731
    pruner = Pruner(
        model, plan, lambda: structure, averaged=True, gather=lambda *asked: evidence(pruner, *asked, noise)
    )
    pruner.masked.adopt(masks)
    optimizer = Optimizer(torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9))
    pruner.masked.mask_values(optimizer)
    pruner.check_start()
    return model, pruner, optimizer, noise


def evidence(pruner, model, kind, event, noise):
    """Noise of the shape that a kind of evidence has."""
    if not KINDS[kind].in_order:
        of_layers = {stack: noise(torch.empty(len(layers_of(model, stack)))) for stack in stacks_of(model)}
        factor = {n: 1 if kind == "gradient" else p.detach() for n, p in model.named_parameters()}
        products = {n: factor[n] * noise(p) for n, p in model.named_parameters()}
        of_units = pruner.targets.unit_sums(products) if KINDS[kind].of_units else {}
        return products | {name: value.square() for name, value in of_units.items()} | of_layers
    rows = {n: noise(p).flatten(1).unsqueeze(0) for n, p in model.named_parameters() if p.dim() > 1}
    return ((n, Inputs(r.mT @ r, r.square().sum(1), r.shape[1])) for n, r in rows.items())


def prune(family, plan):
    """Train on noise until all has been removed, and some updates more: zero is then only what is removed."""
    model, pruner, optimizer, noise = start(family, plan)
    for update in range(9):
        pruner.before_update(optimizer, Position(0, update))
        with pruner.in_training():
            for p in model.parameters():
                p.grad = noise(p)
        pruner.before_step(optimizer)
        optimizer.optimizer.step()
        pruner.after_step(optimizer, Position(0, update))
    assert not pruner.pending
    return {name: p.detach() != 0 for name, p in model.named_parameters()}, pruner


def revived(family, left):
    return sum(int((left[name] & ~keep).sum()) for name, keep in family[2].items())


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("method", PRUNING)
def test_old_zeros_stay_and_the_count_is_exact(families, method, family):
    """Or the combination is refused, in a line that names an option and what to give instead."""
    done = 0
    for units in ALL_UNITS:
        try:
            plan = make_plan(options_of(method, units))
            left, pruner = prune(families[family], plan)
        except ValueError as error:
            assert re.fullmatch(r"--prune-[a-z]+ \S+:.*(e\.g\.|give) .*", str(error)), str(error)
            continue
        done += 1
        assert bool(revived(families[family], left)) == regrows(plan), units
        check_count(plan, families[family], left)
        whole = sum(keep.numel() for keep in left.values() if keep.dim() > 1)
        gone = sum(int((~keep).sum()) for keep in left.values() if keep.dim() > 1)
        if not left_out(plan, left):
            assert pruner.fraction_removed == pytest.approx(gone / whole)
    of_layers_alone = METHODS[method].importance in ("cosine", "loss")
    least = 1 if regrows(plan) else 2
    assert done >= (least if not of_layers_alone else family == "transformer")


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("method", ["magnitude", "l1", "snap_it"])
def test_what_cannot_be_met_is_refused_and_the_highest_can_be(families, method, family):
    """One unit stays, of every layer where they are coupled."""
    refused = 0
    for units in ALL_UNITS:
        try:
            plan = make_plan(options_of(method, units, 0.996))
            left, _ = prune(families[family], plan)
        except ValueError as error:
            highest = re.search(r"--prune-target 0.996: at most .* e.g. --prune-target (0.\d+)$", str(error))
            if not highest:
                continue
            refused += 1
            plan = make_plan(options_of(method, units, float(highest[1])))
            left, _ = prune(families[family], plan)
        check_count(plan, families[family], left)
        if plan.scope == "layer" and not is_coupled(parse_units(plan.units)):
            assert all(keep.any() for keep in left.values())
    assert refused >= 2


def test_without_the_intersection_weights_come_back(families, monkeypatch):
    """The control: selections as they were, which forgot the masks of what they own."""
    plan = make_plan(options_of("magnitude", "neuron"))
    assert not revived(families["transformer"], prune(families["transformer"], plan)[0])
    monkeypatch.setattr("fairseq_prune.engine.targets.intersect", lambda before, chosen, _: chosen)
    assert revived(families["transformer"], prune(families["transformer"], plan)[0]) > 50


def regrows(plan):
    """True where the promise is another: as sparse, at other places."""
    return bool(plan.approach and approach_of(plan).regrows)


def left_out(plan, left):
    return [n for n, keep in left.items() if keep.dim() > 1 and not has_units(plan, keep.shape)]


def has_units(plan, shape):
    if plan.units == "n:m":
        return len(shape) > 1 and shape[1] % 4 == 0
    if plan.units in ("stripe", "kernel", "pattern"):
        return len(shape) == 4 and (plan.units == "kernel" or shape[2:] == (3, 3))
    return len(shape) > 1


def check_count(plan, family, left):
    """Count by hand what is zero now."""
    target = plan.target["*"]

    def asked(size, fraction=target):
        return min(math.ceil(fraction * size), size - 1) if plan.rounding == "up" else round(fraction * size)

    mine = {name: keep for name, keep in left.items() if has_units(plan, keep.shape)}
    if is_coupled(parse_units(plan.units)) and plan.units != "weight+node":
        vectors = [v for v in family[1].vectors.values() if v.kind in parse_units(plan.units).kinds]
        heads = math.gcd(*(v.heads for v in vectors))  # of each of which as many leave
        dead = [int((~alive(family[1], v, left)).sum()) / heads for v in vectors]
        lengths = [v.length // heads for v in vectors]
        assert dead == list(map(asked, lengths)) if plan.scope == "layer" else sum(dead) == asked(sum(lengths))
    elif plan.units == "n:m":
        for name, keep in mine.items():
            before = family[2][name].unflatten(1, (-1, 4)).sum(2)
            assert torch.equal(keep.unflatten(1, (-1, 4)).sum(2), before.clamp(max=2))
    elif plan.units == "pattern":
        for keep in mine.values():
            kernels = keep.flatten(2).sum(2)
            whole = kernels.numel() - asked(kernels.numel(), (target - 5 / 9) / (4 / 9))
            assert int((kernels > 0).sum()) == whole and kernels.max() <= 4
    else:
        apart = plan.scope in ("layer", "output")
        layers = [[keep] for keep in mine.values()] if apart else [list(mine.values())]
        for members in layers:
            gone, all_of = sum(int((~keep).sum()) for keep in members), sum(keep.numel() for keep in members)
            found = {int(size) for keep in members for size in torch.as_tensor(sizes(plan.units, keep.shape)).view(-1)}
            size = max(found) if len(found) == 1 else 1
            assert 0 <= asked(all_of // size) * size - gone < max(found)  # exact for single weights


def sizes(units, shape):
    return 1 if units == "weight+node" else parse_units(units).sizes(shape)


def alive(structure, vector, left):
    """Units of which anything is left that writes them, bool [units]."""
    units = torch.zeros(vector.length, dtype=torch.bool)
    for name, owners in structure.table.items():
        for owner in owners:
            reads = vector.written and name not in vector.writers  # columns write an embedding's dimensions
            if (owner.vector, owner.axis) == (vector.name, vector.written) and name in left and not reads:
                rows = left[name].movedim(owner.axis, 0).flatten(1).any(1) if left[name].dim() > 1 else left[name]
                of = torch.arange(len(rows)) if owner.elements is None else owner.elements
                units[of[rows & (of >= 0)]] = True
    return units
