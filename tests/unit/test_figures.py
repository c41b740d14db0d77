"""Logs read back, sparsity of layers, units before and after: by hand."""

import os

import pytest

from fairseq_prune.report.figures import draw_sparsity, draw_structure, sparsities, structure_before
from fairseq_prune.report.run_log import draw_run, read_run

SIMPLE = """\
2026-11-26 10:00:00 | INFO | fairseq_cli.train | Start iterating over samples
2026-11-26 10:00:00 | INFO | train_inner | epoch 001:     10 / 20 loss=5.5, ppl=45.2, connectivity=0.75, num_updates=10
epoch 001 | valid on 'valid' subset | loss 5.25 | ppl 38.1 | removed 0.5 | num_updates 20 | best_loss 5.25
epoch 001 | loss 5.75 | ppl 53.8 | num_updates 20 | lr 0.01
epoch 002 | valid on 'valid' subset | loss 5.0 | removed 0.8 | num_upd"""
JSON = """\
2026-11-26 10:00:00 | INFO | train_inner | {"epoch": 1, "loss": "5.5", "connectivity": "0.75", "num_updates": "10"}
{"epoch": 1, "valid_loss": "5.25", "valid_removed": "0.5", "valid_num_updates": "20"}
{"epoch": 1, "train_loss": "5.75", "train_num_updates": "20", "train_lr": "0.01"}
{"epoch": 2, "valid_lo"""


@pytest.mark.parametrize("text", [SIMPLE, JSON])
def test_logs(text, tmp_path):
    (tmp_path / "run.log").write_text(text)
    run = read_run(str(tmp_path / "run.log"))
    assert {split: list(records) for split, records in run.items()} == {"train": [10, 20], "valid": [20]}
    assert run["train"][10]["loss"] == 5.5 and run["train"][10]["connectivity"] == 0.75
    assert run["train"][20]["loss"] == 5.75
    assert (run["valid"][20]["loss"], run["valid"][20]["removed"]) == (5.25, 0.5)


def test_what_a_resumed_run_repeats_counts_once(tmp_path):
    for seconds, loss in enumerate((5.0, 4.0)):
        file = tmp_path / f"{9 - seconds}.log"
        file.write_text(f"epoch 001 | valid on 'valid' subset | loss {loss} | num_updates 20\n")
        os.utime(file, (seconds, seconds))
    run = read_run(str(tmp_path))
    assert run == {"valid": {20: {"loss": 4.0}}}


def test_a_figure_of_a_run(tmp_path):
    (tmp_path / "run.txt").write_text(SIMPLE)
    told = draw_run(read_run(str(tmp_path)), str(tmp_path / "run.png"))
    assert told.endswith("run.png: loss, perplexity, removed, connectivity over 20 updates")
    assert (tmp_path / "run.png").stat().st_size > 10_000


def test_no_log(tmp_path):
    (tmp_path / "other.log").write_text("epoch 001 | nothing\n")
    for place in (tmp_path, tmp_path / "missing"):
        with pytest.raises(
            ValueError, match=f"^--run {place}: no log of fairseq-train; give one, as --log-format simple"
        ):
            read_run(str(place))


def row(name, before, now, alive, units="heads"):
    return {"name": name, "units": units, "before": before, "now": now, "alive": alive}


def test_units_before():
    report = {"structure": [row("a", 8, 4, 3), row("b", None, 4, 4), row("c", None, 6, 5, "filters")]}
    assert [r["before"] for r in structure_before(report, None)] == [8, 4, 6]
    original = {"structure": [row("a", 8, 8, 8), row("b", None, 16, 16), row("c", None, 9, 9, "heads")]}
    assert [r["before"] for r in structure_before(report, original)] == [8, 16, 6]


def test_a_figure_of_units(tmp_path):
    report = {"structure": [row("a", 8, 4, 3), row("b", None, 4, 4), row("c", None, 6, 5, "filters")]}
    told = draw_structure(report, str(tmp_path / "s.png"))
    assert told.endswith("s.png: heads 12 to 7, filters 6 to 5")
    assert (tmp_path / "s.png").stat().st_size > 10_000
    with pytest.raises(ValueError, match="^--structure: no heads"):
        draw_structure({"structure": []}, str(tmp_path / "s.png"))


def test_sparsity_after_a_cut(tmp_path):
    tensors = [{"name": "a", "fraction_removed": 0.25}]
    report = {"total": {"prunable": ["a"], "prunable_fraction_removed": 0.25}, "tensors": tensors}

    def told(now, **total):
        parts = {"structure": [row("a", 8, now, now)], "total": report["total"] | total}
        return draw_sparsity({**report, **parts}, str(tmp_path / "s.png")).partition("layers, ")[2]

    assert told(8, params_removed=0.2) == "0.2500 of the prunable set removed"
    assert told(6) == "0.2500 of what is left of the prunable set removed"
    assert told(6, params_removed=0.4).endswith("of the prunable set removed, 0.4000 of all since the start")


def test_sparsities():
    layer = {"name": "a", "fraction_removed": 0.5}
    report = {"total": {"prunable": ["a"]}, "tensors": [layer, {"name": "bias", "fraction_removed": 0.1}]}
    assert sparsities(report) == {"a": 0.5}
    assert sparsities({**report, "layers": [{"name": "b", "fraction_removed": 0.25}]}) == {"b": 0.25}
