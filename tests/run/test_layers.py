"""Whole layers of encoders and decoders: bypassed while they are masked, cut out in the run, the config says so."""

import json
import re

import pytest
from conftest import TINY, USER_DIR, masks_of, run_fairseq, same_tensors

from fairseq_prune.cli.main import main
from fairseq_prune.compat import load_checkpoint
from fairseq_prune.pruning.depth import stored_depth

DEEP = TINY.replace("--encoder-layers 1 --decoder-layers 1", "--encoder-layers 2 --decoder-layers 4")
ARCH = f"--arch transformer --share-all-embeddings {DEEP}"
PRE_NORM = "--encoder-normalize-before --decoder-normalize-before"
HALF = ["--prune-units", "layer", "--prune-only", "decoder.layers.*", "--prune-target", "0.5", "--disable-validation"]
METHODS = ["magnitude", "random", "shortgpt", "layer_loss", "layer_gradient"]


def depth_of(checkpoint, side="decoder"):
    return len({name.split(".")[2] for name in checkpoint["model"] if name.startswith(f"{side}.layers.")})


def config_of(checkpoint):
    model = checkpoint["cfg"]["model"]
    return model if isinstance(model, dict) else vars(model)


@pytest.mark.parametrize("method", METHODS)
def test_exactly_so_many_layers_are_cut_and_the_config_says_so(new_run, method):
    run = new_run(arch=ARCH)
    checkpoint = run.train("--prune-method", method, *HALF)
    assert (depth_of(checkpoint), depth_of(checkpoint, "encoder")) == (2, 2)
    assert (config_of(checkpoint)["decoder_layers"], config_of(checkpoint)["encoder_layers"]) == (2, 2)
    entry = stored_depth(checkpoint["model"])["decoder.layers"]
    assert entry["of"] == 4 and len(entry["kept"]) == 2
    moments = checkpoint["last_optimizer_state"]
    parameters = {value.data_ptr() for value in checkpoint["model"].values() if value.is_floating_point()}
    assert len(moments["state"]) == len(moments["param_groups"][0]["params"]) <= len(parameters)
    assert not masks_of(checkpoint)


GRADUAL = "--prune-schedule linear --prune-start 1up --prune-end 5up --prune-every 2up".split()
RUNS = {
    "once": (ARCH, []),
    "gradual": (ARCH, ["--prune-target", "0.75", *GRADUAL]),
    "pre-norm": (f"{ARCH} {PRE_NORM} --update-freq 2", ["--prune-start", "3up"]),
    "rewound": (ARCH, ["--prune-start", "4up", "--prune-rewind", "1up"]),
}


@pytest.mark.parametrize("name", RUNS)
def test_interrupted_equals_uninterrupted(new_run, name):
    """Stopped before and after the removal: weights, moments, masks, config, and what is known of the layers."""
    arch, words = RUNS[name]
    words = ["--prune-method", "shortgpt", *HALF, *words]
    run = new_run("whole", arch=arch)
    whole = run.train(*words, "--save-interval-updates", "1")
    for stop in (2, 4, 5):
        resumed = new_run(f"stopped-{stop}", arch=arch)
        resumed.begin_at(*run.folder.glob(f"checkpoint_*_{stop}.pt"))
        assert not same_tensors(whole["model"], resumed.checkpoint()["model"])
        after = resumed.train(*words)
        for part in ("model", "last_optimizer_state"):
            assert same_tensors(whole[part], after[part]), stop
        state, other = (c["extra_state"]["PruneTranslationTask"] for c in (whole, after))
        assert same_tensors(state, other)
        assert masks_of(whole) == masks_of(after) == {} and stored_depth(whole["model"]) == stored_depth(after["model"])
        assert config_of(after)["decoder_layers"] == config_of(whole)["decoder_layers"] == depth_of(after)


def test_layers_are_masked_and_bypassed_between_events(new_run):
    run = new_run(arch=ARCH)
    run.train("--prune-method", "shortgpt", *HALF, *GRADUAL, "--save-interval-updates", "1")
    between = run.checkpoint("checkpoint_1_4.pt")
    assert depth_of(between) == config_of(between)["decoder_layers"] == 4
    gone = {name.split(".")[2] for name in masks_of(between)}
    assert not any(keep.any() for keep in masks_of(between).values())
    (number,) = gone
    names = {name for name in between["model"] if name.startswith(f"decoder.layers.{number}.")}
    assert names == masks_of(between).keys()


def hypotheses(capsys, data, path, *words):
    capsys.readouterr()
    run_fairseq("generate", data, "--path", path, "--cpu", "--beam", "2", "--max-len-b", "5", "--max-tokens", "200",
                "--num-workers", "0", *words)  # fmt: skip
    found = re.findall(r"^(H-\d+)\t(\S+)\t(.*)$", capsys.readouterr().out, re.MULTILINE)
    assert len(found) == 8
    return found


@pytest.fixture
def cut(new_run):
    run = new_run("cut", arch=ARCH)
    run.train("--prune-method", "shortgpt", *HALF)
    return run


def test_fairseq_generates_with_and_without_this_package(cut, capsys):
    path = cut.folder / "checkpoint_last.pt"
    ours = hypotheses(capsys, cut.data, path, "--user-dir", USER_DIR, "--task", "prune_translation")
    assert ours == hypotheses(capsys, cut.data, path, "--task", "translation")


@pytest.mark.parametrize("layers", [4, 2], ids=["as in the first run", "as in the file"])
def test_finetuning_takes_over_the_depth(cut, new_run, layers):
    arch = ARCH.replace("--decoder-layers 4", f"--decoder-layers {layers}")
    again = new_run("again", arch=arch)
    words = ["--finetune-from-model", cut.folder / "checkpoint_last.pt", "--prune-method", "layer_loss", *HALF]
    tuned = again.train(*words, "--max-update", "4")
    entry, before = (stored_depth(c["model"])["decoder.layers"] for c in (tuned, cut.checkpoint()))
    assert depth_of(tuned) == config_of(tuned)["decoder_layers"] == len(entry["kept"]) == 1
    assert entry["of"] == before["of"] == 4 and set(entry["kept"]) < set(before["kept"])
    more = again.train(*words, "--max-update", "6")  # the target is of the model that this run began with
    assert depth_of(more) == 1 and more["optimizer_history"][-1]["num_updates"] == 6


def test_stock_weights_of_another_depth_are_an_error_as_ever(new_run):
    new_run("dense", arch=ARCH.replace("--decoder-layers 4", "--decoder-layers 2")).train("--max-update", "1")
    with pytest.raises(SystemExit, match="does not fit this model"):
        new_run(arch=ARCH).train("--finetune-from-model", new_run("dense").folder / "checkpoint_last.pt")


def test_trained_with_layer_drop(new_run):
    arch = f"{ARCH} --encoder-layerdrop 0.5 --decoder-layerdrop 0.5"
    checkpoint = new_run(arch=arch).train("--prune-method", "shortgpt", *HALF, "--prune-start", "3up")
    assert depth_of(checkpoint) == 2 and config_of(checkpoint)["decoder_layerdrop"] == 0.5


@pytest.mark.parametrize("words", [["--store-ema", "--ema-decay", "0.9"]], ids=["ema"])
def test_where_shapes_cannot_change_layers_stay_masked(new_run, words):
    checkpoint = new_run(arch=ARCH).train("--prune-method", "shortgpt", *HALF, *words)
    assert depth_of(checkpoint) == config_of(checkpoint)["decoder_layers"] == 4
    assert len({name.split(".")[2] for name in masks_of(checkpoint)}) == 2
    for name in masks_of(checkpoint):
        assert not checkpoint["model"][name].any() and not checkpoint["extra_state"]["ema"][name].any()


REFUSED = {
    "--prune-target 0.9": r"--prune-target 0.9: at most 0.75 of 'all' can be removed: one unit of every layer stays",
    "--prune-target 0.1": r"--prune-target 0.1: amounts to no unit of 'all'; give e.g. --prune-target 0.2$",
    "--decoder-layers 1": "--prune-target 0.5: amounts to no unit of .*; give other units, e.g. --prune-units row",
    "--decoder-layers 1 --prune-target 0.6": "at most 0.0 of 'all' can .* stays; give other units, e.g. --prune-units",
    "--prune-only decoder.layers.7.*": r"--prune-only decoder.layers.7.\*: matches no layer; did you mean",
    "--prune-method greg1 --prune-scope layer": "--prune-units layer: are not for --prune-method greg1",
    "--prune-method magnitude --prune-units neuron --prune-importance cosine": "only for units layer; e.g. --prune",
}


@pytest.mark.parametrize("words", REFUSED)
def test_mistakes_end_in_one_line(new_run, words):
    with pytest.raises(SystemExit, match=REFUSED[words]) as refusal:
        new_run(arch=ARCH).train("--prune-method", "shortgpt", *HALF, *words.split())
    assert "\n" not in str(refusal.value)


def test_what_is_masked_is_cut_by_compact_and_left_out_by_export(new_run, capsys, tmp_path):
    """A post-norm layer of zeros is not nothing: all have to skip it."""
    run = new_run(arch=ARCH)
    masked = run.train("--prune-method", "shortgpt", *HALF, "--store-ema", "--ema-decay", "0.9")
    path, ours = run.folder / "checkpoint_last.pt", ("--user-dir", USER_DIR, "--task", "prune_translation")
    found = hypotheses(capsys, run.data, path, *ours)
    main(["compact", str(path), str(tmp_path / "compact.pt"), "--json"])
    assert json.loads(capsys.readouterr().out)["removed"]["layer"] == 2
    cut = load_checkpoint(tmp_path / "compact.pt")
    assert depth_of(cut) == config_of(cut)["decoder_layers"] == 2 and not masks_of(cut)
    gone = {int(name.split(".")[2]) for name in masks_of(masked)}
    assert stored_depth(cut["model"]) == {"decoder.layers": {"of": 4, "kept": sorted({0, 1, 2, 3} - gone)}}
    assert hypotheses(capsys, run.data, tmp_path / "compact.pt", *ours) == found
    main(["export", str(path), str(tmp_path / "plain.pt"), "--to", "fairseq"])
    assert hypotheses(capsys, run.data, tmp_path / "plain.pt", "--task", "translation") == found
    main(["export", str(path), str(tmp_path / "ct2"), "--to", "ctranslate2", "--batches", "1"])
    assert (tmp_path / "ct2" / "model.bin").exists()


@pytest.mark.parametrize("method", ["magnitude", "random"])
def test_prune_without_training(new_run, capsys, tmp_path, method):
    """Twice: what is known of the layers is of the first model."""
    run = new_run(arch=ARCH)
    run.train("--max-update", "2")
    options = ["--method", method, "--units", "layer", "--only", "decoder.layers.*", "--target"]
    main(["prune", str(run.folder / "checkpoint_last.pt"), str(tmp_path / "a.pt"), *options, "0.5"])
    main(["prune", str(tmp_path / "a.pt"), str(tmp_path / "b.pt"), *options, "0.5"])
    cut = load_checkpoint(tmp_path / "b.pt")
    assert depth_of(cut) == config_of(cut)["decoder_layers"] == 1
    assert stored_depth(cut["model"])["decoder.layers"]["of"] == 4
    assert hypotheses(capsys, run.data, tmp_path / "b.pt", "--task", "translation")
