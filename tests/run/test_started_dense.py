"""A dense training that was interrupted is gone on with by the scripts that need it, not taken for a trained model."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"
MULTI30K, SIPO = "checkpoints/multi30k/dense", "checkpoints/sipo-multi30k"
NEEDING = {
    "multi30k.sh text longer-0-1": MULTI30K,
    "multi30k_one_shot.sh text wanda-0.5-1": MULTI30K,
    "multi30k_structure.sh text head-random-0.5-1": MULTI30K,
    "multi30k_srp.sh text two_stage-0.2-sa-1": MULTI30K,
    "multi30k_frontier.sh text neuron-0.5-1": MULTI30K,
    "multi30k_distil.sh text 1": MULTI30K,
    "multi30k_hidden.sh lm text 1": f"{SIPO}/dense-1",
    "multi30k_hidden.sh nmt text 1": f"{SIPO}/rnnsearch_small-dense-1",
    "sipo/lm.sh all once": f"{SIPO}/dense-1",
    "sipo/nmt.sh rnnsearch_small once": f"{SIPO}/rnnsearch_small-dense-1",
}
KILLED = '#!/bin/sh\necho "$@" > trained\nexit 9\n'


@pytest.mark.parametrize("command", NEEDING)
def test_an_interrupted_training_is_gone_on_with(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(SCRIPTS, "scripts")
    for folder in ("text", "bin", "data-bin/multi30k", "data-bin/multi30k-lm", "data-bin/multi30k-words"):
        os.makedirs(folder)
        Path(folder, "dict.txt").touch()
    dense = tmp_path / NEEDING[command]
    dense.mkdir(parents=True)
    (dense / "checkpoint_best.pt").touch()
    for name, does in {"fairseq-train": KILLED, "python3": "#!/bin/sh\necho --cpu\n"}.items():
        Path("bin", name).write_text(does)
        Path("bin", name).chmod(0o755)
    env = {**os.environ, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "RUNS": SIPO, "DATA": "data-bin/multi30k"}
    script, *words = command.split()
    done = subprocess.run(["bash", f"scripts/{script}", *words], env=env, capture_output=True, text=True)
    assert done.returncode == 9, done.stderr
    assert f"--save-dir {NEEDING[command]} " in Path("trained").read_text().replace("\n", " ")
