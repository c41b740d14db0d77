"""fairseq-prune sweep: every trial once, whoever is killed, and the same table in the end."""

import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from conftest import TINY, masks_of, run_fairseq

from fairseq_prune.checkpoint.tensors import tensor_rows
from fairseq_prune.cli.main import main
from fairseq_prune.compat import load_checkpoint

pytest.importorskip("optuna")

MODEL = f"--task prune_translation --arch transformer --share-all-embeddings {' '.join(TINY.split())}"
TRAIN = f"""{MODEL} --criterion cross_entropy --optimizer adam --lr 0.01 --max-tokens 100 --cpu --num-workers 0
    --max-update 8 --log-interval 1000"""


@pytest.fixture(scope="module")
def dense(module_run):
    run = module_run("dense")
    run.train()
    return run.folder / "checkpoint_last.pt"


@pytest.fixture
def write(tmp_path, parallel, dense):
    """Write a recipe of two methods, two targets, one seed; keys may be replaced, None leaves one out."""

    def write(**changed):
        content = {
            "data": str(parallel),
            "checkpoint": str(dense),
            "train": TRAIN,
            "methods": {"random": None, "movement": "--prune-end 6up"},
            "targets": [0.5, 0.8],
            "seeds": [1],
        }
        path = tmp_path / "recipe.yaml"
        path.write_text(yaml.safe_dump(content | changed, sort_keys=False))
        return str(path)

    return write


@pytest.fixture
def trained(monkeypatch):
    """Trials train in this process; the folders that were trained in, a list."""
    folders = []

    def start(command, stdout, stderr, preexec_fn):
        folders.append(Path(command[command.index("--save-dir") + 1]).relative_to(Path.cwd()).as_posix())
        run_fairseq("train", *command[3:])
        return SimpleNamespace(wait=lambda timeout: 0, poll=lambda: 0)

    fake = SimpleNamespace(Popen=start, STDOUT=subprocess.STDOUT, TimeoutExpired=subprocess.TimeoutExpired)
    monkeypatch.setattr("fairseq_prune.drivers.sweep.logged.subprocess", fake)
    return folders


@pytest.fixture
def sweep(trained, tmp_path, monkeypatch, capsys):
    """Run the command in a folder of a name; returns its JSON, and the folders trained in."""
    monkeypatch.chdir(tmp_path)

    def run(recipe, name, *words):
        trained.clear()
        capsys.readouterr()
        main(["sweep", recipe, "--save-dir", str(tmp_path / name), "--json", *words])
        return json.loads(capsys.readouterr().out), [folder.removeprefix(f"{name}/") for folder in trained]

    return run


CELLS = ["random-0.5", "movement-0.5", "random-0.8", "movement-0.8"]


def test_table_of_whole_and_of_killed(sweep, write, tmp_path, dense):
    """Killed when the second training was over, in the line that says so."""
    report, folders = sweep(write(), "whole")
    assert folders == [f"{cell}/0-seed-1" for cell in CELLS]
    assert report["dense"] == load_checkpoint(dense)["extra_state"]["val_loss"]
    weights = sum(row.params for row in tensor_rows(load_checkpoint(dense)["model"]))
    for cell, row in zip(CELLS, report["rows"], strict=True):
        best = load_checkpoint(tmp_path / f"whole/{cell}/0-seed-1/checkpoint_best.pt")
        assert row["mean"] == best["extra_state"]["val_loss"] and (row["trials"], row["sd"]) == (1, None)
        gone = sum(int((~keep).sum()) for keep in masks_of(best).values())
        assert row["removed"] == pytest.approx(gone / weights, abs=0.005)  # a padding row is zero anyway
    assert (tmp_path / "whole/quality.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((tmp_path / "whole/table.json").read_text())["rows"] == report["rows"]

    shutil.copytree(tmp_path / "whole", tmp_path / "half")
    journal = (tmp_path / "half/journal.jsonl").read_text().splitlines(keepends=True)
    ends = [number for number, line in enumerate(journal) if json.loads(line)["op_code"] == 6]
    (tmp_path / "half/journal.jsonl").write_text("".join(journal[: ends[1]]) + journal[ends[1]][:20])
    for cell in CELLS[2:]:
        shutil.rmtree(tmp_path / "half" / cell)
    assert sweep(write(), "half", "--table")[0]["ended"] == 1
    again, folders = sweep(write(), "half")
    assert folders == [f"{cell}/0-seed-1" for cell in CELLS[1:]]  # the first of them is over: nothing is added to it
    assert again == report
    assert sweep(write(), "half") == (report, [])
    with pytest.raises(SystemExit, match="sweep.json is of a run with another targets"):
        sweep(write(targets=[0.5]), "half")


def test_search(sweep, write, tmp_path):
    """The best rate is trained with the other seeds, and only such trials are in the table."""
    search = {"trials": 3, "space": {"--lr": [0.0001, 0.02, "log"]}}
    report, folders = sweep(write(methods=["magnitude"], targets=[0.5], seeds=[1, 2], search=search), "search")
    assert folders == [f"magnitude-0.5/{number}-seed-{seed}" for number, seed in enumerate((1, 1, 1, 2))]
    ends = [load_checkpoint(tmp_path / "search" / folder / "checkpoint_best.pt") for folder in folders]
    losses = [end["extra_state"]["val_loss"] for end in ends]
    rates = [end["cfg"]["optimization"]["lr"][0] for end in ends]
    best = losses.index(min(losses[:3]))
    assert len(set(rates[:3])) == 3 and rates[3] == rates[best]
    (row,) = report["rows"]
    assert row["options"] == {"--lr": rates[best]}
    assert row["mean"] == statistics.fmean([losses[best], losses[3]]) and row["trials"] == 2


WORKER = """
import sys, time
from fairseq_prune.cli.main import main
from fairseq_prune.drivers.sweep import run
def train(data, folder, words, hopeless):
    with open({log!r}, "a") as file:
        file.write(f"{{sys.argv[1]}} {{folder}}\\n")
    time.sleep(60 if sys.argv[1] == "killed" else 0.3)
    return True
run.train_logged = train
run.measure = lambda path, metric, data: {{"quality": float(len(path)), "params": 10, "nonzero": 5}}
main(["sweep", {recipe!r}, "--save-dir", {folder!r}])
"""


def test_two_processes_share_a_sweep(write, tmp_path):
    """One is killed in its trial, and another has that trial again; two do no trial twice."""
    log, folder = tmp_path / "log", tmp_path / "shared"
    script = tmp_path / "worker.py"
    recipe = write(methods=["random", "magnitude"], targets=[0.1, 0.2, 0.3], seeds=[1, 2])
    script.write_text(WORKER.format(log=str(log), recipe=recipe, folder=str(folder)))

    def start(name):
        return subprocess.Popen(
            [sys.executable, str(script), name], cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, text=True
        )

    killed = start("killed")
    while not log.exists() or not log.read_text():
        time.sleep(0.1)
    workers = [start("a"), start("b")]
    while log.read_text().count("\n") < 5:
        time.sleep(0.1)
    os.kill(killed.pid, signal.SIGKILL)
    tables = [worker.communicate(timeout=250)[0] for worker in (killed, *workers)][1:]
    lines = [line.split() for line in log.read_text().splitlines()]
    taken = [place for name, place in lines if name != "killed"]
    assert len(taken) == len(set(taken)) == 12 and {place for name, place in lines if name == "killed"} < set(taken)
    assert {name for name, _ in lines} == {"killed", "a", "b"}
    assert tables[0] == tables[1] and "trials are done" not in tables[0]


def test_a_bad_trial_is_stopped(write, tmp_path):
    """By its validation losses, which are read while it trains; its folder keeps what it said."""
    from fairseq_prune.drivers.sweep.logged import train_logged, validation_losses
    from fairseq_prune.drivers.sweep.recipe import SweepRecipe

    recipe, folder = SweepRecipe.read(write()), str(tmp_path / "trial")
    words = [*recipe.train, "--log-format", "json", "--max-update", "100000", "--no-save"]

    def hopeless():
        return len(list(validation_losses(folder, "valid"))) > 1

    assert not train_logged(recipe.data, folder, words, hopeless)
    found = list(validation_losses(folder, "valid"))
    assert [step for step, _ in found[:2]] == [found[0][0], 2 * found[0][0]] and 0 < found[1][1] < 10
    with pytest.raises(ValueError, match="fairseq-train stopped with status 2: .*--no-such-option"):
        train_logged(recipe.data, folder, [*words, "--no-such-option"], hopeless=lambda: False)


def test_a_search_stops_what_is_worse_than_the_median(sweep, write, tmp_path, monkeypatch):
    """After three whole trials, and of the validations of a trial each once."""
    from fairseq_prune.drivers.sweep import run

    asked = []

    def train(data, folder, words, hopeless):
        number = len(asked)
        asked.append(0)
        os.makedirs(folder)
        for step, loss in enumerate((9.0, 5.0 if number != 3 else 6.0, 4.0 if number != 4 else 4.5), start=1):
            with open(f"{folder}/train.log", "a") as file:
                file.write(f'now | INFO | valid | {{"valid_loss": "{loss}", "valid_num_updates": "{step}"}}\n')
            asked[number] += 1
            if hopeless():
                return False
        return True

    monkeypatch.setattr(run, "train_logged", train)
    monkeypatch.setattr(run, "measure", lambda *given: {"quality": 1.0 + len(asked), "params": 10, "nonzero": 5})
    search = {"trials": 5, "space": {"--dropout": ["0.1", "0.2"]}}
    train = f"{TRAIN} --valid-subset valid,test"  # the first of them counts
    report, _ = sweep(write(methods=["magnitude"], targets=[0.5], search=search, train=train), "stopping")
    assert asked == [3, 3, 3, 2, 3]
    assert report["rows"][0]["stopped"] == 2 and report["rows"][0]["mean"] == 2.0


BAD = [
    ({"taregts": [1]}, "unknown key 'taregts'; did you mean 'targets'"),
    ({"checkpoint": "nowhere.pt"}, "checkpoint nowhere.pt: no such file"),
    ({"targets": None}, "targets is missing; add e.g. targets: "),
    ({"targets": [50]}, "targets: cannot read '.50.'; write e.g. "),
    ({"seeds": [1, 1]}, "seeds: cannot read"),
    ({"metric": "test_blue"}, "metric test_blue: unknown; did you mean 'test_bleu'"),
    ({"methods": ["magnitud"]}, "unknown method 'magnitud'; did you mean 'magnitude'"),
    ({"methods": {"magnitude": "--seed 3"}}, "methods, magnitude: --seed is set by the sweep itself"),
    ({"methods": {"a/b": "--prune-method magnitude"}}, "methods: cannot read"),
    ({"train": f"{TRAIN} --prune-target 0.3"}, "--prune-target: is set by fairseq-prune sweep itself"),
    ({"train": MODEL}, "train: trainings need an end; add e.g. --max-update"),
    ({"train": "--arch 'a"}, "train: No closing quotation"),
    ({"train": f"{TRAIN} --warmup-update 5x"}, "train: unrecognized arguments: --warmup-update 5x"),
    ({"search": {"trails": 3, "space": {"--lr": [1, 2]}}}, "search: unknown key 'trails'; did you mean 'trials'"),
    ({"search": {"trials": 3, "space": {"--lr": [0, 2, "log"]}}}, "search: cannot read --lr"),
    ({"search": {"trials": 3, "space": {"--seed": [0, 2]}}}, "search: --seed is set by the sweep itself"),
]


@pytest.mark.parametrize("changed, message", BAD)
def test_bad_recipes(write, tmp_path, changed, message):
    with pytest.raises(SystemExit, match=message) as error:
        main(["sweep", write(**changed), "--save-dir", str(tmp_path / "new")])
    assert str(error.value).startswith("RECIPE ") and "\n" not in str(error.value)
    assert not (tmp_path / "new").exists()


def test_a_failed_trial_does_not_end_the_others(sweep, write, tmp_path, trained, monkeypatch):
    from fairseq_prune.drivers.sweep import run

    real, broken = run.measure, {"movement-0.5"}

    def measure(path, metric, data):
        if Path(path).parts[-3] in broken:
            raise ValueError("no value")
        return real(path, metric, data)

    monkeypatch.setattr(run, "measure", measure)
    with pytest.raises(SystemExit, match="1 of 4 trials failed, .*movement-0.5/0-seed-1: no value"):
        sweep(write(), "failing")
    assert len(trained) == 4
    broken.clear()
    report, folders = sweep(write(), "failing")
    assert folders == ["movement-0.5/0-seed-1"] and report["ended"] == 4  # whose training is over, and adds nothing
