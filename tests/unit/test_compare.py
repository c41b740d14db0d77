"""Two reports side by side, with and without what only a built model says."""

from fairseq_prune.report.compare import compare, render_comparison


def report(params, nonzero, macs, **more):
    return {"total": {"params": params, "nonzero": nonzero, "macs": macs, "bytes": 4 * params, **more}}


def test_ratios():
    found = compare(report(100, 100, 900), report(50, 40, 300))["ratios"]
    assert found == {"speedup": 3.0, "compression": 2.0, "fraction_removed": 0.6}
    same = compare(report(100, 100, 900), report(100, 100, 900))["ratios"]
    assert same == {"speedup": 1.0, "compression": 1.0, "fraction_removed": 0.0}  # control


def test_what_is_not_known_is_left_out():
    found = compare(report(100, 90, None), report(50, 40, None))
    assert found["ratios"] == {"compression": 2.0, "fraction_removed": 0.6}
    text = render_comparison(found)
    assert "MACs" not in text and "compression         2.0000x\n" in text
    assert text.splitlines()[0].split() == ["total", "original", "pruned", "ratio"]


def test_what_the_built_model_adds():
    extra = {"params_without_norms": 80, "conv_params": 60, "conv_nonzero": 60, "nonzero_macs": 900}
    less = {"params_without_norms": 40, "conv_params": 30, "conv_nonzero": 15, "nonzero_macs": 100}
    found = compare(report(100, 100, 900, **extra), report(50, 40, 300, **less))["ratios"]
    assert found["nonzero_speedup"] == 9.0 and found["compression_without_norms"] == 2.0
    assert found["conv_fraction_removed"] == 0.75 and "overall_fraction_removed" not in found
