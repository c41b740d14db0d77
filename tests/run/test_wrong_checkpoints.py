"""Checkpoints of another model, or damaged inside: one line that names the file and says what to do."""

import re

import pytest
import torch
from commands import refused
from conftest import TINY, USER_DIR, Run, run_fairseq

from fairseq_prune.cli.main import main
from fairseq_prune.pruning.masks import METADATA_KEY

PRUNING = "--prune-method magnitude --prune-target 0.5".split()
ARCH = f"--arch transformer --share-all-embeddings {TINY}"


@pytest.fixture(scope="module")
def pruned(parallel, tmp_path_factory):
    """A run that has removed half of the weights."""
    run = Run(tmp_path_factory.mktemp("pruned"), parallel, "prune_translation", ARCH)
    run.train(*PRUNING, "--disable-validation", "--encoder-layers", 2)
    return run


@pytest.fixture
def changed(pruned, tmp_path):
    """Write the checkpoint after ``change(checkpoint)``; its path."""

    def write(change):
        checkpoint = pruned.checkpoint()
        change(checkpoint)
        torch.save(checkpoint, tmp_path / "changed.pt")
        return tmp_path / "changed.pt"

    return write


def line_of(run, *words):
    with pytest.raises(SystemExit) as caught:
        run.train(*words, "--disable-validation")
    assert caught.value.code.isprintable()
    return caught.value.code


@pytest.mark.parametrize("option", ["--finetune-from-model", "--restore-file"])
@pytest.mark.parametrize(
    ("arch", "reason"),
    [
        ("--encoder-layers 1", "encoder.layers.1."),
        ("--encoder-layers 2 --encoder-ffn-embed-dim 16 --decoder-ffn-embed-dim 16", "size mismatch|masks .*fc"),
        ("--encoder-layers 2 --encoder-embed-dim 32 --decoder-embed-dim 32", "size mismatch|masks .*embed"),
    ],
)
def test_another_model(new_run, pruned, option, arch, reason):
    file = pruned.folder / "checkpoint_last.pt"
    line = line_of(new_run(), option, file, *arch.split())
    assert line.startswith(f"{option} {file}: does not fit this model (")
    assert line.endswith("); give the --arch and sizes of its training")
    assert re.search(reason, line)


def test_another_architecture(new_run, parallel):
    dense = new_run("dense")
    dense.train("--disable-validation")
    sizes = "--encoder-embed-dim 16 --decoder-embed-dim 16 --encoder-hidden-size 16 --decoder-hidden-size 16"
    file = dense.folder / "checkpoint_last.pt"
    line = line_of(new_run(arch=f"--arch lstm {sizes}"), "--finetune-from-model", file)
    assert line.startswith(f"--finetune-from-model {file}: does not fit this model (RuntimeError in module.py")


def cut(checkpoint):
    """Five neurons are left of encoder layer 0."""
    state = checkpoint["model"]
    del state._metadata[""][METADATA_KEY]
    for name, axis in (("fc1.weight", 0), ("fc1.bias", 0), ("fc2.weight", 1)):
        state[f"encoder.layers.0.{name}"] = state[f"encoder.layers.0.{name}"].narrow(axis, 0, 5)


def test_a_cut_model_in_a_task_of_fairseq(new_run, changed, parallel, capsys):
    """It builds whole models: the line says which task does not; others are not asked for another."""
    file, task = changed(cut), "or --task prune_translation if units were cut out of it"
    words = ["generate", parallel, "--user-dir", USER_DIR, "--path", file, "--cpu", "--task"]
    with pytest.raises(SystemExit) as caught:
        run_fairseq(*words, "translation")
    line = caught.value.code
    assert line.isprintable() and line.startswith(f"checkpoint {file}: does not fit this model (RuntimeError in module")
    assert "mismatch for encoder.layers.0" in line and line.endswith(f"…); give the data of its training, {task}")
    run_fairseq(*words, "prune_translation")
    assert capsys.readouterr().out.count("H-") == 8

    line = line_of(new_run(task="translation"), "--finetune-from-model", file, "--encoder-layers", 2)
    assert line.endswith(f"); give the --arch and sizes of its training, {task}")
    changed(lambda c: c["model"].update({"encoder.embed_tokens.weight": torch.zeros(3, 16)}))
    with pytest.raises(SystemExit, match=r"embed_tokens.weight.*\); give the data of its training$"):
        run_fairseq(*words, "prune_translation")


def test_nothing_to_resume_by(new_run, changed):
    """Without an optimizer's state fairseq begins a new one; a place in the data that is none is refused."""

    def forget(checkpoint):
        checkpoint["extra_state"], checkpoint["last_optimizer_state"] = {}, None

    words = ["--encoder-layers", 2, "--disable-validation"]
    new_run().train("--restore-file", changed(forget), *words)
    file = changed(lambda c: c["extra_state"]["train_iterator"].update(iterations_in_epoch="x"))
    assert line_of(new_run("place"), "--restore-file", file, *words).startswith(f"--restore-file {file}: ")
    new_run("weights").train("--finetune-from-model", file, *words)


STATE = "PruneTranslationTask"
DAMAGES = {
    "optimizer": lambda c: c["last_optimizer_state"].pop("param_groups"),
    "events": lambda c: c["extra_state"][STATE].pop("events_done"),
    "account": lambda c: c["extra_state"][STATE].update(account=[3]),
    "mask": lambda c: c["model"]._metadata[""][METADATA_KEY].update({"encoder.embed_tokens.weight": 3}),
    "masks": lambda c: c["model"]._metadata[""].update({METADATA_KEY: "x"}),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_state(new_run, changed, damage):
    file = changed(DAMAGES[damage])
    assert "damaged" in (line := line_of(new_run(), "--restore-file", file, "--encoder-layers", 2, *PRUNING)) or (
        f"--restore-file {file}: cannot be resumed from (KeyError" in line
    )


def test_an_optimizer_that_cannot_be_set_up_is_not_blamed_on_the_file(new_run, pruned):
    line = line_of(
        new_run(), "--restore-file", pruned.folder / "checkpoint_last.pt", "--encoder-layers", 2, "--optimizer", "lamb"
    )
    assert line.startswith("--optimizer lamb --lr-scheduler fixed: cannot be set up (ModuleNotFoundError")


def test_a_state_of_earlier_versions_has_no_account(new_run, changed):
    file = changed(lambda c: c["extra_state"][STATE].pop("account"))
    new_run().train("--restore-file", file, "--encoder-layers", 2, *PRUNING, "--max-update", 10, "--disable-validation")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda c: c.update(model=[1]), "its model is not a mapping"),
        (lambda c: c["model"].update(x=torch.zeros(1).expand(10**6, 10**6)), "its model has a tensor that is sparse"),
        (lambda c: c["model"].update(x=3), "x of its model is not a tensor"),
        (lambda c: c.update(optimizer_history=3), "its optimizer_history is not a list"),
        (lambda c: setattr(c["cfg"]["model"], "encoder_layers", 10**30), "its config has encoder_layers 1000"),
        (lambda c: c["model"]._metadata.update({"": 3}), "the metadata of its model"),
    ],
)
def test_wrong_kinds(changed, change, reason):
    file = changed(change)
    for words in (["inspect", file], ["compact", file, file.parent / "out.pt"]):
        assert f"checkpoint {file}: not a readable fairseq checkpoint ({reason}" in refused(*words)


def test_weights_that_are_no_numbers(changed, parallel, tmp_path, capsys):
    """Counted as any others; not evaluated."""
    file = changed(lambda c: c["model"]["encoder.layers.0.fc1.weight"].fill_(float("nan")))
    main(["inspect", str(file), "--json"])
    line = f"{file}: encoder.layers.0.fc1.weight has weights that are not finite; give a checkpoint from before"
    assert refused("inspect", file, "--data", parallel) == line
    assert refused("compact", file, tmp_path / "out.pt").startswith(line.partition(":")[0])


def test_no_config(changed, parallel):
    file = changed(lambda c: c.pop("cfg") and c.pop("args"))
    assert f"{file}: its config is of no task (" in refused("inspect", file, "--data", parallel)


def test_a_value_with_a_line_break(new_run):
    assert line_of(new_run(), "--prune-method", "magnitude", "--prune-target", "0.5\n0.6").startswith(
        r"--prune-target 0.5\n0.6: give a fraction"
    )


@pytest.mark.parametrize("value", ["${x}", "a\\", "???"])
def test_a_value_that_fairseq_takes_for_something_else(new_run, value):
    assert f"--prune-skip {value}: fairseq does not read " in line_of(new_run(), "--prune-skip", value)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"[" * 10_000, b"prune-target: " + b"9" * 5000])
def test_recipes_that_are_none(new_run, tmp_path, content):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_bytes(content)
    assert f"--prune-recipe {recipe}: not YAML, " in line_of(new_run(), "--prune-recipe", recipe)
