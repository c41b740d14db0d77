"""Which units are removed: exact counts per head and over all layers, whatever the ties."""

import pytest
import torch

from fairseq_prune.families.transformer.table import kind_of
from fairseq_prune.pruning.budget.widths import Widths
from fairseq_prune.pruning.selecting.widths import select
from fairseq_prune.pruning.surgery.structure import Coupled

INF = float("inf")
VECTORS = [
    Coupled("encoder.embedding_c", "residual", 6),
    Coupled("encoder.layers.0.self_attn_qk_c", "qk", 8, heads=2),
    Coupled("encoder.layers.0.self_attn_vo_c", "vo", 12, heads=3),
    Coupled("encoder.layers.0.fc_c", "neuron", 5),
    Coupled("decoder.layers.0.fc_c", "neuron", 7),
]
RESIDUAL, QK, VO, FC, FC2 = (v.name for v in VECTORS)
WIDTHS = Widths({RESIDUAL: 4, QK: 4, VO: 3, "not.of.this.stage.qk_c": 2}, 5)


def constant(value, vectors=VECTORS, dtype=torch.float32):
    return {v.name: torch.full((v.length,), value, dtype=dtype) for v in vectors}


def everyone(vectors=VECTORS):
    return constant(True, vectors, torch.bool)


def changed(given, name, values):
    return {**given, name: torch.tensor(values)}


def few_values(generator, values):
    """Random draws from a few values, so that ties abound."""
    values = torch.tensor(values)
    return {v.name: values[torch.randint(0, len(values), (v.length,), generator=generator)] for v in VECTORS}


def leave_by_definition(candidates, keep):
    """The names of the units to remove; candidates are (score, size, index, unit) of living units."""
    return {unit for *_, unit in sorted(candidates)[: max(0, len(candidates) - keep)]}


def brute_force(scores, widths, alive, sizes):
    """Units as (vector name, index) in plain Python."""
    groups = {}
    for place, v in enumerate(VECTORS):
        for i in range(v.length):
            head = i // (v.length // v.heads)
            group = (
                ("neuron", widths.ffn_units)
                if v.kind == "neuron"
                else (v.name, head, widths.lengths[v.name] // v.heads)
            )
            if alive[v.name][i]:
                key = (float(scores[v.name][i]), float(sizes[v.name][i]), (place, i), (v.name, i))
                groups.setdefault(group, []).append(key)
    return set().union(*(leave_by_definition(units, group[-1]) for group, units in groups.items()))


def units(chosen):
    return {(name, i) for name, removed in chosen.items() for i in removed.nonzero().flatten().tolist()}


@pytest.mark.parametrize("seed", range(30))
def test_equals_its_definition(seed):
    generator = torch.Generator().manual_seed(seed)
    scores = few_values(generator, [-INF, -1.0, -0.0, 0.0, 0.5, 2.0])
    sizes = few_values(generator, [0.0, 1.0, 3.0])
    alive = {name: values > 0 for name, values in few_values(generator, [0, 1, 1, 1]).items()}
    before = {name: values.clone() for name, values in scores.items()}
    for widths in (WIDTHS, Widths({RESIDUAL: 0, QK: 2, VO: 9}, 0), Widths({RESIDUAL: 6, QK: 8, VO: 12}, 12)):
        chosen = select(scores, widths, VECTORS, alive, sizes)
        assert list(chosen) == [v.name for v in VECTORS]
        assert {name: (removed.shape, removed.dtype) for name, removed in chosen.items()} == {
            name: (values.shape, torch.bool) for name, values in scores.items()
        }
        assert units(chosen) == brute_force(scores, widths, alive, sizes)
    assert all(torch.equal(scores[name], before[name]) for name in before)


def test_control_the_definition_notices():
    scores = constant(0.0)
    ours = units(select(scores, WIDTHS, VECTORS, everyone(), constant(1.0)))
    lively = changed(scores, QK, [0.0, 0.0, 0.0, 0.0, -1.0, -1.0, 0.0, 0.0])
    smaller = changed(constant(1.0), FC, [1.0, 1.0, 1.0, 1.0, 1.0])
    smaller[FC2] = torch.tensor([1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.5])
    assert brute_force(scores, WIDTHS, everyone(), constant(1.0)) == ours
    assert brute_force(lively, Widths({RESIDUAL: 4, QK: 6, VO: 3}, 5), everyone(), constant(1.0)) != ours
    assert brute_force(scores, WIDTHS, everyone(), smaller) != ours


def test_ties_do_not_change_the_counts():
    """spec 3.3: the original's threshold compare leaves tied units in, e.g. dead ReLUs with score 0."""
    chosen = select(constant(0.0), WIDTHS, VECTORS, everyone(), constant(1.0))
    assert {name: removed.tolist() for name, removed in chosen.items()} == {
        RESIDUAL: [True, True, False, False, False, False],
        QK: [True, True, False, False] * 2,
        VO: [True, True, True, False] * 3,
        FC: [True] * 5,
        FC2: [True, True, False, False, False, False, False],
    }
    scores = torch.cat([constant(0.0)[FC], constant(0.0)[FC2]])
    original = scores < scores.sort().values[12 - WIDTHS.ffn_units]  # strictly lower than the next one
    assert int(original.sum()) == 0


def test_ties_are_removed_by_size_then_order():
    sizes = changed(constant(1.0), FC, [1.0, 0.5, 1.0, 2.0, 1.0])
    sizes = changed(sizes, FC2, [1.0, 0.25, 1.0, 1.0, 1.0, 1.0, 3.0])
    scores = changed(constant(0.0), FC, [0.0, 0.0, 0.0, 0.0, -1.0])
    chosen = select(scores, Widths({}, 8), VECTORS[3:], everyone(), sizes)
    assert units(chosen) == {(FC, 4), (FC2, 1), (FC, 1), (FC, 0)}
    swapped = select(scores, Widths({}, 8), VECTORS[:2:-1], everyone(), sizes)
    assert list(swapped) == [FC2, FC] and units(swapped) == {(FC, 4), (FC2, 1), (FC, 1), (FC2, 0)}


def test_heads_are_never_compared():
    scores = changed(constant(0.0), QK, [1.0, 2.0, 3.0, 4.0, 90.0, 80.0, 70.0, 60.0])
    chosen = select(scores, WIDTHS, [VECTORS[1]], everyone(), constant(1.0))
    assert chosen[QK].tolist() == [True, True, False, False, False, False, True, True]
    alone = [Coupled(QK, "qk", 8)]  # control: as a single head all four of the first are removed
    assert select(scores, WIDTHS, alone, everyone(), constant(1.0))[QK].tolist() == [True] * 4 + [False] * 4


def test_layers_are_compared_and_may_empty():
    scores = changed(constant(1.0), FC, [-5.0, -4.0, -3.0, -2.0, -1.0])
    chosen = select(scores, Widths({}, 7), VECTORS[3:], everyone(), constant(1.0))
    assert chosen[FC].all() and not chosen[FC2].any()


def test_removed_units_stay_out_of_it():
    """They have any score, are not selected again, and those that are alive fill the widths."""
    alive = changed(everyone(), QK, [True, False, True, True, False, False, False, True])
    scores = changed(constant(0.0), QK, [5.0, 9.0, 4.0, 6.0, -9.0, 9.0, -9.0, 0.0])
    chosen = select(scores, WIDTHS, [VECTORS[1]], alive, constant(1.0))
    assert chosen[QK].tolist() == [False, False, True, False] + [False] * 4  # one of head 1: already too few
    infinite = changed(scores, QK, [-INF] * 8)
    assert units(select(infinite, WIDTHS, [VECTORS[1]], alive, constant(1.0))) == {(QK, 0)}


def test_vectors_that_are_already_cut():
    cut = {QK: 6, FC: 0, FC2: 3, VO: 0}
    short = [Coupled(v.name, v.kind, cut[v.name], heads=v.heads) for v in VECTORS if v.name in cut]
    scores, sizes, alive = constant(0.0, short), constant(1.0, short), everyone(short)
    now = [v for v in VECTORS if v.name in cut]
    chosen = select(scores, Widths({QK: 4, VO: 0}, 2), now, alive, sizes)
    assert units(chosen) == {(QK, 0), (QK, 3), (FC2, 0)}
    assert {name: len(removed) for name, removed in chosen.items()} == cut


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16], ids=str)
def test_other_dtypes(dtype):
    scores = {name: values.to(dtype) for name, values in few_values(torch.Generator(), [0.0, 0.5, 2.0]).items()}
    chosen = select(scores, WIDTHS, VECTORS, everyone(), constant(1.0))
    assert units(chosen) == brute_force(scores, WIDTHS, everyone(), constant(1.0))


def test_nan_is_refused():
    scores = changed(constant(0.0), FC2, [0.0, float("nan"), 1.0, float("nan"), 0.0, 0.0, 0.0])
    with pytest.raises(ValueError, match=f"2 of 7 scores of {FC2} are NaN; did the loss diverge"):
        select(scores, WIDTHS, VECTORS, everyone(), constant(1.0))
    assert units(select(scores, WIDTHS, VECTORS[:1], everyone(), constant(1.0)))  # not of this stage


def test_kinds():
    assert [kind_of(v.name) for v in VECTORS] == [v.kind for v in VECTORS]
    assert kind_of("decoder.layers.11.encoder_attn_qk_c") == "qk"
    with pytest.raises(ValueError, match="decoder.pos_emb_mask is not a vector of a Transformer; .* embedding_c, qk_c"):
        kind_of("decoder.pos_emb_mask")
