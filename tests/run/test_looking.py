"""What a run tells of itself: figures of its checkpoint and its log, and its scalars in TensorBoard."""

import math

import pytest
from commands import refused
from conftest import words_of
from srp_diary import srp_run

from fairseq_prune.cli.main import main
from fairseq_prune.report.run_log import read_run

PNG = b"\x89PNG\r\n\x1a\n"
GRADUAL = "--prune-method magnitude --prune-target 0.8 --prune-schedule cubic --prune-end 6up --prune-every 2up"


@pytest.mark.parametrize("log_format", ["simple", "json"])
def test_figures_of_a_run(new_run, tmp_path, log_format, capsys):
    log = tmp_path / "run.log"
    run = new_run()
    run.train(*words_of(GRADUAL), "--log-format", log_format, "--log-interval", "2", "--log-file", log)
    records = read_run(str(log))
    assert sorted(records["train"]) == [2, 4, 6, 8] and [*records["valid"]] == [8]
    assert records["valid"][8]["removed"] == pytest.approx(0.8, abs=1e-3)
    assert 2 ** records["valid"][8]["loss"] == pytest.approx(records["valid"][8]["ppl"], rel=0.01)
    assert 0 < records["train"][4]["removed"] < records["train"][6]["removed"] < records["train"][8]["removed"]
    figures = [tmp_path / f"{name}.png" for name in ("run", "sparsity", "structure")]
    words = ["--run", tmp_path, figures[0], "--sparsity", figures[1], "--structure", figures[2]]
    capsys.readouterr()
    main(["plot", *map(str, (run.folder / "checkpoint_last.pt", *words))])
    told = capsys.readouterr().out.splitlines()
    assert told[0] == f"{figures[0]}: loss, perplexity, removed, parameters over 8 updates"
    assert "layers, 0.7999 of" in told[1] and "heads 6 to " in told[2] and "neurons 64 to " in told[2]
    assert all(figure.read_bytes().startswith(PNG) and figure.stat().st_size > 10_000 for figure in figures)


def test_connectivity_over_a_run(parallel, tmp_path, capsys):
    """SRP's falls from 1; its log has it at every update of a round, and the figure a panel."""
    log = tmp_path / "run.log"
    words = words_of("--prune-method srp --prune-target 0.7 --srp-pruning-updates 4 --max-update 6 --log-interval 1")
    srp_run(tmp_path / "srp", parallel, task="prune_translation").train(
        *words, "--log-format", "simple", "--log-file", log
    )
    values = [
        record["connectivity"] for _, record in sorted(read_run(str(log))["train"].items()) if "connectivity" in record
    ]
    assert len(values) > 2 and values == sorted(values, reverse=True) and 0 < values[-1] < values[0] < 1
    capsys.readouterr()
    main(["plot", "--run", str(log), str(tmp_path / "run.png")])
    assert "connectivity" in capsys.readouterr().out


@pytest.mark.parametrize("words, message", [
    ("", "no figure is asked for; give --sparsity"),
    ("--sparsity s.png", "--sparsity s.png: needs a checkpoint"),
    ("a.pt --run nowhere r.png", "CHECKPOINT a.pt: --run does not look at it"),
    ("--run nowhere r.png", "--run nowhere: no log of fairseq-train"),
    ("--run nowhere r.jpg", "--run r.jpg: a PNG is written; give e.g. --run run.png"),
])  # fmt: skip
def test_bad_input(words, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert refused("plot", *words.split()).startswith(message)


def scalars(folder):
    """Values by tag of an event file."""
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    reader = events.EventAccumulator(str(folder))
    reader.Reload()
    return {tag: [(event.step, event.value) for event in reader.Scalars(tag)] for tag in reader.Tags()["scalars"]}


GREG = """--prune-method greg2 --prune-target 0.5 --update-reg-interval 1 --stabilize-reg-interval 1 --reg-upper-limit
    0.002 --reg-upper-limit-pick 0.001 --reg-granularity-pick 0.0005 --reg-granularity-prune 0.0005"""
SCALARS = {  # options of a run of images -> what they log beside what all do
    GREG: {"penalty", "overlap"},
    "--prune-method magnitude --prune-target 0.5": set(),
}


@pytest.mark.parametrize("options", SCALARS)
def test_all_scalars_reach_tensorboard(new_image_run, tmp_path, options):
    words = ("--tensorboard-logdir", tmp_path / "board", "--log-interval", "1", "--log-format", "simple")
    log = tmp_path / "run.log"
    new_image_run().train(*words_of(options), *words, "--log-file", log)
    found = scalars(tmp_path / "board" / "train_inner")
    shared = {"loss", "removed", "params", "macs", "nonzero_macs", "nodes", "train_macs"}
    assert found.keys() >= shared | SCALARS[options] and all(found.values())
    logged = read_run(str(log))["train"]
    for tag in ("removed", *SCALARS[options]):
        values = {step: value for step, value in found[tag]}
        assert values and all(math.isclose(logged[step][tag], value, rel_tol=1e-3) for step, value in values.items())
