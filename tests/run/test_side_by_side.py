"""RUNs of one script of Multi30k side by side: each leaves its own files, nothing twice, and then the table prints."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"
PAIRS = {
    "multi30k.sh text": "magnitude-0.8-1 student+self-6+1-1",
    "multi30k_distil.sh text": "sparsegpt+self-0.9-2 longer+self-0-1",
    "multi30k_structure.sh text": "head-taylor+self-0.5-1 layer-shortgpt-0.34-1",
    "multi30k_one_shot.sh text": "wanda-0.5-1 sparsegpt-2:4-1",
    "multi30k_srp.sh text": "two_stage-0.2-sa-1 narrow-0.2-sa-1",
    "multi30k_sparse_training.sh text": "set-0.9-1 rigl-0.9erk-1",
    "multi30k_hidden.sh lm text": "greg1-1 narrow-1",
    "multi30k_hidden.sh nmt text": "random-1 longer-1",
    "multi30k_frontier.sh text": "decoder+self-1-1 neuron+self-0.5-1",
}
# A program that takes its time, and notes whether another one was at work on the same file.
PROGRAM = """#!/bin/bash
name=${0##*/} words="$*" file=
case $name:${1:-}:${2:-} in
    python3:-c:*torch*) echo --cpu; exit ;;
    python3:*compare*:* | python3:*fast_page*) echo table "${@:2}"; exit ;;
    python3:*) echo 0.75; exit ;;
    fairseq-prune:bench:*) echo "{}"; exit ;;
    fairseq-prune:prune:*) file=$3 ;;
esac
while [ $# -gt 0 ]; do
    case $1 in --save-dir) file=$2/checkpoint_last.pt ;; --path) file=$2.test ;; esac
    shift
done
mkdir -p "${file%/*}"
mkdir "$file.busy" 2>/dev/null || echo "$file" >>clashes
sleep 0.1
rmdir "$file.busy"
echo "$file" >>made
[ $name = fairseq-generate ] || touch "$file" "${file/_last/_best}"
echo "Generate test with beam=5: BLEU4 = 1"
"""


@pytest.fixture
def call(tmp_path, monkeypatch):
    """Starts one of the scripts in a folder of its own, with stand-ins for the programs."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(SCRIPTS, "scripts")
    for folder in ("bin", "data-bin/multi30k", "data-bin/multi30k-lm", "data-bin/multi30k-words"):
        os.makedirs(folder)
        Path(folder, "dict.txt").touch()
    for name in ("fairseq-train", "fairseq-generate", "fairseq-prune", "python3"):
        Path("bin", name).write_text(PROGRAM)
        Path("bin", name).chmod(0o755)
    path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"

    def start(script, *runs, **more):
        words = ["bash", *f"scripts/{script}".split(), *runs]
        pipe = subprocess.PIPE
        return subprocess.Popen(words, env=os.environ | {"PATH": path} | more, stdout=pipe, stderr=pipe, text=True)

    return start


@pytest.mark.parametrize("script", PAIRS)
def test_two_runs_and_then_the_table(script, call):
    runs = PAIRS[script].split()
    both = [call(script, run, ONLY_TRAIN="1") for run in runs]
    for run, one in zip(runs, both, strict=True):
        out, err = one.communicate()
        assert one.returncode == 0, err
        *_, row = out.splitlines()
        assert row.startswith(f"{run}=") and all(Path(file).exists() for file in row.split("=", 1)[1].split(":"))
    made = Path("made").read_text().splitlines()
    assert not Path("clashes").exists() and len(made) == len(set(made))
    table = call(script, *runs)
    out, err = table.communicate()
    assert table.returncode == 0 and out.startswith("table "), err
    assert "frontier" in script or all(f" {run}=" in out for run in runs)
    assert Path("made").read_text().splitlines() == made


def test_speed_is_taken_anew(call):
    assert call("multi30k.sh text", "longer-0-1").wait() == 0
    made = Path("made").read_text().splitlines()
    assert call("multi30k.sh text", "longer-0-1", SPEED="1").wait() == 0
    again = Path("made").read_text().splitlines()[len(made) :]
    assert again == [file for file in made if file.endswith(".test")] and len(again) == 2


@pytest.mark.parametrize("script", [script for script in PAIRS if "hidden" not in script and "frontier" not in script])
def test_a_list_alone(script, call):
    listing = call(script, ONLY_LIST="1")
    out, _ = listing.communicate()
    assert listing.returncode == 0 and len(out.split()) > 5 and not Path("made").exists()
