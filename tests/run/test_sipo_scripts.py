"""The scripts of SiPO's experiments, from text to a pruned model, on a few invented sentences."""

import json
import os
import re
from pathlib import Path

import programs
import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts" / "sipo"


def script(name, *words, **variables):
    """Run a script as in an activated environment."""
    env = {**os.environ, "OMP_NUM_THREADS": "1", **{key: str(value) for key, value in variables.items()}}
    return programs.run(["bash", SCRIPTS / name, *words], env)


def result(done, folder):
    """The summary of a run that went well."""
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads((folder / "summary.json").read_text())


def test_a_language_model_in_rounds(text, tmp_path):
    """Words: 36 of 40, <unk> and the end of a line; then a round with its dense control, and the inspections."""
    data, runs = tmp_path / "data", tmp_path / "runs"
    assert script("prepare_lm.sh", text, data, "en", 38).returncode == 0
    kept, other = script("prepare_lm.sh", text, data, "en", 38), script("prepare_lm.sh", text, data, "en", 37)
    assert kept.returncode == 0 and kept.stdout == f"{data}: already there, kept\n"
    assert other.returncode == 2 and other.stderr.startswith(f"OUT {data} exists already and was made of ")
    frequent = (data / "dict.txt").read_text().splitlines()
    replaced = re.search(r"train\.en: .* ([\d.]+)% replaced", (data / "preprocess.log").read_text())
    assert len(frequent) == 36 and 0 < float(replaced[1]) < 20
    env = {"DATA": data, "RUNS": runs, "ARCH": "rnn_lm_tiny", "EPOCHS": 1, "SEARCH": "--slack 1"}
    done = script("lm.sh", "layer", "rounds", ROUNDS=1, EPOCHS_RETRAIN=1, **env)
    summary = result(done, runs / "layer-rounds-1")
    assert summary["best"] == 0 and summary["dense"]["epochs"] == 1
    assert {*summary["rounds"][0]["search"]["by_group"]} == {"embedding", "rnn0", "rnn1", "decoder"}
    pruned = runs / "layer-rounds-1" / "best.pt"
    shown = script("inspect.sh", "lm", runs / "dense-1" / "checkpoint_best.pt", pruned, DATA=data)
    assert shown.stdout.startswith("======== Language Model ========\n") and "original" in shown.stdout, shown.stderr
    chance = script("random_lm.sh", "layer-rounds", 1, **env)
    assert f"{summary['rounds'][0]['search']['pruned']}" in chance.stdout.replace(",", ""), chance.stderr[-2000:]


def test_a_translation_model_in_rounds(text, tmp_path):
    """Only pairs of at most 6 words a side learn and validate; the fourth epoch of retraining has half the rate."""
    data, runs = tmp_path / "data", tmp_path / "runs"
    done = script("prepare_nmt.sh", text, data, "de", "en", 40, 6)
    train, valid = (_short(text / f"{split}.de") for split in ("train", "valid"))
    assert done.stdout.startswith(f"{train} of 120 pairs kept\n{valid} of 16 pairs kept\n"), done.stderr
    env = {"DATA": data, "RUNS": runs, "EPOCHS": 1, "GROUP": "all", "SEARCH": "--slack 1 --epochs 4"}
    done = script("nmt.sh", "rnnsearch_tiny", "rounds", ROUNDS=1, **env)
    summary = result(done, runs / "rnnsearch_tiny-all-rounds-1")
    assert summary["best"] == 0 and "bleu" in summary["rounds"][0]["retrained"]["test"]
    rates = re.findall(r"\| train \| epoch .* \| lr ([\d.]+) ", done.stdout + done.stderr)
    assert rates == ["1", *["0.1", "0.1", "0.1", "0.05"] * 2]  # dense, retrained, control


def _short(path):
    return sum(len(line.split()) <= 6 for line in path.read_text().splitlines())


@pytest.mark.parametrize(
    ("name", "words", "named"),
    [
        ("prepare_lm.sh", ["nowhere", "out"], "TEXT nowhere: no file train.txt"),
        ("prepare_nmt.sh", ["nowhere", "out", "de", "en"], "TEXT nowhere: no file train.de"),
        ("lm.sh", ["all", "once"], "DATA nowhere: no such folder"),
        ("lm.sh", ["all", "twice"], "twice: usage: "),
        ("nmt.sh", ["rnnsearch", "once"], "DATA nowhere: no such folder"),
        ("inspect.sh", ["lm", "a.pt", "b.pt"], "DATA nowhere: no such folder"),
        ("inspect.sh", ["bert", "a.pt", "b.pt"], "bert: usage: "),
    ],
)
def test_missing_data_are_named(name, words, named, monolingual):
    done = script(name, *words, DATA=monolingual if "usage" in named else "nowhere")
    assert done.returncode == 2 and done.stderr.startswith(named), done.stderr
