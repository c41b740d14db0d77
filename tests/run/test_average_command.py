"""`fairseq-prune average`: the mean in float64, zeros exact, masks kept, ties kept; what does not fit is refused."""

import pytest
import torch
from conftest import masks_of, run_fairseq, same_tensors, words_of
from srp_diary import srp_run

from fairseq_prune.cli.main import main
from fairseq_prune.compat import load_checkpoint

NEURONS = words_of("--prune-method magnitude --prune-units neuron --prune-scope layer --prune-target 0.5")


@pytest.fixture(scope="module")
def masked(module_run):
    """Files after updates 2, 4, 6 and 8 of a run that removes a half at the third update, and more at the fifth."""
    run = module_run("masked")
    run.train(
        *words_of("""--prune-method magnitude --prune-target 0.5 --prune-schedule linear --prune-start 2up
        --prune-every 2up --prune-end 4up --max-update 10 --save-interval-updates 1""")
    )
    return run


def file_of(run, update):
    return next(iter(run.folder.glob(f"checkpoint_*_{update}.pt")))


def refused(*words):
    with pytest.raises(SystemExit) as error:
        main(["average", *map(str, words)])
    return str(error.value)


def test_means_and_masks(masked, tmp_path, capsys):
    files = [file_of(masked, update) for update in (6, 7, 9)]
    main(["average", *map(str, files), str(tmp_path / "mean.pt")])
    mean, states = load_checkpoint(tmp_path / "mean.pt"), [load_checkpoint(file)["model"] for file in files]
    masks, model = masks_of(mean), mean["model"]
    assert same_tensors(masks, masks_of({"model": states[0]})) and masks
    for name, value in model.items():
        right = torch.stack([state[name].double() for state in states]).mean(0)
        assert value.dtype == states[0][name].dtype and torch.equal(value, right.to(value.dtype))
        assert name not in masks or not value[~masks[name]].any()
    assert any(not torch.equal(value, states[0][name]) for name, value in model.items())
    tied = "encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "decoder.output_projection.weight"
    assert len({model[name].data_ptr() for name in tied}) == 1
    removed = sum(int((~keep).sum()) for keep in masks.values())
    assert f"3 checkpoints, {len(model)} tensors, {removed:,} weights removed" in capsys.readouterr().out
    assert mean["last_optimizer_state"] is None and "PruneTranslationTask" not in mean.get("extra_state", {})


def test_training_goes_on_from_it(masked, new_run, tmp_path):
    main(["average", str(file_of(masked, 8)), str(file_of(masked, 9)), str(tmp_path / "mean.pt")])
    mean = load_checkpoint(tmp_path / "mean.pt")
    tuned = new_run("next").train("--finetune-from-model", tmp_path / "mean.pt", "--max-update", "3")
    assert same_tensors(masks_of(tuned), masks_of(mean))
    assert not same_tensors(dict(tuned["model"]), dict(mean["model"]))


def test_what_removes_other_weights_is_refused(masked, tmp_path):
    one, other = (masks_of(load_checkpoint(file_of(masked, update))) for update in (3, 6))
    differ = sum(int((~keep).sum()) for keep in other.values()) - sum(int((~keep).sum()) for keep in one.values())
    said = refused(file_of(masked, 3), file_of(masked, 6), tmp_path / "mean.pt")
    assert f": {differ:,} weights are removed in one only; average checkpoints of one run" in said and differ
    assert refused(file_of(masked, 6), file_of(masked, 2), tmp_path / "mean.pt").count("removed in one only")
    assert not (tmp_path / "mean.pt").exists()


@pytest.mark.parametrize("again", ["a.pt", "folder/../a.pt", "soft.pt", "hard.pt"])
def test_the_same_file_twice(tmp_path, again, monkeypatch):
    """By any name; which checkpoint it is does not matter."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    for name in ("a.pt", "b.pt"):
        (tmp_path / name).write_text(name)
    (tmp_path / "soft.pt").symlink_to("a.pt")
    (tmp_path / "hard.pt").hardlink_to("a.pt")
    expected = f"CHECKPOINT {again}: is the same file as a.pt, which would count twice; give each once"
    assert refused("a.pt", "b.pt", again, "mean.pt") == expected
    assert refused("a.pt", "b.pt", "mean.pt").startswith("checkpoint a.pt: not a readable fairseq checkpoint")


def test_cut_models(new_run, parallel, tmp_path, capsys):
    """Those of one run average and translate; those of other widths, or of other units, do not."""
    run, dense = new_run("cut"), new_run("dense")
    run.train(*NEURONS, "--save-interval-updates", "1", "--max-update", "4")
    dense.train("--max-update", "1")
    files = [file_of(run, update) for update in (2, 4)]
    main(["average", *map(str, files), str(tmp_path / "mean.pt")])
    mean, one, two = (load_checkpoint(path)["model"] for path in (tmp_path / "mean.pt", *files))
    name = "encoder.layers.0.fc1.weight"
    assert mean[name].shape == (16, 16) and torch.allclose(mean[name], (one[name] + two[name]) / 2)
    words = words_of("--user-dir fairseq_prune --task prune_translation --beam 2 --cpu --num-workers 0")
    run_fairseq("generate", parallel, *words, "--path", tmp_path / "mean.pt")
    assert "Generate test with beam=2" in capsys.readouterr().out
    said = refused(files[0], dense.folder / "checkpoint_last.pt", tmp_path / "no.pt")
    assert "encoder.layers.0.fc1.weight is [32, 16], not [16, 16]" in said


def test_other_positions_of_srp(parallel, tmp_path):
    """Widths are the same, positions are not."""
    srp = words_of("--srp --compression-rate 0.3 --srp-pruning-updates 3 --max-update 5")
    runs = [srp_run(tmp_path / seed, parallel) for seed in "12"]
    for run, seed in zip(runs, "12", strict=True):
        run.train(*srp, "--seed", seed)
    files = [run.folder / "checkpoint_last.pt" for run in runs]
    assert "pos_emb_mask differs" in refused(*files, tmp_path / "mean.pt")


def test_bad_input(masked, tmp_path):
    file = file_of(masked, 6)
    assert "give two or more to average, and then OUT" in refused(file, tmp_path / "mean.pt")
    assert "is CHECKPOINT itself" in refused(file_of(masked, 7), file, file, "--overwrite")
    assert "no such file" in refused(file, tmp_path / "none.pt", tmp_path / "mean.pt")
