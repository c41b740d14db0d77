"""From rates to masks: SiPO's rule and the exact one."""

import pytest
import torch

from fairseq_prune.pruning.search.table import MagnitudeTable, reference_count, sound_count


def ascending(*values):
    return torch.tensor(values).abs().sort().values


def distinct(n):
    return torch.arange(1, n + 1, dtype=torch.float32)


def table_of(**tensors):
    """One group for each tensor."""
    return MagnitudeTable(tensors, {name: [name] for name in tensors})


class TestReferenceRule:
    def test_the_threshold_is_removed_too(self):
        assert reference_count(0.4, ascending(0.5, -0.1, 0.3, 0.2, -0.4)) == 3  # kept: .5 and -.4

    @pytest.mark.parametrize(
        ("n", "rate", "removed"), [(10, 0.5, 6), (2_000_000, 0.01, 20_001), (321_600, 0.6, 192_961), (11, 0.9, 11)]
    )
    def test_golden_counts(self, n, rate, removed):
        assert reference_count(rate, distinct(n)) == removed

    def test_rate_zero_removes_one_and_rate_one_all(self):
        assert (reference_count(0.0, distinct(7)), reference_count(1.0, distinct(7))) == (1, 7)

    def test_ties_at_the_threshold_are_all_removed(self):
        assert reference_count(0.2, ascending(1, 1, 1, 2, 3)) == 3

    def test_below_the_zero_fraction_only_zeros_are_removed(self):
        assert reference_count(0.1, ascending(0, 0, 0, 2, 3)) == 3

    def test_a_threshold_of_other_weights(self):
        assert reference_count(0.5, distinct(10) / 10, thresholds_from=distinct(10)) == 10


class TestSoundRule:
    @pytest.mark.parametrize(("n", "rate", "removed"), [(10, 0.5, 5), (11, 0.9, 9), (100, 0.29, 29), (7, 0.0, 0)])
    def test_counts(self, n, rate, removed):
        assert sound_count(rate, distinct(n)) == removed


WEIGHTS = {"a": torch.tensor([[0.5, -0.1], [0.3, 0.2]]), "b": torch.tensor([-0.4, 0.05])}


def test_a_group_is_ranked_over_its_tensors():
    table = MagnitudeTable(WEIGHTS, {"all": ["a", "b"]})
    masks = table.masks({"all": 3})
    assert masks["a"].tolist() == [[True, False], [True, False]] and masks["b"].tolist() == [True, False]


def test_groups_are_ranked_apart():
    masks = table_of(**WEIGHTS).masks({"a": 1, "b": 1})
    assert masks["a"].tolist() == [[True, False], [True, True]] and masks["b"].tolist() == [True, False]


def test_written_weights_are_zero_or_bit_identical():
    table = MagnitudeTable(WEIGHTS, {"all": ["a", "b"]})
    out = {name: torch.full_like(w, 9.0) for name, w in WEIGHTS.items()}
    table.write({"all": 3}, out)
    assert torch.equal(out["a"], torch.tensor([[0.5, 0.0], [0.3, 0.0]])) and torch.equal(
        out["b"], torch.tensor([-0.4, 0])
    )
    table.write({"all": 0}, out)  # a candidate leaves no trace
    assert all(torch.equal(out[name], WEIGHTS[name]) for name in WEIGHTS)


def test_ties_are_removed_by_index():
    assert table_of(w=torch.ones(5)).masks({"w": 2})["w"].tolist() == [False, False, True, True, True]


def test_a_common_threshold_as_rates():
    table = table_of(a=torch.tensor([0.1, 0.2, 0.3, 0.9]), b=torch.tensor([0.25, 2.0]))
    assert table.quantile(0.5) == pytest.approx(0.3) and table.quantile(1.0) == 2.0
    assert table.rates_below(0.3) == [0.75, 0.5]


def test_larger_counts_remove_a_superset():
    table = table_of(w=torch.randn(50, generator=torch.Generator().manual_seed(1)))
    masks = [table.masks({"w": count})["w"] for count in range(1, 50)]
    assert all(bool((more <= less).all()) for less, more in zip(masks, masks[1:], strict=False))


def weights_of(**shapes):
    generator = torch.Generator().manual_seed(1)
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}


def test_one_group_is_global_magnitude_pruning():
    weights = weights_of(a=(5, 7), b=(11,), c=(3, 4))
    masks = MagnitudeTable(weights, {"all": list(weights)}).masks({"all": 29})
    boundary = torch.cat([w.abs().flatten() for w in weights.values()]).sort().values[29]
    assert all(torch.equal(masks[name], w.abs() >= boundary) for name, w in weights.items())


def test_a_group_for_each_tensor_is_layerwise_magnitude_pruning_at_one_fraction():
    weights = weights_of(a=(5, 7), b=(11,), c=(30, 4))
    table = table_of(**weights)
    counts = {name: sound_count(0.4, group.magnitudes) for name, group in table.groups.items()}
    for name, keep in table.masks(counts).items():
        removed = int(0.4 * weights[name].numel())
        assert int((~keep).sum()) == removed
        assert torch.equal(keep, weights[name].abs() >= weights[name].abs().flatten().sort().values[removed])


def test_masking_twice_is_masking_once():
    once = weights_of(a=(5, 7), b=(11,))
    groups, counts = {"all": ["a", "b"]}, {"all": 20}
    out = {name: torch.empty_like(w) for name, w in once.items()}
    MagnitudeTable(once, groups).write(counts, out)
    again = {name: torch.empty_like(w) for name, w in once.items()}
    table = MagnitudeTable(out, groups)
    table.write(counts, again)
    assert all(torch.equal(out[name], again[name]) for name in out)
    table.write({"all": 7}, again)  # a rate below what is zero already changes nothing
    assert all(torch.equal(out[name], again[name]) for name in out)


def test_the_removed_weights_of_the_groups_make_the_whole():
    table = table_of(**weights_of(a=(5, 7), b=(11,)))
    counts = {"a": 13, "b": 4}
    assert table.fraction_removed(counts) * table.size == pytest.approx(17)
    assert sum(int((~keep).sum()) for keep in table.masks(counts).values()) == 17


@pytest.mark.parametrize(
    ("pruned", "total", "percent"),
    [(4_499_874, 4_653_200, 96.7049), (116_952_767, 137_804_724, 84.8685), (191_360_406, 221_124_004, 86.5399)],
)
def test_published_counts_are_the_published_percentages(pruned, total, percent):
    """Of a hundredth of each model, in two groups, and the ranks of what is removed."""
    parts = {"a": total // 300, "b": total // 100 - total // 300}
    table = table_of(**{name: torch.arange(1.0, 1 + size) for name, size in parts.items()})
    counts = {"a": parts["a"] - 7, "b": pruned // 100 - parts["a"] + 7}
    assert 100 * table.fraction_removed(counts) == pytest.approx(percent, abs=100 / (total // 100))
    kept = table.masks(counts)
    assert sum(int((~keep).sum()) for keep in kept.values()) == pruned // 100
    assert kept["a"].nonzero().flatten().tolist() == list(range(parts["a"] - 7, parts["a"]))  # the largest


def test_scale_and_sign_do_not_matter():
    w = torch.randn(30, generator=torch.Generator().manual_seed(1))
    masks = [table_of(w=v).masks({"w": 11})["w"] for v in (w, 3 * w, -w)]
    assert torch.equal(masks[0], masks[1]) and torch.equal(masks[0], masks[2])


def test_zeros_count_as_removed_and_never_return():
    table = table_of(w=torch.tensor([0.0, 0.0, 3.0, 1.0]))
    assert table.removed({"w": 1}) == {"w": 2} and table.fraction_removed({"w": 1}) == 0.5
    assert table.masks({"w": 1})["w"].tolist() == [False, False, True, True]


@pytest.mark.parametrize(
    ("rates", "sparsity"),
    [
        ((0.9043, 0.2435, 0.5193, 0.3580), 0.7335),
        ((0.7380, 0.6010, 0.7910, 0.2910), 0.7173),
        ((0.7567, 0.3975, 0.7780, 0.1745), 0.6933),
    ],
)
def test_luongnets_restart_vectors(rates, sparsity):
    sizes = (150_060_004, 36_032_000, 32_032_000, 3_000_000)
    counts = [sound_count(rate, range(size)) for rate, size in zip(rates, sizes, strict=True)]
    assert sum(counts) / sum(sizes) == pytest.approx(sparsity, abs=1e-4)  # they are printed to four digits
