"""fairseq-prune sipo goes on where it was killed, and nowhere else."""

import json
import shutil

import pytest
from conftest import Run, same_tensors, words_of

from fairseq_prune.cli.main import main
from fairseq_prune.compat import load_checkpoint

COLUMNS = words_of("--batch-size 4 --batch-size-valid 2 --tokens-per-sample 7")
TRAIN = words_of("""--train --task prune_stateful_language_modeling --arch rnn_lm_tiny --criterion cross_entropy
    --optimizer sgd --lr 2 --clip-norm 0.25 --cpu --num-workers 0 --log-format simple --log-interval 1000""")
QUICK = words_of("--population 2 --generations 3 --max-drop 0.05 --seed 3")
ROUND = [*QUICK, *words_of("--rounds 1 --epochs 2 --slack 0.5"), *TRAIN, *COLUMNS]


@pytest.fixture(scope="module")
def dense(counting, tmp_path_factory):
    """Path of a language model that has begun to count."""
    folder = tmp_path_factory.mktemp("dense")
    Run(folder, counting, "prune_stateful_language_modeling", "--arch rnn_lm_tiny").train(
        *COLUMNS, "--lr", "0.02", "--max-update", 100
    )
    return folder / "checkpoint_last.pt"


def sipo(data, checkpoint, folder, *words):
    main(["sipo", str(data), "--checkpoint", str(checkpoint), "--save-dir", str(folder), *map(str, words)])
    return json.loads((folder / "summary.json").read_text())


@pytest.fixture(scope="module")
def once(counting, dense, tmp_path_factory):
    """Folder and summary of a search without retraining."""
    folder = tmp_path_factory.mktemp("once")
    return folder, sipo(counting, dense, folder, *QUICK)


@pytest.mark.parametrize(
    "missing",
    [
        "base.json settings.json search-0.jsonl search-0.json rates-0.yaml pruned-0.pt pruned-0.json",
        "search-0.json rates-0.yaml pruned-0.pt pruned-0.json",
        "search-0.json rates-0.yaml pruned-0.json",
        "search-0.json pruned-0.json",
        "pruned-0.json",
        "",
    ],
    ids=[
        "in the first evaluation",
        "after the search",
        "after the weights",
        "after the rates",
        "after the round",
        "at the end",
    ],
)
def test_killed(once, counting, dense, tmp_path, missing):
    folder, whole = once
    half = tmp_path / "half"
    shutil.copytree(folder, half)
    for name in (*missing.split(), "best.pt", "summary.json", "record.txt"):
        (half / name).unlink()
    (half / "pruned-0.pt.tmp").write_bytes(b"half a file")
    assert sipo(counting, dense, half, *QUICK) == whole
    assert same_tensors(load_checkpoint(half / "best.pt")["model"], load_checkpoint(folder / "best.pt")["model"])
    assert (half / "record.txt").read_text() == (folder / "record.txt").read_text()


def test_killed_in_retraining(counting, dense, tmp_path, request):
    """Trained in a process of its own, as always, and resumed in this one, whose bits are the same."""
    whole, half = tmp_path / "whole", tmp_path / "half"
    summary = sipo(counting, dense, whole, *ROUND)
    request.getfixturevalue("trains_here")
    shutil.copytree(whole, half)
    for name in ("retrained-0.json", "retrained-0.pt", "best.pt", "summary.json", "retrain-0/checkpoint2.pt"):
        (half / name).unlink()
    shutil.copy(half / "retrain-0/checkpoint1.pt", half / "retrain-0/checkpoint_last.pt")
    assert sipo(counting, dense, half, *ROUND) == summary
    assert same_tensors(load_checkpoint(half / "best.pt")["model"], load_checkpoint(whole / "best.pt")["model"])


@pytest.mark.parametrize("content", [b"", b"half", None])
def test_a_damaged_result_replaces_no_good_one(once, counting, dense, tmp_path, content):
    folder = tmp_path / "again"
    shutil.copytree(once[0], folder)
    if content is None:
        (folder / "pruned-0.pt").unlink()
    else:
        (folder / "pruned-0.pt").write_bytes(content)
    with pytest.raises(SystemExit, match="checkpoint .*/pruned-0.pt: no"):
        sipo(counting, dense, folder, *QUICK)
    assert (folder / "best.pt").read_bytes() == (once[0] / "best.pt").read_bytes()


@pytest.mark.parametrize("name", ["base.json", "inputs.json", "settings.json", "search-0.json", "pruned-0.json"])
@pytest.mark.parametrize("content", [b"", b"[]", b'{"rates": [0.5], "crc32": 1}'])
def test_damaged_records_are_named(once, counting, dense, tmp_path, name, content):
    folder = tmp_path / "again"
    shutil.copytree(once[0], folder)
    (folder / name).write_bytes(content)
    with pytest.raises(SystemExit, match=f"/{name}: damaged, .*; remove it to have it made again, or give a new fol"):
        sipo(counting, dense, folder, *QUICK)


class TestAnotherRun:
    """A finished folder does not pass for the results of other options or files."""

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            ("--seed 4", r"another seed \(3, now 4\)"),
            ("--max-drop 0.03", "another drop"),
            ("--group stage3", "another group"),
            ("--generations 4", "another generations"),
            ("--reference", r"another reference \(False, now True\)"),
        ],
    )
    def test_options(self, once, counting, dense, words, message):
        before = sorted(path.name for path in once[0].iterdir())
        with pytest.raises(SystemExit, match=rf"--save-dir: .*{message}.*give a new folder, e.g. --save-dir"):
            sipo(counting, dense, once[0], *QUICK, *words.split())
        assert sorted(path.name for path in once[0].iterdir()) == before

    def test_checkpoint(self, once, counting, tmp_path):
        other = shutil.copy(once[0] / "best.pt", tmp_path)
        with pytest.raises(SystemExit, match="inputs.json is of a run with another checkpoint"):
            sipo(counting, other, once[0], *QUICK)

    def test_data(self, once, counting, dense, tmp_path):
        shutil.copytree(counting, tmp_path / "data")
        with pytest.raises(SystemExit, match="another data"):
            sipo(tmp_path / "data", dense, once[0], *QUICK)

    def test_workers_may_change(self, once, counting, dense):
        assert sipo(counting, dense, once[0], *QUICK, "--workers", 2) == once[1]

    def test_a_refused_accuracy_may_be_corrected(self, counting, dense, tmp_path):
        with pytest.raises(SystemExit, match="--accuracy 0.99: the model itself has"):
            sipo(counting, dense, tmp_path, *QUICK, "--accuracy", 0.99)
        assert sipo(counting, dense, tmp_path, *QUICK)["best"] == 0
