"""What is removed stays removed: every method with all units, of three families, from models that have lost weights."""

import math
import re
from pathlib import Path

import combinations
import pytest
import torch
from combinations import ALL_UNITS, FAMILIES, PRUNING, TITLES, options_of, prune

from fairseq_prune.engine.make_plan import make_plan
from fairseq_prune.methods.drop_and_grow import DropAndGrow
from fairseq_prune.methods.table import METHODS
from fairseq_prune.pruning.units import is_coupled, parse_units

PAGE = Path(__file__).parents[2] / "docs" / "matrix.md"


@pytest.fixture(scope="module")
def families():
    return combinations.families()


def revived(family, left):
    return sum(int((left[name] & ~keep).sum()) for name, keep in family[2].items())


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("method", PRUNING)
def test_old_zeros_stay_and_the_count_is_exact(families, method, family):
    """Or the combination is refused, in a line that names an option and what to give instead; docs/matrix.md knows."""
    done = []
    for units in ALL_UNITS:
        try:
            plan = make_plan(options_of(method, units))
            left, pruner = prune(families[family], plan)
        except ValueError as error:
            assert re.fullmatch(r"--prune-[a-z]+ \S+:.*(e\.g\.|give) .*", str(error)), str(error)
            continue
        done.append(units)
        assert bool(revived(families[family], left)) == regrows(plan), units
        check_count(plan, families[family], left)
        whole = sum(keep.numel() for keep in left.values() if keep.dim() > 1)
        gone = sum(int((~keep).sum()) for keep in left.values() if keep.dim() > 1)
        if not left_out(plan, left):
            assert pruner.fraction_removed == pytest.approx(gone / whole)
    of_layers_alone = METHODS[method].importance in ("cosine", "loss")
    least = 1 if regrows(plan) else 2
    assert len(done) >= (least if not of_layers_alone else family == "transformer")
    assert set(done) == listed(family, method)  # if not so: python3 scripts/matrix_page.py


def listed(family, method):
    """The units that the page says a method can remove from a family."""
    header, _, *rows = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in PAGE.read_text().split(f"\n## {TITLES[family]}\n")[1].split("\n## ")[0].splitlines()
        if line.startswith("|")
    ]
    of_method = [row for row in rows if f"`{method}`" in row[0].split(", ")]
    return {name.strip("`") for row in of_method for name, cell in zip(header, row, strict=True) if cell == "✓"}


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
    return isinstance(plan.approach, DropAndGrow)


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
        heads = math.gcd(*(v.heads for v in vectors))  # of each of which as many are removed
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
