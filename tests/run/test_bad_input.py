"""Users' mistakes: one line, before training starts, status not 0, no half-written file."""

import pickle
import subprocess
import sys

import pytest
import torch
from conftest import TINY, USER_DIR, run_fairseq

MISTAKES = {
    "--prune-target 1.0 --prune-method magnitude": r"--prune-target 1.0: give a fraction in \[0, 1\), e.g. 0.8",
    "--prune-target -0.1 --prune-method magnitude": r"--prune-target -0.1: give a fraction",
    "--prune-target half --prune-method magnitude": r"--prune-target half: give a fraction",
    "--prune-method magnitude": r"needs --prune-target, e.g. --prune-target 0.8",
    "--prune-target 0.5": r"--prune-target 0.5: --prune-method none removes nothing; add e.g. --prune-method magnitude",
    "--prune-method magnitud --prune-target 0.5": r"unknown method 'magnitud'; did you mean 'magnitude'\?",
    "--prune-method magnitude --prune-target .5 --prune-units rows": r"unknown units 'rows'; did you mean 'row'\?",
    "--prune-method magnitude --prune-target .5 --prune-units block:0x4": r"write e.g. 'block:4x4'",
    "--prune-method magnitude --prune-target .5 --prune-units row --prune-include *.bias": r"nothing with units row",
    "--prune-method magnitude --prune-target .5 --prune-importance size": r"unknown importance 'size'",
    "--prune-method magnitude --prune-target .5 --prune-scope local": r"unknown scope 'local'",
    "--prune-method magnitude --prune-target .5 --prune-scope stage": r"needs --prune-stages, e.g.",
    "--prune-method magnitude --prune-target .5 --prune-scope stage --prune-stages e=*embed*": r"is in no stage",
    "--prune-method magnitude --prune-target .5 --prune-scope stage --prune-stages e=*;f=*fc1*": r"is in 2 stages",
    "--prune-method magnitude --prune-target .5 --prune-skip *fc9*": r"--prune-skip \*fc9\*: matches no parameter",
    "--prune-method magnitude --prune-target .5 --prune-include encoder.bias": r"matches no parameter; did you mean",
    "--prune-method magnitude --prune-target encoder=0.5": r"gives no fraction for 'all'",
    "--prune-method magnitude --prune-target .5 --prune-start soon": r"--prune-start soon: cannot read 'soon'.*'4ep'",
    "--prune-method magnitude --prune-target .5 --prune-end 5up": r"--prune-end 5up: --prune-schedule once has one",
    "--prune-method magnitude --prune-target .5 --prune-schedule cubic": r"cubic needs --prune-end, e.g.",
    "--prune-method magnitude --prune-target .5 --prune-schedule cubic --prune-start 5up --prune-end 5up":
        r"--prune-end 5up must come after --prune-start 5up, e.g. --prune-end 1005up",
    "--prune-method magnitude --prune-target .5 --prune-schedule linear --prune-start 1ep --prune-end 5up":
        r"give all in epochs .* or all in updates",
    "--prune-method magnitude --prune-target .5 --prune-start 8up":
        r"--prune-start 8up is not reached before the end of the run .--max-update 8.; give at most --prune-start 7up",
    "--prune-method magnitude --prune-target .5 --prune-start 3ep": r"--prune-start 3ep is not .*--max-update 8",
    "--prune-method magnitude --prune-target .5 --prune-start 900up --max-update 0 --max-epoch 2":
        r"--prune-start 900up is not reached .*--max-epoch 2",
    "--prune-recipe missing.yaml": r"--prune-recipe missing.yaml: No such file",
    "--prune-method magnitude --prune-target .5 --restore-file missing.pt": r"--restore-file missing.pt: no such file",
    "--finetune-from-model missing.pt": r"--finetune-from-model missing.pt: no such file",
    "--prune-method greg1 --prune-units neuron --prune-target .5 --reg-fit --prune-end 7up --update-reg-interval 1 "
    "--block-loss-grad": r"--block-loss-grad: has no effect on adaptive optimizers; give e.g. --optimizer sgd",
    "--ddp-backend fully_sharded": r"--ddp-backend fully_sharded: .*legacy_ddp",
}  # fmt: skip


@pytest.mark.parametrize("words", MISTAKES)
def test_one_line(new_run, words):
    run = new_run()
    with pytest.raises(SystemExit, match=MISTAKES[words]) as caught:
        run.train(*words.split())
    assert "\n" not in str(caught.value.code)
    assert not list(run.folder.glob("*.pt*"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("prune-tagret: 0.5", r"unknown key 'prune-tagret'; did you mean 'prune-target'\?"),
        ("- a list", "write one 'prune-target: 0.8' a line"),
        ("a: b: c", "not YAML"),
        ("prune-method: magnitude\nprune-target: 2", r"--prune-target 2: give a fraction"),
    ],
)
def test_recipe(new_run, tmp_path, content, message):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(content)
    with pytest.raises(SystemExit, match=message):
        new_run().train("--prune-recipe", recipe)


def test_a_recipe_is_the_options(new_run, tmp_path):
    """The same bits by file and by command line, which wins."""
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("prune-method: magnitude\nprune_target: 0.9\nprune-skip: ['*embed*']\n")
    by_file = new_run("file").train("--prune-recipe", recipe, "--prune-target", "0.5")
    by_words = new_run("words").train("--prune-method", "magnitude", "--prune-target", "0.5", "--prune-skip", "*embed*")
    state = "PruneTranslationTask"
    assert by_file["extra_state"][state] == by_words["extra_state"][state]
    assert "embed" not in " ".join(by_file["model"]._metadata[""]["prune_masks"])


@pytest.mark.parametrize("words", ["", "--source-lang de --target-lang en"])
@pytest.mark.parametrize("data", ["missing", "empty"])
def test_missing_data(new_run, tmp_path, data, words):
    (tmp_path / "empty").mkdir()
    with pytest.raises(SystemExit, match=rf"DATA .*{data}: .*fairseq-preprocess"):
        new_run(data=tmp_path / data).train(*words.split())


def test_missing_split(new_run):
    with pytest.raises(SystemExit, match="DATA .*Dataset not found: dev"):
        new_run().train("--valid-subset", "dev")


@pytest.mark.parametrize("name", ["checkpoint_best.pt", "checkpoint3.pt", "checkpoint_2_40.pt"])
def test_the_dense_model_is_not_written_over(new_run, name):
    """Under names that fairseq saves by; others stay as they are."""
    run = new_run()
    run.folder.mkdir()
    (run.folder / name).write_text("dense")
    words = ["--finetune-from-model", run.folder / name, "--prune-method", "magnitude", "--prune-target", "0.5"]
    with pytest.raises(SystemExit, match=rf"--save-dir \S+: --finetune-from-model \S+/{name} is in it, and would be"):
        run.train(*words)
    (run.folder / name).rename(run.folder / "dense.pt")
    words[1] = run.folder / "dense.pt"
    with pytest.raises(SystemExit, match="dense.pt: not a readable fairseq checkpoint"):
        run.train(*words)


class Malicious:
    def __reduce__(self):
        return (open, ("executed", "w"))


def write_malicious(path):
    torch.save({"model": Malicious()}, path)


def write_malicious_legacy(path):
    path.write_bytes(pickle.dumps({"model": Malicious()}))


def write_truncated(path):
    torch.save({"model": {"w": torch.zeros(1000)}}, path)
    path.write_bytes(path.read_bytes()[:2000])


def write_text(path):
    path.write_text("not a checkpoint")


@pytest.mark.parametrize("option", ["--restore-file", "--finetune-from-model"])
@pytest.mark.parametrize("write", [write_malicious, write_malicious_legacy, write_truncated, write_text])
def test_bad_checkpoint(new_run, tmp_path, monkeypatch, write, option):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "bad.pt")
    with pytest.raises(SystemExit, match=r"checkpoint .*bad.pt: not ") as caught:
        new_run().train(option, tmp_path / "bad.pt")
    assert "\n" not in str(caught.value.code)
    assert not (tmp_path / "executed").exists()


def test_malicious_control(tmp_path, monkeypatch):
    """The file is dangerous to a loader that runs pickled code."""
    monkeypatch.chdir(tmp_path)
    write_malicious(tmp_path / "bad.pt")
    torch.load(tmp_path / "bad.pt", weights_only=False)
    assert (tmp_path / "executed").exists()


def test_status_and_stderr_of_the_command(parallel, tmp_path):
    """Once as users see it, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "fairseq_cli.train", parallel, "--user-dir", USER_DIR, "--task", "prune_translation",
         "--arch", "transformer", *TINY.split(), "--max-tokens", "100", "--cpu", "--save-dir", tmp_path / "save",
         "--prune-method", "magnitude", "--prune-target", "80"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.strip().endswith("--prune-target 80: give a fraction in [0, 1), e.g. 0.8 for 80 % removed")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("name", "message"), [("bad.pt", "not a readable fairseq checkpoint"), ("no.pt", "--path: Model file not found")]
)
def test_generate_from_a_bad_checkpoint(parallel, tmp_path, name, message):
    write_truncated(tmp_path / "bad.pt")
    with pytest.raises(SystemExit, match=message):
        run_fairseq(
            "generate", parallel, "--user-dir", USER_DIR, "--task", "prune_translation",
            "--path", tmp_path / name, "--cpu",
        )  # fmt: skip
