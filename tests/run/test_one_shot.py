"""Pruning by the inputs of layers, in training and without: the same masks, on one rank and on two."""

import re
import shutil

import pytest
import torch
from conftest import TINY, masks_of, same_tensors, words_of
from test_methods_on_ranks import ends

from fairseq_prune.cli.main import main
from fairseq_prune.compat import load_checkpoint
from fairseq_prune.deploy.prune import prune_model
from fairseq_prune.engine.evidence import gather

METHODS = ["wanda", "ria", "sparsegpt"]


@pytest.fixture(scope="module")
def dense(module_run):
    run = module_run("dense")
    run.train("--max-update", "40", "--disable-validation")
    return run.folder / "checkpoint_last.pt"


def pruned(dense, folder, *words):
    main(["prune", str(dense), str(folder / "out.pt"), *words, "--overwrite"])
    return load_checkpoint(folder / "out.pt")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("how", ["--target 0.5", "--units 2:4"])
def test_the_command_removes_what_training_would(dense, new_run, tmp_path, method, how):
    """From the same weights, by the same batches; training then changes what is left."""
    file = pruned(dense, tmp_path, "--method", method, *words_of(how))
    words = ["--prune-method", method, *words_of(how.replace("--", "--prune-"))]
    trained = new_run().train("--finetune-from-model", dense, *words, "--max-update", "1", "--disable-validation")
    assert same_tensors(masks_of(file), masks_of(trained))
    before, masks = load_checkpoint(dense)["model"], masks_of(file)
    changed = [n for n, keep in masks.items() if not torch.equal(file["model"][n], before[n] * keep)]
    assert bool(changed) == (method == "sparsegpt")
    assert all(not file["model"][name][~keep].any() for name, keep in masks.items())


def test_of_every_output_of_wanda_the_same_part_is_removed(dense, tmp_path):
    masks = masks_of(pruned(dense, tmp_path, "--method", "wanda", "--target", "0.3"))
    for keep in masks.values():
        gone = (~keep).sum(1)
        assert gone.max() - gone.min() <= 1 and int(gone.sum()) == round(0.3 * keep.numel())
    of_layers = masks_of(pruned(dense, tmp_path, "--method", "ria", "--target", "0.3")).values()
    assert any((~keep).sum(1).max() - (~keep).sum(1).min() > 1 for keep in of_layers)  # control


def test_other_batches_remove_others(dense, tmp_path, caplog):
    """The seed draws the batches, and their number counts; if there are fewer than asked for, that is said."""
    one, again, other, fewer = (
        masks_of(pruned(dense, tmp_path, "--method", "wanda", "--target", "0.5", *words_of(words)))
        for words in ("", "", "--seed 2", "--batches 1")
    )
    assert same_tensors(one, again) and not same_tensors(one, other) and not same_tensors(one, fewer)
    assert "--prune-batches" not in caplog.text
    pruned(dense, tmp_path, "--method", "wanda", "--target", "0.5", "--batches", "1000")
    assert re.search(r"--prune-batches 1000: the training set has \d\d, all of which are used", caplog.text)


@pytest.mark.parametrize("method", METHODS)
def test_two_ranks_add_up_their_inputs(dense, parallel, tmp_path, method):
    """Three batches on one and two on the other remove what the five do."""
    text = f"""--task prune_translation --arch transformer --share-all-embeddings {TINY} --criterion cross_entropy
        --optimizer adam --lr 0.01 --max-tokens 100 --max-update 1 --prune-method {method} --prune-target 0.5
        --finetune-from-model {dense}"""
    first, second = ends(2, parallel, words_of(text), tmp_path)
    alone = masks_of(pruned(dense, tmp_path, "--method", method, "--target", "0.5"))
    assert same_tensors(first["masks"], second["masks"])
    same = [float((first["masks"][name] == keep).float().mean()) for name, keep in alone.items()]
    assert min(same) > 0.99  # sums in another order may turn a tie


BAD = {
    "--method wanda --target 0.5 --data nowhere": "--data nowhere: no such folder",
    "--method magnitude --target 0.5 --batches 3": "--batches 3: has no effect here; .* e.g. wanda",
    "--method wanda --target 0.5 --scope global": "--scope global: --method wanda prunes layer after layer; give",
    "--method sparsegpt --target 0.5 --units row": "--units row: are not for --method sparsegpt; give e.g. ",
    "--method wanda --target 0.5 --units neuron": "--units neuron: several layers own them",
    "--method wanda --target 0.01abs": "--target 0.01abs: is not for --method wanda; give e.g. ",
    "--method wanda --target 0.5 --scope output --units row": "--scope output: is for single weights",
}


@pytest.mark.parametrize("words", BAD)
def test_bad_input(dense, tmp_path, words):
    with pytest.raises(SystemExit, match=BAD[words]) as stop:
        pruned(dense, tmp_path, *words_of(words))
    assert "\n" not in str(stop.value) and not (tmp_path / "out.pt").exists()


def test_data_without_a_training_set(dense, parallel, tmp_path):
    (tmp_path / "data").mkdir()
    for file in parallel.iterdir():
        if not file.name.startswith("train"):
            (tmp_path / "data" / file.name).symlink_to(file)
    with pytest.raises(SystemExit, match="train") as stop:
        pruned(dense, tmp_path, "--method", "wanda", "--target", "0.5", "--data", str(tmp_path / "data"))
    assert "\n" not in str(stop.value)


def test_data_of_as_many_other_words(dense, parallel, tmp_path, caplog):
    """The numbers fit, so only the words can tell; a copy of the training's data is none of those."""
    data = shutil.copytree(parallel, tmp_path / "other")
    pruned(dense, tmp_path, "--method", "magnitude", "--target", "0.5", "--data", str(data))
    assert "was trained with another" not in caplog.text
    for side in ("de", "en"):
        words = (data / f"dict.{side}.txt").read_text().splitlines()
        (data / f"dict.{side}.txt").write_text("\n".join(words[::-1]) + "\n")
    pruned(dense, tmp_path, "--method", "wanda", "--target", "0.5", "--data", str(data))
    assert f"--data {data}: {dense} was trained with another source dictionary" in caplog.text


def test_a_model_in_memory_has_no_data():
    with pytest.raises(ValueError, match="--prune-method wanda: needs batches of data"):
        prune_model(torch.nn.Linear(4, 4), {"method": "wanda", "target": 0.5})


@pytest.mark.parametrize("method", ["magnitude", "wanda", "sparsegpt"])
def test_outliers_share_out_the_target(dense, new_run, tmp_path, method):
    """Exactly that much in total, layers unequally; and in training the same."""
    file = pruned(dense, tmp_path, "--method", method, "--target", "0.5owl")
    masks, plain = masks_of(file), masks_of(pruned(dense, tmp_path, "--method", method, "--target", "0.5"))
    total = sum(keep.numel() for keep in plain.values())
    assert sum(int((~keep).sum()) for keep in masks.values()) == round(0.5 * total)
    parts = [float((~keep).float().mean()) for keep in masks.values()]
    assert max(parts) - min(parts) > 0.05 and max(parts) <= 0.7
    words = ["--prune-method", method, "--prune-target", "0.5owl", "--max-update", "1", "--disable-validation"]
    trained = new_run().train("--finetune-from-model", dense, *words)
    assert same_tensors(masks, masks_of(trained))


def test_outliers_are_looked_at_once(new_run):
    """Before the first event; a run that is resumed between two events shares out as it did."""
    run = new_run("whole")
    words = words_of("--prune-method magnitude --prune-target 0.6owl --prune-schedule cubic --prune-end 6up")
    words += words_of("--prune-every 2up --disable-validation")
    whole = run.train(*words, "--save-interval-updates", "1")
    resumed = new_run("stopped")
    resumed.begin_at(run.folder / "checkpoint_1_3.pt")
    after = resumed.train(*words)
    assert same_tensors(whole["model"], after["model"]) and same_tensors(masks_of(whole), masks_of(after))


class Mean(torch.nn.Module):
    """A criterion of a net of images or vectors."""

    def forward(self, model, sample):
        return model(sample["x"]).mean(), 1, {}


def test_the_second_layer_goes_by_what_the_pruned_first_one_gives_it():
    """Wanda by hand on two layers; by what the dense one gave, other weights would be removed."""
    torch.manual_seed(1)
    net = torch.nn.Sequential(torch.nn.Linear(10, 12, bias=False), torch.nn.Linear(12, 6, bias=False))
    first, second = (layer.weight.detach().clone() for layer in net)
    x = torch.randn(50, 10) * torch.arange(1, 11)
    prune_model(
        net,
        {"method": "wanda", "target": 0.5},
        gather=lambda model, kind, *_: gather(kind, model, Mean(), [{"x": x[:20]}, {"x": x[20:]}]),
    )

    def by_hand(weight, inputs):
        scores = weight.abs() * inputs.norm(dim=0)
        return weight * (scores.argsort(1).argsort(1) >= weight.shape[1] // 2)

    pruned_first = by_hand(first, x)
    assert torch.equal(net[0].weight, pruned_first)
    assert torch.equal(net[1].weight, by_hand(second, x @ pruned_first.T))
    assert not torch.equal(net[1].weight, by_hand(second, x @ first.T))  # control


@pytest.mark.parametrize("method", [*METHODS, "magnitude"])
def test_vectors_that_are_asked_for_go_by_their_sizes(method):
    """No input meets a bias; also where outliers say how much of each block is removed."""
    torch.manual_seed(2)
    net, x = torch.nn.Sequential(torch.nn.Linear(8, 10), torch.nn.Linear(10, 6)), torch.randn(30, 8)
    before = [layer.bias.detach().abs() for layer in net]
    fraction = prune_model(
        net,
        {"method": method, "target": "0.5owl" if method == "magnitude" else 0.5, "include": "*.bias"},
        gather=lambda model, kind, *_: gather(kind, model, Mean(), [{"x": x}]),
    )
    assert fraction == pytest.approx(0.5, abs=0.01)
    for layer, sizes in zip(net, before, strict=True):
        gone = layer.bias == 0
        assert 0 < int(gone.sum()) < len(gone) and sizes[gone].max() < sizes[~gone].min()
        assert torch.equal(layer.bias[~gone].abs(), sizes[~gone])
