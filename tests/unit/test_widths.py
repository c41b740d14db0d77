"""The widths that a compression rate leaves: SRP's reference table, and never more than the rate."""

import random
import re
from fractions import Fraction

import pytest
from transformers_by_hand import LOPSIDED, ONE_HEAD, REFERENCE, TINY, Transformer

from fairseq_prune.pruning.budget.widths import BUDGETS, count_parameters

exact, legacy = BUDGETS["exact"], BUDGETS["legacy"]
LEGACY_TABLE = {  # as the original cut; rate: residual width, width of a head, FFN units, parameters
    0.05: (78, 19, 1889, 1_941_953),
    0.1: (127, 31, 3062, 3_898_752),
    0.2: (199, 49, 4788, 7_827_714),
    0.3: (255, 63, 6136, 11_746_174),
    0.34: (275, 68, 6613, 13_325_801),
    0.5: (345, 86, 8294, 19_666_340),
}


ALL = {"reference": REFERENCE, "tiny": TINY, "lopsided": LOPSIDED, "one head": ONE_HEAD}
EVERY = pytest.mark.parametrize("model", ALL.values(), ids=ALL)
RATES = [0.03, 0.05, 0.1, 0.2, 0.3, 0.34, 0.5, 0.7, 0.9, 0.99, 0.9999]


def formula(e, d, units, words=15_480, blocks=18, heads=4, layers=(6, 6)):
    """Parameters at residual width e, d dimensions a head and so many neurons in all layers together."""
    norms = 2 * layers[0] + 3 * layers[1]
    attention = blocks * (4 * e * d * heads + 3 * d * heads + e)
    return words * e + attention + units * (2 * e + 1) + sum(layers) * e + 2 * e * norms


def test_counting():
    assert REFERENCE.total == formula(512, 128, 12_288) == 39_469_056
    assert len(REFERENCE.lengths) == 2 + 6 * 3 + 6 * 5 and sum(REFERENCE.lengths.values()) == 31_744
    assert TINY.total == formula(128, 32, 1024, 1100, 6, 4, (2, 2))
    cut = {"residual": 199, "qk": 4 * 128, "vo": 4 * 128, "neuron": 1024}
    assert REFERENCE.count({v.name: cut[v.kind] for v in REFERENCE.vectors}) == 15_364_926  # stage 1 alone
    assert count_parameters({"a": (3, 5), "b": (7,), "c": ()}, {"a": ((1, "v"),), "v": ((0, "v"),)}, {"v": 2}) == 14


def test_every_axis_counts():
    """One unit less of any vector is what the table says it owns."""
    for model in (TINY, ONE_HEAD):
        for vector, length in model.lengths.items():
            owned = sum(
                size // model.shapes[name][axis]
                for name, owners in model.owners.items() if name in model.shapes
                for size in [product(model.shapes[name])]
                for axis, owner in owners if owner == vector
            )  # fmt: skip
            assert model.total - model.count({**model.lengths, vector: length - 1}) == owned > 0


def product(shape):
    return shape[0] * (shape[1] if len(shape) > 1 else 1)


@pytest.mark.parametrize("rate", LEGACY_TABLE)
def test_the_table_of_the_original(rate):
    e, d, units, parameters = LEGACY_TABLE[rate]
    widths = REFERENCE.solve(legacy, rate)
    assert REFERENCE.small(widths) == (e, d, units)
    assert REFERENCE.count_kept(widths) == formula(e, d, units) == parameters


def test_the_exact_reference():
    widths = REFERENCE.solve(exact, 0.2)
    assert REFERENCE.small(widths) == (199, 50, 4809)
    assert REFERENCE.count_kept(widths) == formula(199, 50, 4809)
    assert REFERENCE.count_kept(widths) / REFERENCE.total == pytest.approx(0.199995, abs=5e-7)
    assert formula(199, 50, 4810) > 0.2 * REFERENCE.total
    assert formula(200, 50, round(200 / 512 * 12_288)) > 0.2 * REFERENCE.total


def by_definition(model, rate):
    """Every kept fraction at which some width changes is tried, in exact arithmetic."""
    e, h, f = model.lengths["encoder.embedding_c"], model.vectors[1].heads, model.ffn_total
    edges = sorted({Fraction(2 * k - 1, 2 * width) for width in (e, e // h, f) for k in range(1, width + 1)})

    def count(x):
        e_kept, d_kept, f_kept = (int(x * width + Fraction(1, 2)) for width in (e, e // h, f))
        kept = {"residual": e_kept, "qk": h * d_kept, "vo": h * d_kept, "neuron": 0}
        lengths = {v.name: kept[v.kind] for v in model.vectors}
        return e_kept, d_kept, f_kept, model.count(lengths), 2 * e_kept + 1

    fitting = [(e, d, rest, unit) for e, d, f, rest, unit in map(count, edges) if rest + f * unit <= rate * model.total]
    e, d, rest, unit = fitting[-1]
    return e, d, min(f, (int(rate * model.total) - rest) // unit)


SMALL = Transformer((16, 16), (24, 24), (2, 2), (1, 1), (30, 20))


@pytest.mark.parametrize("rate", [0.02, 0.1, 0.125, 0.2, 1 / 3, 0.5, 0.61, 0.75, 0.9, 0.999])
def test_exact_equals_its_definition(rate):
    assert SMALL.small(SMALL.solve(exact, rate)) == by_definition(SMALL, rate)


@EVERY
@pytest.mark.parametrize("rate", RATES)
def test_never_above_the_rate(model, rate):
    """However the FFN units fall to the layers; and nothing that would fit is left over."""
    widths = model.solve(exact, rate)
    assert all(0 <= widths.lengths[v.name] <= v.length for v in model.vectors if v.kind != "neuron")
    assert all(widths.lengths[v.name] % v.heads == 0 for v in model.vectors if v.kind in ("qk", "vo"))
    assert all(widths.lengths[name] > 0 for name in model.names("residual"))
    assert 0 <= widths.ffn_units <= model.ffn_total
    order, counts = model.names("neuron"), []
    for _ in range(10):
        counts += [model.count_kept(widths, order), model.count_kept(widths, order[::-1])]
        random.Random(len(counts)).shuffle(order)
    assert max(counts) <= rate * model.total
    unit = 2 * max(widths.lengths[name] for name in model.names("residual")) + 1
    assert max(counts) + unit > rate * model.total or widths.ffn_units == model.ffn_total
    if model in (REFERENCE, TINY):
        assert len(set(counts)) == 1 and counts[0] >= (rate - 0.005) * model.total


def test_control_the_costliest_layers_matter():
    """With two residual widths the count does depend on where the units are."""
    widths = LOPSIDED.solve(exact, 0.5)
    order = LOPSIDED.names("neuron")
    assert LOPSIDED.count_kept(widths, order) > 1.02 * LOPSIDED.count_kept(widths, order[::-1])


@pytest.mark.parametrize("rate", RATES[1:])
def test_legacy_stays_below_the_rate(rate):
    for model in (REFERENCE, TINY):
        assert model.count_kept(model.solve(legacy, rate)) <= rate * model.total


@pytest.mark.parametrize("budget", BUDGETS.values(), ids=BUDGETS)
@pytest.mark.parametrize("rate", [0.1, 0.2, 0.5, 0.9])
def test_two_stages_end_where_one_does(budget, rate):
    for model in (REFERENCE, TINY):
        single = model.solve(budget, rate)
        first = model.solve(budget, rate, dict(model.lengths))  # what is left alone is not cut yet
        residuals = {name: first.lengths[name] for name in model.names("residual")}
        assert first == single == model.solve(budget, rate, residuals)
        heads_first = {name: single.lengths[name] for name in model.names("qk", "vo")}
        cut = {name: 1 for name in model.names("neuron")}
        assert model.solve(budget, rate, {**heads_first, **cut}) == single


def test_units_fit_beside_what_is_already_cut():
    names = REFERENCE.names("residual")
    widths = REFERENCE.solve(exact, 0.2, dict.fromkeys(names, 150))
    e, d, units = REFERENCE.small(widths)
    assert (e, d) == (150, 50)
    assert formula(e, d, units) <= 0.2 * REFERENCE.total < formula(e, d, units + 1)
    assert units > 4809  # control
    roomy = REFERENCE.solve(exact, 0.9, dict.fromkeys(names, 100))
    assert roomy.ffn_units == 12_288  # never more than there are
    legacy_widths = REFERENCE.solve(legacy, 0.2, dict.fromkeys(names, 150))
    assert REFERENCE.small(legacy_widths) == (150, 49, 4788)


def test_no_room_beside_what_is_already_cut():
    settled = dict.fromkeys(REFERENCE.names("residual"), 240)
    with pytest.raises(ValueError, match=r"^--compression-rate 0.1: the widths of an earlier stage leave no room"):
        REFERENCE.solve(exact, 0.1, settled)
    assert REFERENCE.solve(exact, 0.2, settled).ffn_units >= 0


def test_rounds():
    """Each takes the same share of what is left, and the last ends where a single one does."""
    x = 199.5 / 512  # a little below the fraction solved for, which is the largest of its widths
    rounds = [REFERENCE.small(REFERENCE.solve(exact, 0.2, None, nth / 3)) for nth in (1, 2, 3)]
    assert rounds[2] == (199, 50, 4809)
    for nth, (e, d, units) in enumerate(rounds[:2], 1):
        expected = x ** (nth / 3)
        assert (e, d) == (int(expected * 512 + 0.5), int(expected * 128 + 0.5))
        assert units == pytest.approx(expected * 12_288, abs=12)
    first, last = (REFERENCE.small(REFERENCE.solve(legacy, 0.2, None, nth / 2)) for nth in (1, 2))
    assert last == (199, 49, 4788) and first == (319, 79, 7670)  # 0.389678 ** 0.5 = 0.624242, rounded down


@pytest.mark.parametrize("budget", BUDGETS.values(), ids=BUDGETS)
def test_rounds_only_remove(budget):
    for model, rate in [(TINY, 0.1), (TINY, 0.97), (REFERENCE, 0.999)]:
        rounds = [model.small(model.solve(budget, rate, None, nth / 8)) for nth in range(1, 9)]
        assert rounds[-1] == model.small(model.solve(budget, rate))
        for before, after in zip(rounds, rounds[1:], strict=False):
            assert all(a <= b for a, b in zip(after, before, strict=True))


def test_one_vector_for_both_sides():
    """Share-all: one residual vector, one embedding."""
    shared = {**TINY.owners}
    for name, owners in TINY.owners.items():
        shared[name] = tuple((axis, v.replace("decoder.embedding_c", "encoder.embedding_c")) for axis, v in owners)
    shapes = {name: shape for name, shape in TINY.shapes.items() if name != "decoder.embed_tokens.weight"}
    vectors = [v for v in TINY.vectors if v.name != "decoder.embedding_c"]
    total = formula(128, 32, 1024, 600, 6, 4, (2, 2))
    for budget in BUDGETS.values():
        widths = budget(shapes, shared, vectors, 0.3)
        e, d = widths.lengths["encoder.embedding_c"], widths.lengths[TINY.names("qk")[0]] // 4
        assert 0.28 * total < formula(e, d, widths.ffn_units, 600, 6, 4, (2, 2)) <= 0.3 * total


@pytest.mark.parametrize("budget", BUDGETS.values(), ids=BUDGETS)
@pytest.mark.parametrize("rate", [0, 1, 1.0, -0.2, 20, float("nan"), float("inf")])
def test_rates_outside_0_to_1_are_refused(budget, rate):
    with pytest.raises(ValueError, match=rf"^--compression-rate {rate}: .* above 0 and below 1, e.g. 0.2$"):
        REFERENCE.solve(budget, rate)


@pytest.mark.parametrize("budget", BUDGETS.values(), ids=BUDGETS)
@pytest.mark.parametrize("model", [REFERENCE, TINY, SMALL])
def test_the_smallest_rate_is_told(budget, model):
    with pytest.raises(ValueError, match=r"^--compression-rate 1e-06: .* residual width of 0; ") as error:
        model.solve(budget, 1e-6)
    smallest = float(re.search(r"about (\S+)$", str(error.value))[1])
    widths = model.solve(budget, smallest)
    assert {widths.lengths[name] for name in model.names("residual")} == {1}
    with pytest.raises(ValueError, match="residual width of 0"):
        model.solve(budget, 0.98 * smallest)


def test_legacy_wants_equal_sides():
    with pytest.raises(ValueError, match=r"^--srp-budget legacy: .* widths \[256, 512\] and heads \[4, 8\]; .* exact$"):
        LOPSIDED.solve(legacy, 0.2)
    with pytest.raises(ValueError, match=r"widths \[64\] and heads \[2, 4\]"):
        Transformer((64, 64), (8, 8), (2, 4)).solve(legacy, 0.2)
