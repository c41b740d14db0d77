"""`fairseq-prune bench`: what it counts and measures, and what it says it cannot."""

import itertools
import json
import subprocess
import sys
from collections import OrderedDict

import pytest
import torch
from commands import refused
from conftest import Run, words_of

from checkpoints import edited
from fairseq_prune.cli.main import main
from fairseq_prune.compat import load_checkpoint
from fairseq_prune.drivers.bench import compare
from fairseq_prune.drivers.bench.beside import First, percentile, time_beside
from fairseq_prune.drivers.bench.patterns import patterns_in
from fairseq_prune.drivers.bench.trial import Trial
from fairseq_prune.pruning.masks import store_masks
from fairseq_prune.report.bench import frontier_of, render_bench

BOTH = [("fairseq", 1), ("fairseq", 3), ("ctranslate2", 1), ("ctranslate2", 3), ("onnx", 1)]


@pytest.fixture
def here(monkeypatch):
    """Runtimes run in this process."""
    monkeypatch.setattr(compare, "Child", lambda request: Trial(json.loads(json.dumps(request))))


def bench(capsys, *words):
    capsys.readouterr()
    main(["bench", *map(str, words), "--json"])
    said = capsys.readouterr()
    return json.loads(said.out), said.err


def test_translation(exportable, here, capsys):
    """Rows by checkpoint, runtime, beam and size, in this order; the same translations by all searches."""
    paths = exportable("post-norm"), exportable("masked")
    report, progress = bench(
        capsys, paths[0], f"cut={paths[1]}", "--batch-sizes", "1,4", "--sentences", "8", "--beam", "1,3", "--runtimes",
        "fairseq,ctranslate2,onnx,torchscript",
    )  # fmt: skip
    assert [(row["runtime"], row["beam"]) for row in report["rows"]] == 2 * [
        (runtime, beam) for runtime, beam in BOTH for _ in range(2)
    ]
    assert {row["expected"] for row in report["rows"] if row["beam"] == 3} == {None}
    rows = [row for row in report["rows"] if row["beam"] == 1]
    runtimes = [name for name in ("fairseq", "ctranslate2", "onnx") for _ in range(2)]
    assert [row["runtime"] for row in rows] == 2 * runtimes and report["unit"] == "sentences"
    assert [row["checkpoint"] for row in rows] == [str(path) for path in paths for _ in range(6)]
    assert [row["name"] for row in rows] == [name for name in (str(paths[0]), "cut") for _ in range(6)]
    assert [row["batch_size"] for row in rows] == 6 * [1, 4]
    for path, mine in zip(paths, (rows[:6], rows[6:]), strict=True):
        assert {row["bytes"] for row in mine[:2]} == {path.stat().st_size} and len({row["bytes"] for row in mine}) == 3
        capsys.readouterr()
        main(["inspect", str(path), "--json"])
        assert {row["macs"] for row in mine} == {json.loads(capsys.readouterr().out)["total"]["macs"]}
        assert len({row["bleu"] for row in mine}) == 1 and mine[0]["bleu"] > 3
    assert all(row["per_second"] > 0 and 0 < row["p50_ms"] <= row["p95_ms"] for row in rows)
    assert rows[0]["measured"] == rows[1]["measured"] == rows[0]["expected"] == 1.0
    assert all(row["measured"] > 0 and row["measured"] != 1.0 for row in rows[2:])
    said = {(note["checkpoint"], note["runtime"]): note["reason"] for note in report["notes"]}
    assert "for image classifiers" in said[str(paths[0]), "torchscript"]
    assert "a greedy search" in said["cut", "onnx"] and len(report["notes"]) == 5
    assert "masks: dense kernels multiply zeros" in said["cut", ""] and (str(paths[0]), "") not in said
    assert progress.splitlines()[0] == f"1 of 8: {paths[0]}, fairseq" and len(progress.splitlines()) == 8


def test_threads_of_every_runtime(exportable, here, capsys, monkeypatch):
    """torch is told, and CTranslate2 and onnxruntime take as many."""
    taken = []
    monkeypatch.setattr("fairseq_prune.drivers.bench.trial.torch.set_num_threads", taken.append)
    words = ["--sentences", "2", "--batch-sizes", "2", "--beam", "1", "--runtimes", "fairseq,onnx"]
    report, _ = bench(capsys, exportable("post-norm"), *words, "--threads", "2")
    assert report["threads"] == 2 and taken == [2, 2]
    report, _ = bench(capsys, exportable("post-norm"), *words)
    assert report["threads"] == torch.get_num_threads() == taken[-1]


def test_language_models(monolingual, here, capsys, tmp_path):
    """One perplexity by all, and csr's MACs without the zeros."""
    run = Run(tmp_path / "run", monolingual, "prune_stateful_language_modeling", "--arch rnn_lm_tiny")
    run.train(*words_of(
        "--batch-size 4 --tokens-per-sample 11 --max-update 4 --prune-method magnitude --prune-target 0.9 "
        "--disable-validation"
    ))  # fmt: skip
    path = run.folder / "checkpoint_last.pt"
    report, _ = bench(
        capsys, path, "--batch-sizes", "2", "--sentences", "6", "--split", "valid", "--runtimes", "fairseq,csr,onnx"
    )
    rows = {row["runtime"]: row for row in report["rows"]}
    assert list(rows) == ["fairseq", "csr", "onnx"] and report["unit"] == "tokens"
    state = load_checkpoint(path)["model"]
    products = [value for name, value in state.items() if value.dim() == 2 and "embed" not in name]
    assert rows["csr"]["macs"] == 25 * sum(int(value.count_nonzero()) for value in products)
    assert rows["fairseq"]["macs"] == 25 * sum(value.numel() for value in products)
    assert rows["csr"]["expected"] == rows["fairseq"]["macs"] / rows["csr"]["macs"] > 3
    for row in rows.values():
        assert row["perplexity"] == pytest.approx(rows["fairseq"]["perplexity"], rel=1e-5)
    assert rows["fairseq"]["perplexity"] < 60


def test_a_fresh_process_and_a_picture(exportable, tmp_path):
    words = [
        sys.executable,
        "-c",
        "from fairseq_prune.cli.main import main; main()",
        "bench",
        str(exportable("lm")),
        "--runtimes",
        "fairseq",
    ]
    words += ["--sentences", "4", "--batch-sizes", "2", "--png", str(tmp_path / "b.png")]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    header, row = done.stdout.splitlines()[:2]
    assert header.split()[:5] == ["checkpoint", "runtime", "beam", "batch", "tokens/s"]
    assert row.split()[1:4] == ["fairseq", "-", "2"]
    assert float(row.split()[7]) > 0  # what the model adds to the memory of its process
    assert (tmp_path / "b.png").read_bytes()[:4] == b"\x89PNG"
    assert [path.name for path in tmp_path.iterdir()] == ["b.png"]


class Ticking:
    """A trial of batches of three, whose seconds are given in the order of the calls."""

    def __init__(self, seconds, batches, log):
        self._ticks, self._batches, self._log = iter(seconds), batches, log

    def units(self, size):
        return [3] * self._batches

    def seconds(self, beam, size, index):
        self._log.append((self, beam, index))
        return next(self._ticks)


def test_times_by_a_clock():
    """Two batches to warm up, then seconds of 1, 2, 3 and 4: 12 units in 10 seconds."""
    log = []
    alone = Ticking([9, 9, 1, 2, 3, 4], 4, log)
    times = time_beside(First(alone, 5), alone, 5, 3)
    assert times == {"per_second": 1.2, "p50_ms": 2500, "p95_ms": 4000, "measured": 1.0}
    assert [index for _, _, index in log] == [0, 1, 0, 1, 2, 3]


def test_other_work_on_the_machine_slows_both():
    """Each batch right after the first's; a machine that gets ten times slower changes nothing but the speed."""
    log = []
    first, other = Ticking([6, 60, 6], 3, log), Ticking([9, 9, 2, 20, 2], 3, log)
    times = time_beside(First(first, 5), other, 1, 3)
    assert times["measured"] == 3.0 and times["per_second"] == 9 / 24
    assert log[2:] == [(trial, beam, index) for index in range(3) for trial, beam in ((first, 5), (other, 1))]
    many = Ticking([1] * 2000, 1000, log := [])
    time_beside(First(many, 5), many, 1, 1)  # another beam of the first itself
    assert sum(beam == 5 for _, beam, _ in log) == 334 and len(log) == 2 + 1000 + 334


def test_the_frontier():
    """What none beats in both; a lower perplexity is better."""
    points = [(1, 40.0), (2, 41.0), (3, 39.0), (4, 39.5), (4, 38.0)]
    rows = [{"measured": speed, "bleu": bleu} for speed, bleu in points]
    assert [(row["measured"], row["bleu"]) for row in frontier_of(rows)] == [(2, 41.0), (4, 39.5)]
    rows = [{"measured": speed, "perplexity": value} for speed, value in points]
    assert [row["perplexity"] for row in frontier_of(rows)] == [38.0]


@pytest.mark.parametrize("count, fraction, expected", [(20, 0.95, 19), (21, 0.95, 20), (1, 0.95, 1), (4, 0.5, 2)])
def test_percentiles(count, fraction, expected):
    assert percentile(list(range(count, 0, -1)), fraction) == expected


def test_two_of_four_is_said():
    weight = torch.tensor([[1.0, 0, 2, 0, 0, 3, 0, 4]])
    states = {}
    for name, mask in (("2:4", weight != 0), ("other", torch.arange(8)[None] > 3)):
        states[name] = OrderedDict(w=weight)
        states[name]._metadata = {}
        store_masks(states[name]._metadata, {"w": mask})
    notes = {name: [reason[:5] for reason in patterns_in(state)] for name, state in states.items()}
    assert notes == {"2:4": ["masks", "2:4: "], "other": ["masks"]}


def test_a_runtime_that_fails_is_a_note(exportable, capsys, monkeypatch):
    numbers = itertools.count()

    def child(request):
        if not next(numbers):
            raise ValueError("stopped with status -9: no message")
        return Trial(request)

    monkeypatch.setattr(compare, "Child", child)
    report, _ = bench(
        capsys, exportable("lm"), "--runtimes", "fairseq,onnx,compact", "--sentences", "2", "--batch-sizes", "1"
    )
    assert [row["runtime"] for row in report["rows"]] == ["onnx"]
    assert [note["reason"].split(":")[0] for note in report["notes"]] == [
        "stopped with status -9", "nothing to cut",
    ]  # fmt: skip
    assert "onnx" in render_bench(report) and "stopped with status -9" in render_bench(report)


def test_mistakes_end_in_one_line(exportable, tmp_path, monkeypatch):
    path = exportable("lm")

    def line(*words):
        return refused("bench", path, *words)

    assert "unknown value of --runtimes 'tensorrt'" in line("--runtimes", "tensorrt")
    assert line("--batch-sizes", "0").startswith("--batch-sizes 0: give 1 or more")
    assert line("--batch-sizes", "a").startswith("--batch-sizes a: give whole numbers")
    assert line("--threads", "0").startswith("--threads 0: give 1 or more")
    assert line("--sentences", "0").startswith("--sentences 0:") and line("--beam", "0").startswith("--beam 0:")
    assert line("--beam", "2,1").startswith("--beam 2,1: has no effect here")
    assert line("--beam", "a").startswith("--beam a: give whole numbers")
    assert line(f"{path}").startswith(f"CHECKPOINT {path}: named twice")
    assert line("--device", "tpu").startswith("--device tpu: give cpu or cuda")
    assert line("--split", "dev").startswith("--split dev: the data have none such")
    assert "--png a.pdf: a PNG is written" in line("--png", "a.pdf")
    assert "models of several kinds: language model, translation" in line(exportable("masked"))
    (tmp_path / "foreign.pt").write_bytes(b"no checkpoint")
    assert line(tmp_path / "foreign.pt").startswith(f"checkpoint {tmp_path}/foreign.pt: not a readable")


def test_compact_is_what_is_left(exportable, here, capsys, tmp_path):
    """Fewer MACs and bytes, and as good."""
    cut = edited(
        exportable("masked"), tmp_path / "zeros.pt", lambda s: s["encoder.layers.0.fc2.weight"][:, 20:].zero_()
    )
    report, _ = bench(
        capsys, cut, "--runtimes", "fairseq,compact", "--sentences", "6", "--batch-sizes", "3", "--beam", "2"
    )
    whole, small = report["rows"]
    assert small["macs"] < whole["macs"] and small["bytes"] < whole["bytes"] and small["bleu"] == whole["bleu"]
    assert small["expected"] == whole["macs"] / small["macs"]
