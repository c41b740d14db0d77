"""Scripts that are given nothing, a folder that is not there or an empty one: one line, and nothing is begun."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
ALL = {str(path.relative_to(SCRIPTS)) for path in SCRIPTS.rglob("*.sh") if os.access(path, os.X_OK)}
NEED_NOTHING = {"demo.sh", "vision/demo.sh", "vision/digits_before.sh", "prepare_iwslt14.sh"}
GPU = {name for name in ALL if name.startswith("gpu/")}
WORDS = {  # what the others take; all of them get DATA as well
    "prune.sh": "FOLDER a.pt out 0.8 100", "evaluate.sh": "FOLDER a.pt", "prepare.sh": "FOLDER out de en",
    "sipo/prepare_lm.sh": "FOLDER out", "sipo/prepare_nmt.sh": "FOLDER out de en", "sipo/inspect.sh": "lm a.pt b.pt",
    "sipo/lm.sh": "all once", "sipo/nmt.sh": "rnnsearch once", "sipo/random_lm.sh": "all-once",
    "multi30k_hidden.sh": "lm FOLDER",
}  # fmt: skip
FOLDERS = {
    "nowhere": r"(DATA|TEXT|IMAGES) nowhere: no (such folder|file train\.)|CHECKPOINT=|BASE=",
    "empty": r"(DATA|TEXT|IMAGES) empty: no (dict|file train|.* empty)|CHECKPOINT=|BASE=",
}


@pytest.fixture
def script(tmp_path, monkeypatch):
    """Runs one in a folder of its own where no program may be started; returns its line and the folder's content."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(SCRIPTS, "scripts")
    os.makedirs("bin")
    os.makedirs("empty")
    for name in ("fairseq-train", "fairseq-generate", "fairseq-validate", "fairseq-preprocess", "fairseq-prune"):
        Path("bin", name).write_text("#!/bin/sh\necho started; exit 9\n")
    Path("bin", "python3").write_text("#!/bin/sh\necho --cpu\n")
    for program in Path("bin").iterdir():
        program.chmod(0o755)
    path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"

    def run(name, words, **more):
        before = sorted(tmp_path.rglob("*"))
        words = ["bash", f"scripts/{name}", *words]
        done = subprocess.run(words, env=os.environ | {"PATH": path} | more, capture_output=True, text=True)
        assert done.returncode in (1, 2) and done.stderr.count("\n") == 1 and "started" not in done.stdout, done
        assert sorted(tmp_path.rglob("*")) == before
        return done.stderr

    return run


@pytest.mark.parametrize("name", sorted(ALL - NEED_NOTHING - GPU))
def test_nothing(name, script):
    line = script(name, [], DATA="nowhere")
    assert "usage: scripts/" in line or "nowhere" in line or ": not there; " in line


@pytest.mark.parametrize("folder", FOLDERS)
@pytest.mark.parametrize("name", sorted(ALL - NEED_NOTHING - GPU))
def test_a_folder_without_data(name, folder, script):
    words = WORDS.get(name, "FOLDER" if "multi30k" in name or "cifar" in name else "").replace("FOLDER", folder).split()
    line = script(name, words, DATA=folder)
    assert re.match(FOLDERS[folder], line), line
