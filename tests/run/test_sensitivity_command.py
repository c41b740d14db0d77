"""``fairseq-prune sensitivity``: each layer pruned alone, measured, and written as a recipe."""

import pytest
import yaml
from commands import refused, reported
from conftest import masks_of, words_of

from fairseq_prune.cli.main import main
from fairseq_prune.evaluate.load import Workbench

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="module")
def dense(module_run):
    """A trained Transformer of the stock task, whose loss is not what counts."""
    run = module_run("dense", task="translation")
    run.train("--criterion", "label_smoothed_cross_entropy", "--label-smoothing", "0.1")
    return run


def report_of(capsys, run, words):
    return reported(capsys, "sensitivity", run.folder / "checkpoint_last.pt", *words_of(words))


def test_losses_are_those_of_layers_pruned_alone(dense, tmp_path, capsys):
    """As of checkpoints that prune writes; the most sensitive first; and a figure of it."""
    figure, name = tmp_path / "map.png", "encoder.layers.0.fc1.weight"
    report = report_of(capsys, dense, f"--targets 0.5,0.9 --only *layers* --skip *bias,*norm* --png {figure}")
    groups = {group["name"]: group for group in report["groups"]}
    values = [group["sensitivity"] for group in report["groups"]]
    assert values == sorted(values, reverse=True) and len(groups) == 16 and len(set(values)) > 12
    assert figure.read_bytes().startswith(PNG) and figure.stat().st_size > 20_000
    last, pruned = str(dense.folder / "checkpoint_last.pt"), str(tmp_path / "pruned.pt")
    main(["prune", last, pruned, "--target", "0.9", "--only", name])
    for path, found in ((last, report["dense"]), (pruned, groups[name]["trials"][1])):
        bench = Workbench(path)
        assert bench.by_criterion(bench.model(path), "valid")["loss"] == pytest.approx(found["loss"], abs=1e-6)
    growth = found["nll_loss"] - report["dense"]["nll_loss"]
    assert report["measure"] == "nll_loss" and groups[name]["trials"][1]["growth"] == pytest.approx(growth)
    assert growth != pytest.approx(found["loss"] - report["dense"]["loss"])  # control: another measure


def test_seed_split_and_patterns(dense, capsys):
    words = "--method random --targets 0.9 --only encoder.layers.0.fc1.weight --seed"
    one, again, other = (report_of(capsys, dense, f"{words} {seed}")["groups"] for seed in (1, 1, 2))
    assert one == again != other
    report = report_of(capsys, dense, "--targets 0.5 --by group --only *fc1.weight --split test")
    assert {group["name"] for group in report["groups"]} == {"encoder.layers.0", "decoder.layers.0"}
    last = str(dense.folder / "checkpoint_last.pt")
    bench = Workbench(last)
    assert bench.by_criterion(bench.model(last), "test")["loss"] == pytest.approx(report["dense"]["loss"], abs=1e-6)


def test_a_recipe_removes_its_total(dense, new_run, tmp_path, capsys):
    """fairseq-train reads it, and exactly 0.6 of all, rounded down, are removed; groups are blocks."""
    recipe = tmp_path / "recipe.yaml"
    report = report_of(capsys, dense, f"--targets 0.5,0.9 --by group --recipe {recipe} --total 0.6")
    assert {group["name"] for group in report["groups"]} == {
        "encoder.layers.0",
        "decoder.layers.0",
        "encoder.embed_tokens",
    }
    assert yaml.safe_load(recipe.read_text())["prune-target"] == report["fractions"]
    start = ("--finetune-from-model", dense.folder / "checkpoint_last.pt", "--max-update", "2")
    masks = masks_of(new_run("tuned").train("--prune-recipe", recipe, *start))
    removed = sum(int((~keep).sum()) for keep in masks.values())
    assert removed == int(0.6 * sum(group["size"] for group in report["groups"]))


def test_heads_of_which_one_stays(dense, capsys):
    """Of 2 heads 1 can be removed, not both; the table says so."""
    main(["sensitivity", str(dense.folder / "checkpoint_last.pt"), "--units", "head", "--targets", "0.5,0.9"])
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert rows[0] == ["head", "size", "0.5", "0.9", "sensitivity"] and len(rows[1:]) - rows.index([]) + 1 == 4
    assert all(row[1] == "2" and row[3] == "-" and row[2] == row[4] != "-" for row in rows[1 : rows.index([])])


def test_language_models_and_images(new_run, new_image_run, counting, capsys):
    words = "--arch rnn_lm --decoder-embed-dim 8 --decoder-hidden-size 8 --decoder-layers 1"
    text = new_run("lm", data=counting, task="prune_stateful_language_modeling", arch=words)
    text.train("--batch-size", "4", "--max-tokens", "1000")
    report = report_of(capsys, text, "--targets 0.9 --units hidden")
    assert report["measure"] == "nll_loss" and 0 < report["dense"]["accuracy"] <= 100
    images = new_image_run()
    images.train()
    report, more = (
        report_of(capsys, images, f"--targets 0.5 --units channel --batches {count} --split test") for count in (1, 2)
    )
    assert report["groups"][0]["sensitivity"] > 0 and "top1" in report["groups"][0]["trials"][0]
    assert report["dense"]["loss"] != more["dense"]["loss"]


BAD = {
    "--targets 0.5,1.2": "--targets 1.2: give fractions in (0, 1)",
    "--targets half": "--targets half: give fractions, e.g. --targets 0.3",
    "--only *fc9*": "--only *fc9*: matches no parameter",
    "--data nowhere": "--data nowhere: no such folder",
    "--split other": "--split other: the data have none such",
    "--batches 0": "--batches 0: give 1 or more",
    "--recipe r.yaml": "--recipe r.yaml: needs a total",
    "--recipe r.yaml --total 1": "--total 1: give a fraction in (0, 1)",
    "--png a.jpg": "--png a.jpg: a PNG is written",
    "--method snip": "--method snip: needs training",
    "--method wanda": "--method wanda: goes by data",
    "--method none": "--method none: removes nothing",
    "--by group --units head": "--by group: is of tensors",
    "--targets 0.5 --recipe r.yaml --total 0.8": "--total 0.8: what was tried reaches from 0.0 to ",
}


@pytest.mark.parametrize("words", BAD)
def test_bad_input(dense, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert refused("sensitivity", dense.folder / "checkpoint_last.pt", *words_of(words)).startswith(BAD[words])
    assert not list(tmp_path.iterdir())
