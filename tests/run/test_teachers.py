"""``--prune-teacher`` in short runs: with methods, families, tasks; what it refuses; where it goes on."""

import re
import shutil

import pytest
import torch
from conftest import TINY, masks_of, same_tensors, words_of
from test_families import FAMILIES

from fairseq_prune.cli.main import main
from fairseq_prune.compat import load_checkpoint

MAGNITUDE = words_of("--prune-method magnitude --prune-target 0.5 --prune-end 4up --prune-schedule linear")
SMALLER = f"--arch transformer --share-all-embeddings {TINY} --decoder-layers 1 --encoder-ffn-embed-dim 16"


@pytest.fixture(scope="module")
def dense(module_run):
    """Path of a dense model, trained a little."""
    run = module_run("dense")
    run.train("--disable-validation")
    return run.folder / "checkpoint_last.pt"


def kd_losses(caplog, name="kd_loss"):
    return [float(value) for value in re.findall(rf"\b{name}=([-\d.]+)", caplog.text.replace('"', ""))]


METHODS = {
    "magnitude": "--prune-method magnitude --prune-target 0.5",
    "movement": "--prune-method movement --prune-target 0.5 --prune-end 4up",
    "admm": "--prune-method admm --prune-target 0.5 --prune-end 6up --prune-every 2up",
    "l0": "--prune-method l0 --prune-units node --prune-target 0.5 --prune-end 6up",
}


def left_of(checkpoint):
    """Weights that are neither cut nor masked."""
    masked = sum(int((~keep).sum()) for keep in masks_of(checkpoint).values())
    return sum(value.numel() for value in checkpoint["model"].values()) - masked


@pytest.mark.parametrize("method", METHODS)
def test_any_method(new_run, dense, method, caplog):
    """What is removed is as without a teacher; the weights that are left are others; the file is as it always is."""
    words = ["--finetune-from-model", dense, "--log-interval", "1", *METHODS[method].split()]
    alone = new_run("alone").train(*words)
    assert not kd_losses(caplog)
    taught = new_run("taught").train(*words, "--prune-teacher", "self")
    assert len(kd_losses(caplog)) >= 8 and min(kd_losses(caplog)) > 0
    assert not same_tensors(dict(alone["model"]), dict(taught["model"]))
    assert alone["model"].keys() == taught["model"].keys() and alone.keys() == taught.keys()
    whole = left_of(load_checkpoint(dense))
    removed = [whole - left_of(run) for run in (alone, taught)]
    assert removed[0] == removed[1] > 0


@pytest.mark.parametrize("words", ["", "--prune-kd-weight 0 --prune-kd-hidden 1", "--amp", "--update-freq 2"])
def test_a_smaller_student_without_pruning(new_run, dense, words, caplog):
    words = [*words.split(), "--prune-teacher", dense, "--log-interval", "1", "--max-update", "3"]
    checkpoint = new_run(arch=SMALLER).train(*words)
    name = "kd_hidden" if "--prune-kd-hidden" in words else "kd_loss"
    assert len(kd_losses(caplog, name)) >= 3
    assert not masks_of(checkpoint) and checkpoint["model"]["encoder.layers.0.fc1.weight"].shape[0] == 16


DEEP = f"--arch transformer --share-all-embeddings {TINY} --encoder-layers 2 --decoder-layers 2 --dropout 0"
MADE = {  # how the teacher's file is made of a dense one; the student begins with the file before, or with the same
    "cut": ["prune --units head --scope layer --target 0.5"],
    "of fewer layers": ["prune --units layer --scope layer --target 0.5"],
    "compacted": ["prune --units row --only *fc1* --scope layer --target 0.5", "compact"],
    "packed in fp16": ["prune --target 0.9", "pack --half"],
}


@pytest.fixture(scope="module")
def deep(module_run):
    """Path of a dense model of two layers a side, trained a little."""
    run = module_run("deep", arch=DEEP)
    run.train("--disable-validation")
    return run.folder / "checkpoint_last.pt"


@pytest.mark.parametrize("kind", MADE)
def test_a_teacher_is_what_its_file_was_made_of(new_run, deep, kind, tmp_path, caplog):
    """A student that begins as the teacher has nothing to learn in its first update; a new one of full depth has."""
    files = [deep]
    for number, (command, *words) in enumerate(map(str.split, MADE[kind])):
        files.append(tmp_path / f"{number}.pt")
        main([command, *map(str, files[-2:]), *words])
    begins = files[-2] if len(files) > 2 else files[-1]
    words = ["--prune-teacher", files[-1], "--prune-kd-hidden", "1", *words_of("--log-interval 1 --max-update 2")]
    new_run("alike", arch=DEEP).train("--finetune-from-model", begins, "--disable-validation", *words)
    new_run("other", arch=DEEP).train("--disable-validation", *words)
    for name in ("kd_loss", "kd_hidden"):
        first, second, *other = kd_losses(caplog, name)
        assert abs(first) < 1e-3 < 0.02 < second and min(other[:2]) > 0.1


@pytest.mark.parametrize("family", ["lstm", "fconv", "transformer_lm", "lstm_lm"])
def test_families(new_run, monolingual, family, caplog):
    task, arch = FAMILIES[family]
    data = monolingual if task == "prune_language_modeling" else None
    teacher = new_run("teacher", data, task, arch)
    teacher.train("--max-update", "2", "--disable-validation")
    words = [*MAGNITUDE, "--prune-teacher", teacher.folder / "checkpoint_last.pt", "--log-interval", "1"]
    assert masks_of(new_run("student", data, task, arch).train(*words))
    assert len(kd_losses(caplog)) >= 8


def test_images(new_image_run, caplog):
    teacher = new_image_run("teacher")
    teacher.train("--max-update", "2")
    words = ["--prune-teacher", teacher.folder / "checkpoint_last.pt", "--log-interval", "1"]
    new_image_run("student", "--arch resnet20").train(*MAGNITUDE, *words)
    assert len(kd_losses(caplog)) >= 8
    state = load_checkpoint(words[1])
    state["model"].update({name: value[:7] for name, value in state["model"].items() if name.startswith("net.fc.")})
    torch.save(state, words[1])
    with pytest.raises(SystemExit, match="the checkpoint has 7 classes, DATA 10"):
        new_image_run("other").train(*words)


def test_goes_on_with_the_same_teacher(new_run, dense, tmp_path):
    """``self`` is the file that the run began with, also when it goes on; other weights in it are refused."""
    start = shutil.copy(dense, tmp_path / "start.pt")
    words = [*MAGNITUDE, "--finetune-from-model", start, "--prune-teacher", "self", "--disable-validation"]
    whole = new_run("whole").train(*words)
    run = new_run("stopped")
    run.train(*words, "--max-update", "5")
    assert same_tensors(dict(whole["model"]), dict(run.train(*words)["model"]))
    other = new_run("again")
    other.train(*words, "--max-update", "5")
    for changed, message in (
        (words[:-3] + words[-1:], "--prune-teacher: the interrupted run had a teacher, this one has none; resume with"),
        ([*words, "--prune-kd-weight", "0.5"], "--prune-kd-weight 0.5: the interrupted run had 1.0; resume with"),
        ([*words, "--prune-kd-temperature", "3"], "--prune-kd-temperature 3.0: the interrupted run had 2.0"),
        ([*words, "--prune-kd-hidden", "1"], "--prune-kd-hidden 1.0: the interrupted run had 0.0"),
    ):
        with pytest.raises(SystemExit, match=message):
            other.train(*changed)
    alone = new_run("alone")
    alone.train(*words[:-3], *words[-1:], "--max-update", "5")
    with pytest.raises(SystemExit, match="--prune-teacher self: the interrupted run had no teacher; resume with"):
        alone.train(*words)
    state = load_checkpoint(start)
    state["model"]["encoder.layers.0.fc1.bias"] += 1
    torch.save(state, start)
    with pytest.raises(SystemExit, match="--prune-teacher self: not the weights of the teacher that this run began"):
        other.train(*words)


def test_self_is_what_a_run_starts_from(new_run, dense, caplog):
    """Also where it counts on; not a file that the run itself replaces."""
    start = ["--restore-file", dense, "--log-interval", "1", "--max-update", "14", "--disable-validation"]
    taught = [new_run(name).train(*start, "--prune-teacher", of) for name, of in (("self", "self"), ("file", dense))]
    assert same_tensors(*(dict(run["model"]) for run in taught)) and len(kd_losses(caplog)) >= 4
    run = new_run("self")
    fails(run, f"--prune-teacher self: the run goes on from {run.folder}/checkpoint_last.pt", "--prune-teacher", "self")


def fails(run, message, *words):
    """One line, before the data is looked at: there is no split of that name."""
    with pytest.raises(SystemExit, match=message) as caught:
        run.train("--valid-subset", "no-such-split", *words)
    assert "\n" not in str(caught.value.code)


def test_mistakes(new_run, dense):
    fails(
        new_run(),
        "--prune-teacher self: the run starts from new weights; add e.g. --finetune",
        "--prune-teacher",
        "self",
    )
    fails(new_run(), "--prune-teacher a.pt: checkpoint a.pt: no such file", "--prune-teacher", "a.pt")
    line = "--prune-teacher a.pt:b.pt: one checkpoint teaches, no ensemble; give e.g. --prune-teacher a.pt"
    fails(new_run(), line, "--prune-teacher", "a.pt:b.pt")
    fails(new_run(), "--prune-kd-weight 2.0: has no effect here; .*--prune-teacher self", "--prune-kd-weight", "2")
    for words, message in (
        ("--prune-kd-temperature 0", "--prune-kd-temperature 0.0: give a number, above 0"),
        (
            "--criterion adaptive_loss --ddp-backend legacy_ddp",
            "--prune-teacher .*: --criterion adaptive_loss hands out no logits of all classes",
        ),
        ("", "DATA"),  # control: it is the data that is missing
    ):
        fails(new_run(), message, "--prune-teacher", dense, *words.split())


def test_another_kind_of_model(new_run, dense, monolingual):
    """Of as many words, too."""
    task, arch = FAMILIES["transformer_lm"]
    teacher = new_run("lm", monolingual, task, arch)
    teacher.train("--max-update", "1", "--disable-validation")
    path = teacher.folder / "checkpoint_last.pt"
    words, theirs = (load_checkpoint(p)["model"]["decoder.embed_tokens.weight"].shape[0] for p in (dense, path))
    assert words == theirs
    message = f"--prune-teacher {path}: is a language model, the model that is trained an encoder and a decoder; give"
    fails(new_run(), message, "--prune-teacher", path)


def test_another_vocabulary(new_run, dense, parallel, monolingual, tmp_path):
    """Of another size; of the same size, with the words in another order, as long as the teacher's data are there."""
    lm = "--arch transformer_lm --decoder-layers 1 --decoder-embed-dim 16 --decoder-ffn-embed-dim 32"
    fails(new_run("kind", monolingual, "prune_language_modeling", lm), "--prune-teacher .*", "--prune-teacher", dense)
    for name, change in (("shorter", lambda lines: lines[:-3]), ("reordered", lambda lines: lines[::-1])):
        data = shutil.copytree(parallel, tmp_path / name)
        for side in ("de", "en"):
            lines = (parallel / f"dict.{side}.txt").read_text().splitlines()
            (data / f"dict.{side}.txt").write_text("\n".join(change(lines)) + "\n")
        run = new_run("student", data)
        fails(run, "--prune-teacher .*(the vocabulary of|another source dictionary)", "--prune-teacher", dense)
