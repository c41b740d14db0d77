"""`fairseq-prune attack`: its report, its options, and its mistakes."""

import subprocess
import sys

import pytest
import torch
from attacks import attack, few_steps, pixels_of
from commands import refused
from conftest import masks_of, words_of
from digits import train

from fairseq_prune.checkpoint.load import load_model, load_task
from fairseq_prune.cli import attack as command
from fairseq_prune.cli.main import main
from fairseq_prune.compat import load_checkpoint
from vision_bridge.attack.settings import EPSILONS, read_epsilons
from vision_bridge.attack.table import ATTACKS

VALID = 144  # images, a tenth of digits' training set


@pytest.fixture(scope="module")
def masked(trained, tmp_path_factory):
    """Path of one with half of its neurons masked."""
    words = "--prune-method l1 --prune-target 0.5 --prune-units filter --store-ema"
    folder = tmp_path_factory.mktemp("masked")
    train(folder, "--finetune-from-model", trained, *words_of(words))
    return str(folder / "checkpoint_last.pt")


def refusal(capsys, *words):
    """The one line in which the command ends, and nothing else is printed."""
    capsys.readouterr()
    line = refused("attack", *words)
    assert capsys.readouterr().out == ""
    return line


def test_clean_accuracy_is_that_of_validation(trained, capsys):
    report = attack(capsys, trained, "--attacks", "fgsm", "--eps", "8/255", "--batch-size", 200, "--seed", 5)
    pixels, targets = pixels_of("test", range(report["images"]))
    task, _ = load_task(trained)
    model = load_model(trained, task).eval()
    mean, std = (torch.tensor(values)[:, None, None] for values in (task.mean, task.std))
    right = model((pixels - mean) / std).argmax(1) == targets
    assert report["images"] == len(task.source.images("test")) == 359
    assert report["clean_accuracy"] == pytest.approx(float(right.double().mean()), abs=1e-12)


def test_masked_and_cut_give_the_same(masked, tmp_path, capsys):
    out = tmp_path / "cut.pt"
    main(["compact", masked, str(out)])
    words = ("--attacks", "all", "--steps", few_steps("all"), "--batches", 2, "--batch-size", 15)
    one, other = attack(capsys, masked, *words), attack(capsys, out, *words)
    assert any((mask == 0).any() for mask in masks_of(load_checkpoint(masked)).values())
    sizes = [sum(v.numel() for v in load_checkpoint(path)["model"].values()) for path in (masked, out)]
    assert sizes[1] < 0.7 * sizes[0]
    assert one["clean_accuracy"] == other["clean_accuracy"]
    for a, b in zip(one["attacks"], other["attacks"], strict=True):
        assert a["robust_accuracy"] == pytest.approx(b["robust_accuracy"], abs=1.01 / 30)  # an image on the edge
        assert a["median_norm"] == (b["median_norm"] and pytest.approx(b["median_norm"], rel=1e-3))


def test_table_and_figure(trained, tmp_path, capsys):
    path = tmp_path / "curve.png"
    words = words_of("--batches 1 --batch-size 20 --steps deepfool=9 --cpu --plot")
    main(["attack", trained, *words, str(path)])
    out = capsys.readouterr().out
    lines = [line.split() for line in out.splitlines() if line]
    assert "20 images of digits, test, seed 1; clean accuracy" in out and max(map(len, out.splitlines()[1:])) <= 120
    assert ["Linf", *EPSILONS["linf"].split(","), "median"] in lines and [
        "L2",
        "0.25",
        "0.5",
        "1",
        "2",
        "median",
    ] in lines
    assert [line[0] for line in lines][2:4] == ["fgsm", "pgd"]
    assert path.read_bytes().startswith(b"\x89PNG") and path.stat().st_size > 10_000


def test_other_images(trained, capsys):
    report = attack(capsys, trained, "--split", "valid", "--attacks", "fgsm", "--eps", "0", "--batches", 9)
    assert report["split"] == "valid" and report["images"] == VALID


def test_help_names_all_attacks():
    assert all(name in command.__doc__ for name in ATTACKS)


@pytest.mark.parametrize(
    "words, message",
    [
        ("--attacks fgms", "unknown attack 'fgms'; did you mean 'fgsm'? known: cw, "),
        ("--attacks fgsm,,pgd", "unknown attack ''"),
        ("--eps 8", "--eps 8: pixels are in [0, 1], so linf norms are in [0, 1]; give e.g. --eps 'linf=8/255'"),
        ("--eps -0.1", "--eps -0.1: pixels are in [0, 1]"),
        ("--eps l2=9", "--eps 9: pixels are in [0, 1], so l2 norms are in [0, 8]"),
        ("--eps nan", "--eps nan: not a number"),
        ("--eps 8/0", "--eps 8/0: not a number"),
        ("--eps 1e400", "--eps 1e400: not a number"),
        ("--eps l3=1", "--eps l3=1: norms of the attacks are linf, l2;"),
        ("--eps l1=1", "--eps l1=1: norms of the attacks are linf, l2;"),
        ("--steps pgd=0", "--steps pgd=0: not NAME=N"),
        ("--steps fgsm=3", "--steps fgsm=3: fgsm takes one step"),
        ("--steps cw=3", "--steps cw=3: cw is not among --attacks"),
        ("--steps pgf=3", "unknown attack 'pgf'; did you mean 'pgd'?"),
        ("--batches 0", "--batches 0: at least 1"),
        ("--batch-size -1", "--batch-size -1: at least 1"),
        ("--plot curve.jpg", "--plot curve.jpg: a PNG is written"),
        ("--plot nowhere/curve.png", "--plot nowhere/curve.png: no such folder"),
        ("--data nowhere", "DATA nowhere: no such folder"),
    ],
)
def test_mistakes_are_explained(trained, capsys, words, message):
    option, value = words.split(" ", 1)
    assert refusal(capsys, trained, f"{option}={value}").startswith(message)


def test_epsilons():
    read = read_epsilons("linf=8/255, 0.5 ,0", ["linf", "l2"], 64)
    assert list(read["linf"].items()) == [("0", 0.0), ("8/255", 8 / 255), ("0.5", 0.5)]
    assert list(read["l2"]) == EPSILONS["l2"].split(",")
    assert read_epsilons("1", ["linf", "l1"], 64) == {"linf": {"1": 1.0}, "l1": {"1": 1.0}}


def test_a_checkpoint_of_another_task(new_run, tmp_path, capsys):
    run = new_run()
    run.train("--max-update", "1")
    assert "of task prune_translation; attacks change images" in refusal(capsys, run.folder / "checkpoint_last.pt")
    assert "no such file" in refusal(capsys, tmp_path / "none.pt")


@pytest.mark.parametrize("package, words", [("foolbox", ""), ("matplotlib", "--plot=curve.png")])
def test_a_missing_extra(package, words, trained, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    extra = {"foolbox": "attack", "matplotlib": "plots"}[package]
    assert f"pip install 'fairseq-prune[{extra}]'" in refusal(capsys, trained, *words.split())


def test_foolbox_without_git(tmp_path):
    """GitPython, which its zoo imports, looks for the program."""
    code = "from vision_bridge.attack.table import load_foolbox; load_foolbox()"
    subprocess.run([sys.executable, "-c", code], env={"PATH": str(tmp_path)}, check=True)
    bare = [sys.executable, "-c", "import foolbox"]
    assert subprocess.run(bare, env={"PATH": str(tmp_path)}, capture_output=True).returncode
