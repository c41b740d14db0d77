"""Wherever weights come from a pruned checkpoint, its masks come along."""

from collections import OrderedDict

import pytest
import torch
from conftest import TINY, masks_of, same_tensors

from fairseq_prune.deploy.compact import compact
from fairseq_prune.pruning.masks import unpack_mask

PRUNED = ["--prune-method", "magnitude", "--prune-target", "0.7"]


@pytest.fixture
def pruned(new_run):
    run = new_run("pruned")
    run.train(*PRUNED)
    return run


def still_zero(checkpoint, masks):
    return all(not checkpoint["model"][name][~keep].any() for name, keep in masks.items())


WAYS = {
    "finetune": ["--finetune-from-model"],
    "reset-dataloader": ["--reset-dataloader", "--max-update", "16", "--restore-file"],
    "restore": ["--max-update", "16", "--restore-file"],
    "finetune-sgd": ["--optimizer", "sgd", "--lr", "0.1", "--momentum", "0.9", "--finetune-from-model"],
}


@pytest.mark.parametrize("way", WAYS)
def test_none_keeps_the_masks(new_run, pruned, way):
    before = pruned.checkpoint()
    after = new_run("after").train(*WAYS[way], pruned.folder / "checkpoint_last.pt")
    masks = masks_of(before)
    assert same_tensors(masks_of(after), masks)
    assert still_zero(after, masks)
    assert not same_tensors(before["model"], after["model"])  # control: it has trained


def test_without_masks_weights_revive(new_run, pruned):
    """The control: the same finetuning by a stock task, which knows no masks."""
    masks = masks_of(pruned.checkpoint())
    after = new_run("stock", task="translation").train("--finetune-from-model", pruned.folder / "checkpoint_last.pt")
    assert not still_zero(after, masks)


def test_pruning_further_only_removes_more(new_run, pruned):
    masks = masks_of(pruned.checkpoint())
    more = new_run("more").train(
        "--finetune-from-model",
        pruned.folder / "checkpoint_last.pt",
        "--prune-method",
        "random",
        "--prune-target",
        "0.9",
    )
    assert still_zero(more, masks)
    removed, total = (sum(f(m) for m in masks_of(more).values()) for f in (lambda m: int((~m).sum()), torch.numel))
    assert removed >= round(0.9 * total)


def test_half_of_what_is_removed_is_refused(new_run, pruned):
    with pytest.raises(SystemExit, match=r"--prune-target 0.3: 0.7\d* of 'all' is removed already"):
        new_run("less").train(
            "--finetune-from-model", pruned.folder / "checkpoint_last.pt",
            "--prune-method", "magnitude", "--prune-target", "0.3",
        )  # fmt: skip


def test_resume_with_another_plan_is_refused(pruned):
    with pytest.raises(
        SystemExit, match=r"--prune-target \*=0.9: the interrupted run had \*=0.7; resume with the same"
    ):
        pruned.train("--prune-method", "magnitude", "--prune-target", "0.9", "--max-update", "16")


@pytest.mark.parametrize("precision", [[], ["--ema-fp32"]])
def test_averages_started_from_a_checkpoint_are_masked(new_run, precision):
    """Masked at the event, so exactly zero although the average moves by a tenth only."""
    dense = new_run("dense")
    dense.train("--max-update", "3")
    ema = ["--store-ema", "--ema-decay", "0.9", *precision]
    after = new_run("after").train(
        *PRUNED, "--prune-start", "3up", "--finetune-from-model", dense.folder / "checkpoint_last.pt", *ema
    )
    averages = after["extra_state"]["ema_fp32_params" if precision else "ema"]
    assert masks_of(after)
    for name, keep in masks_of(after).items():
        assert not averages[name][~keep].any()
        assert averages[name][keep].any()


def test_an_unfinished_schedule_is_not_dropped(new_run):
    run = new_run()
    gradual = [*PRUNED, "--prune-schedule", "linear", "--prune-end", "6up"]
    run.train(*gradual, "--max-update", "8", "--save-interval-updates", "3")
    (run.folder / "checkpoint_1_3.pt").rename(run.folder / "checkpoint_last.pt")
    with pytest.raises(SystemExit, match="had not finished pruning; resume with its options, e.g. --prune-method mag"):
        run.train()
    run.train(*gradual)
    run.train("--max-update", "10")  # control: a finished one goes on without


def test_zeros_without_masks_are_pointed_out(new_run, pruned, caplog):
    """Averaging checkpoints rebuilds the state dict, which loses the metadata."""
    state = pruned.checkpoint()
    state["model"] = OrderedDict(state["model"])
    torch.save(state, pruned.folder / "average.pt")
    new_run("after").train("--finetune-from-model", pruned.folder / "average.pt")
    assert "came without masks" in caplog.text
    caplog.clear()
    new_run("control").train("--finetune-from-model", pruned.folder / "checkpoint_last.pt")
    assert "came without masks" not in caplog.text


def test_best_begins_anew_after_pruning(new_run):
    """checkpoint_best.pt is a pruned one, although the dense model's loss was lower."""
    new_run("dense").train("--max-update", "80", "--disable-validation")
    run = new_run("pruned-late")
    run.train(
        "--finetune-from-model", new_run("dense").folder / "checkpoint_last.pt", "--lr", "1e-9",
        "--prune-method", "magnitude", "--prune-target", "0.95", "--prune-start", "4up",
        "--save-interval-updates", "1",
    )  # fmt: skip
    assert masks_of(run.checkpoint("checkpoint_best.pt"))


NEURONS = "--prune-method magnitude --prune-units neuron --prune-target 0.4".split()


@pytest.fixture
def thinned(new_run):
    """A third of the weights of every layer, so that all neurons have some left."""
    run = new_run("thinned")
    run.train("--prune-method", "random", "--prune-scope", "layer", "--prune-target", "0.33")
    return run


def kept_neurons(checkpoint):
    """Dict of block -> bool [32 neurons], True = stays."""
    kept = checkpoint["extra_state"]["PruneTranslationTask"]["kept"]
    return {vector.removesuffix(".fc_c"): unpack_mask(units) for vector, units in kept.items()}


def sliced(masks, kept):
    """Masks of all tensors once neurons are cut out."""
    cut = dict(masks)
    for block, units in kept.items():
        cut[f"{block}.fc1.weight"] = masks[f"{block}.fc1.weight"][units]
        cut[f"{block}.fc2.weight"] = masks[f"{block}.fc2.weight"][:, units]
    return cut


def test_single_weights_stay_removed_where_neurons_are_cut_out(new_run, thinned, caplog):
    """In the run; and the fraction that it tells counts both."""
    caplog.set_level("INFO")
    before = masks_of(thinned.checkpoint())
    source = ["--finetune-from-model", thinned.folder / "checkpoint_last.pt"]
    after = new_run("after").train(*NEURONS, *source)
    kept = kept_neurons(after)
    assert sum(int((~units).sum()) for units in kept.values()) == round(0.4 * 64)
    assert same_tensors(masks_of(after), sliced(before, kept)) and still_zero(after, masks_of(after))
    sizes = {t.data_ptr(): t for t in after["model"].values() if t.dim() > 1}
    left = sum(int(t.count_nonzero()) for t in sizes.values())
    whole = sum(keep.numel() for keep in before.values())
    assert f"{1 - left / whole:.4f} of {whole:,} weights removed" in caplog.text


def test_single_weights_stay_removed_where_compact_cuts(new_run, thinned):
    """Neurons that were only masked, as where averages are kept."""
    source = ["--finetune-from-model", thinned.folder / "checkpoint_last.pt"]
    masked = new_run("masked").train(*NEURONS, *source, "--store-ema")
    masks = masks_of(masked)
    kept = {name.removesuffix(".fc1.bias"): keep for name, keep in masks.items() if name.endswith(".fc1.bias")}
    cut, removed = compact(masked)
    assert removed == {"neuron": round(0.4 * 64)} and sum(int((~units).sum()) for units in kept.values()) == 26
    expected = sliced(masks_of(thinned.checkpoint()), kept)
    assert same_tensors(masks_of(cut), expected) and still_zero(cut, expected)


TIED = "--share-decoder-input-output-embed"


def test_copies_of_a_shared_tensor_keep_its_mask(new_run, parallel):
    """All embeddings were one; now the encoder has its own."""
    arch = f"--arch transformer {TINY}"
    shared = new_run("shared", arch=f"{arch} --share-all-embeddings")
    shared.train("--prune-method", "magnitude", "--prune-target", "0.5")
    after = new_run("apart", arch=f"{arch} {TIED}").train("--finetune-from-model", shared.folder / "checkpoint_last.pt")
    masks = masks_of(after)
    assert {"encoder.embed_tokens.weight", "decoder.embed_tokens.weight"} <= masks.keys() and still_zero(after, masks)
    assert torch.equal(masks["encoder.embed_tokens.weight"], masks["decoder.embed_tokens.weight"])
