"""scripts/sipo/compare.py: one row for the seeds of a kind, dense models and controls in rows of their own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "sipo" / "compare.py"


def measured(accuracy, perplexity, **test):
    score = {"accuracy": accuracy, "perplexity": perplexity}
    return {"valid": score, "test": score | test}


def write(folder, removed, accuracy, candidates, retrained=None, dense=None):
    entry = {"round": 0, "search": {"removed": removed}, "pruned": measured(accuracy, 30.0)}
    rounds = [entry | retrained] if retrained else [entry]
    folder.mkdir()
    summary = {"original": measured(0.4, 20.0), "rounds": rounds, "best": 0, "stop": "max_iter", "dense": dense}
    (folder / "summary.json").write_text(json.dumps(summary))
    lines = [json.dumps({"round": 0}), *(json.dumps({"generation": i}) for i in range(candidates))]
    (folder / "search-0.jsonl").write_text("\n".join(lines))


def table(*folders):
    run = subprocess.run([sys.executable, SCRIPT, *folders], capture_output=True, text=True)
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in run.stdout.splitlines()[2:]]
    return {row[0]: row[1:] for row in rows}, run.stderr


def test_seeds_share_a_row(tmp_path):
    write(tmp_path / "stage-once-1", 0.80, 0.38, 5)
    write(tmp_path / "stage-once-2", 0.90, 0.39, 5)
    write(tmp_path / "stage-once-3", 0.90, 0.39, 5)
    write(
        tmp_path / "all-rounds", 0.70, 0.35, 3,
        {"retrained": measured(0.41, 19.0, bleu=12.5)}, {"epochs": 6, **measured(0.42, 18.0)},
    )  # fmt: skip
    rows, _ = table(*sorted(tmp_path.iterdir()))
    assert rows == {
        "dense": ["1", "0", "0", "0.00", "40.00", "20.00", "40.00", "20.00", "-"],
        "stage-once": ["3", "0", "5", "86.67 ± 5.77", "38.67 ± 0.58", "30.00", "38.67 ± 0.58", "30.00", "-"],
        "all-rounds": ["1", "1", "3", "70.00", "41.00", "19.00", "41.00", "19.00", "12.50"],
        "dense, 6 epochs more": ["1", "0", "0", "0.00", "42.00", "18.00", "42.00", "18.00", "-"],
    }


@pytest.mark.parametrize(("best", "message"), [(None, "no round was kept"), ("nothing", "no summary.json")])
def test_what_has_no_row(tmp_path, best, message):
    write(tmp_path / "a-1", 0.8, 0.38, 1)
    summary = tmp_path / "a-1" / "summary.json"
    if best is None:
        summary.write_text(summary.read_text().replace('"best": 0', '"best": null'))
    else:
        summary.unlink()
    rows, error = table(tmp_path / "a-1")
    assert not rows and message in error and "Traceback" not in error
