"""``fairseq-prune prune``: a checkpoint is pruned at once, without training."""

import json
import re
import shutil

import pytest
import torch
from conftest import masks_of, words_of

from fairseq_prune.cli.main import main
from fairseq_prune.compat import load_checkpoint
from fairseq_prune.deploy.prune import prune_model


@pytest.fixture(scope="module")
def dense(module_run):
    """A trained Transformer of the stock task."""
    run = module_run("dense", task="translation")
    run.train()
    return run


def pruned(dense, tmp_path, *words):
    out = tmp_path / "pruned.pt"
    main(["prune", str(dense.folder / "checkpoint_last.pt"), str(out), *words])
    return load_checkpoint(out)


def test_the_smallest_weights_are_removed(dense, tmp_path, capsys):
    file = pruned(dense, tmp_path, "--target", "0.8")
    assert re.match(r"0\.(8000|7999) of the prunable weights are removed", capsys.readouterr().out)
    before, after, masks = dense.checkpoint()["model"], file["model"], masks_of(file)
    names = [name for name, value in before.items() if value.dim() > 1 and not name.startswith("decoder.embed")]
    names.remove("decoder.output_projection.weight")  # all embeddings are one tensor
    matrices = {name: before[name] for name in names}
    total = sum(value.numel() for value in matrices.values())
    removed = torch.cat([before[name][~masks[name]].abs() for name in names if name in masks])
    kept = torch.cat([before[name][masks[name]].abs() for name in names])
    assert len(removed) == round(0.8 * total) and removed.max() <= kept.min()
    for name in names:
        assert torch.equal(after[name], before[name] * masks[name])
    assert torch.equal(after["encoder.layers.0.fc1.bias"], before["encoder.layers.0.fc1.bias"])


def test_neurons_are_cut_and_the_file_is_used(dense, new_run, tmp_path):
    file = pruned(dense, tmp_path, "--method", "l1", "--units", "neuron", "--target", "0.5")
    assert file["model"]["encoder.layers.0.fc1.weight"].shape == (16, 16) and not file["last_optimizer_state"]
    assert file["cfg"]["task"]["_name"] == "prune_translation"
    tuned = new_run("tuned").train("--finetune-from-model", tmp_path / "pruned.pt")
    assert tuned["model"]["decoder.layers.0.fc2.weight"].shape == (16, 16)


def test_quality_before_and_after(dense, tmp_path, capsys):
    pruned(dense, tmp_path, "--target", "0.9", "--quality", "--json")
    report = json.loads(capsys.readouterr().out)
    assert report["removed"] == pytest.approx(0.9, abs=1e-3)
    assert report["before"]["sparsity"] < 1 < 80 < report["after"]["sparsity"]
    assert report["before"]["valid_perplexity"] != report["after"]["valid_perplexity"] > 1


def test_nothing_is_written_where_the_data_cannot_be_read(dense, tmp_path):
    """Here only of the test split, which is measured last; it is no missing one, for a pruning task either."""
    data = shutil.copytree(dense.data, tmp_path / "data")
    (data / "test.de-en.en.idx").write_bytes(b"no index")
    damaged = f"DATA {data}: {data}/test.de-en.en.idx: is not an index; make it again with fairseq-preprocess"
    with pytest.raises(SystemExit, match=damaged):
        pruned(dense, tmp_path, "--target", "0.5", "--quality", "--data", str(data))
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
    pruned(dense, tmp_path, "--target", "0.5", "--data", str(data))  # which needs no data
    with pytest.raises(SystemExit, match=damaged):
        main(["inspect", str(tmp_path / "pruned.pt"), "--data", str(data)])
    (data / "valid.de-en.en.idx").unlink()
    with pytest.raises(SystemExit, match=f"DATA {data}: valid has no translations; make it again with fairseq-prep"):
        main(["inspect", str(dense.folder / "checkpoint_last.pt"), "--data", str(data)])
    for file in data.glob("valid.*"):
        file.unlink()
    with pytest.raises(SystemExit, match=f"DATA {data}: Dataset not found: valid"):
        main(["inspect", str(dense.folder / "checkpoint_last.pt"), "--data", str(data)])


def test_further(dense, tmp_path):
    """What is removed stays removed when a pruned file is pruned again, of whole rows."""
    first = pruned(dense, tmp_path, "--target", "0.5")
    main(
        ["prune", str(tmp_path / "pruned.pt"), str(tmp_path / "again.pt"), *words_of("--units row --scope layer")]
        + words_of("--method magnitude --target 0.8 --skip *embed*")
    )
    again = masks_of(load_checkpoint(tmp_path / "again.pt"))
    assert all(not again[name][~keep].any() for name, keep in masks_of(first).items())
    keep = again["encoder.layers.0.fc1.weight"]
    assert (~keep).float().mean() == pytest.approx(0.8, abs=0.04) and (~keep).all(1).any()


BAD = {
    "--method snip --target 0.5": "--method snip: needs training",
    "--method movement --target 0.5": "--method movement: needs training",
    "--method rigl --target 0.5": "--method rigl: needs training",
    "--method group_lasso": "--method group_lasso: needs training",
    "--method imp --target 0.5": "--method imp: needs training",
    "--target 0.5 --importance taylor": "--importance taylor: needs training",
    "--target 0.5 --importance score": "--importance score: is for methods that learn scores",
    "--method wnada --target 0.5": "did you mean 'wanda'",
    "--method wanda --target 0.5 --batches 0": "--batches 0: give at least 1, e.g. --batches 5",
    "--method wanda --target 0.5 --batches -3": "--batches -3: give at least 1",
    "--units 3:7": "its 16 inputs are not divisible by 7",
    "--method none": "removes nothing",
    "": "needs --target",
    "--target 1.5": "1.5",
    "--target 0.5 --units channel": "no such coupled units; it has head",
    "--target 0.5 --skip *fc9*": "fc9",
    "--target 0.5 --data nowhere": "no such folder",
}


@pytest.mark.parametrize("words", BAD)
def test_bad_input(dense, tmp_path, words):
    with pytest.raises(SystemExit, match=BAD[words].replace(".", r"\.").replace("*", ".")) as stop:
        pruned(dense, tmp_path, *words_of(words))
    assert "\n" not in str(stop.value) and not (tmp_path / "pruned.pt").exists()


def test_options_are_refused_before_the_checkpoint_is_read(tmp_path):
    with pytest.raises(SystemExit, match="--method rigl: needs training"):
        main(["prune", str(tmp_path / "none.pt"), str(tmp_path / "out.pt"), "--method", "rigl", "--target", "0.5"])


def test_out_that_exists(dense, tmp_path):
    (tmp_path / "pruned.pt").write_text("mine")
    with pytest.raises(SystemExit, match="exists; give another name or --overwrite"):
        pruned(dense, tmp_path, "--target", "0.5")
    assert (tmp_path / "pruned.pt").read_text() == "mine"


def test_a_model_in_memory():
    torch.manual_seed(1)
    net = torch.nn.Sequential(torch.nn.Linear(10, 8), torch.nn.ReLU(), torch.nn.Linear(8, 4))
    assert prune_model(net, {"method": "magnitude", "target": 0.5}) == pytest.approx(0.5, abs=0.01)
    first = net[0].weight == 0
    assert prune_model(net, {"method": "random", "target": 0.75}) == pytest.approx(0.75, abs=0.01)
    assert not net[0].weight[first].any()
    told = r"^--prune-target 0.4erk: 0.* of '2.weight' is removed already; give e.g. --prune-target (0.\d+), or"
    with pytest.raises(ValueError, match=told) as refused:  # both tensors have lost more
        prune_model(net, {"method": "magnitude", "target": "0.4erk"})
    enough = re.match(told, str(refused.value)).group(1)
    assert prune_model(net, {"method": "magnitude", "target": enough, "scope": "layer"}) > 0.75
