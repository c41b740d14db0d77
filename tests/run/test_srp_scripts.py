"""SRP's scripts, as the demo calls them, on a few invented sentences."""

import os
from pathlib import Path

import programs
import pytest
from conftest import TINY

from fairseq_prune.compat import load_checkpoint

SCRIPTS = Path(__file__).parents[2] / "scripts" / "srp"


@pytest.fixture
def script(new_run, parallel, tmp_path):
    """Run a script on a base model: ``script(name, **variables)``."""
    base = new_run("base", arch=f"--arch srp_transformer --share-all-embeddings {TINY}")
    base.train("--max-update", "2")
    options = {
        "DATA": parallel, "RUNS": tmp_path / "runs", "ARCH": "srp_transformer",
        "MODEL": f"--share-all-embeddings {TINY}", "BASE": base.folder / "checkpoint_last.pt",
        "LR": "1e-3", "MAX_TOKENS": "400", "VALIDATE": "loss", "RATE": "0.5",
        "EXTRA": "--cpu --num-workers 0 --log-format simple",
    }  # fmt: skip

    def run(name, *words, **variables):
        env = {**os.environ, "OMP_NUM_THREADS": "1", **{k: str(v) for k, v in {**options, **variables}.items()}}
        done = programs.run(["bash", SCRIPTS / name, *map(str, words)], env)
        assert done.returncode == 0, done.stderr[-2000:]
        return tmp_path / "runs"

    return run


def left(folder):
    """Parameters of a run's last checkpoint (count)."""
    model = load_checkpoint(folder / "checkpoint_last.pt")["model"]
    parameters = {name: value for name, value in model.items() if not name.endswith(("_c", "_mask", "norm"))}
    return sum({value.data_ptr(): value.numel() for value in parameters.values()}.values())


@pytest.mark.parametrize("length", [{"UPDATES": 4}, {"PERIOD": 1}], ids=["updates", "epochs"])
def test_two_stages_and_finetuning(script, length, tmp_path):
    runs = script("prune_two_stage.sh", **length)
    whole, stages = left(tmp_path / "base"), [left(runs / f"stage{number}") for number in (1, 2)]
    assert whole > stages[0] > stages[1] and 0.4 * whole < stages[1] <= 0.5 * whole
    script("finetune.sh", runs / "stage2" / "checkpoint_last.pt", "--max-update", 2)
    assert left(runs / "finetuned") == stages[1]


def test_one_stage_and_none(script, tmp_path):
    runs = script("prune_single.sh", UPDATES=4)
    script("prune_one_shot.sh", FINETUNE_EPOCHS=1)
    whole = left(tmp_path / "base")
    assert all(0.4 * whole < left(runs / name) <= 0.5 * whole for name in ("single", "one_shot"))
