"""Stock architectures of every family prune to the exact count and still run."""

import re

import pytest
import torch
from conftest import TINY, USER_DIR, masks_of, run_fairseq

from fairseq_prune.compat import load_checkpoint

FAMILIES = {
    "transformer-tied": ("prune_translation", f"--arch transformer --share-all-embeddings {TINY}"),
    "transformer-untied": ("prune_translation", f"--arch transformer_iwslt_de_en {TINY}"),
    "lstm": (
        "prune_translation",
        "--arch lstm --encoder-embed-dim 12 --encoder-hidden-size 12 --encoder-bidirectional "
        "--decoder-embed-dim 12 --decoder-hidden-size 12 --decoder-out-embed-dim 12",
    ),
    "fconv": (
        "prune_translation",
        "--arch fconv --encoder-embed-dim 12 --encoder-layers [(12,3)] --decoder-embed-dim 12 "
        "--decoder-layers [(12,3)] --decoder-out-embed-dim 12 --decoder-attention True",
    ),
    "transformer_lm": (
        "prune_language_modeling",
        "--arch transformer_lm --decoder-layers 1 --decoder-embed-dim 16 --decoder-ffn-embed-dim 32 "
        "--decoder-attention-heads 2 --tokens-per-sample 32",
    ),
    "lstm_lm": (
        "prune_language_modeling",
        "--arch lstm_lm --decoder-embed-dim 12 --decoder-hidden-size 12 --decoder-out-embed-dim 12 "
        "--tokens-per-sample 32",
    ),
}
UNITS = ["weight", "row", "column", "block:4x4"]


def size_and_removed(checkpoint):
    """Size of the prunable set, shared tensors once, and weights removed, through either of v and g."""
    masks, model = masks_of(checkpoint), checkpoint["model"]
    names = {t.data_ptr(): name for name, t in reversed(model.items()) if t.dim() >= 2 and t.numel() > 1}
    names = [name for name in names.values() if not name.endswith("weight_g")]
    removed = 0
    for name in names:
        keep = masks.get(name, torch.ones_like(model[name], dtype=torch.bool))
        scale = name[:-1] + "g"
        removed += int((~(keep & masks[scale] if scale in masks else keep)).sum())
    return sum(model[name].numel() for name in names), removed


@pytest.mark.parametrize("family", FAMILIES)
def test_exact_and_finite(new_run, parallel, monolingual, family):
    task, arch = FAMILIES[family]
    data = parallel if task == "prune_translation" else monolingual
    checkpoint = new_run(data=data, task=task, arch=arch).train("--prune-method", "magnitude", "--prune-target", "0.9")
    total, removed = size_and_removed(checkpoint)
    assert removed == round(0.9 * total)
    assert all(t.isfinite().all() for t in checkpoint["model"].values() if t.is_floating_point())
    for name, keep in masks_of(checkpoint).items():
        assert not checkpoint["model"][name][~keep].any()


@pytest.mark.parametrize("units", UNITS)
@pytest.mark.parametrize("family", ["transformer-tied", "lstm"])
def test_whole_units_are_removed(new_run, family, units):
    task, arch = FAMILIES[family]
    checkpoint = new_run(task=task, arch=arch).train(
        "--prune-method", "magnitude", "--prune-target", "0.5", "--prune-units", units, "--prune-scope", "layer"
    )
    total, removed = size_and_removed(checkpoint)
    assert 0.4 * total < removed < 0.505 * total  # where units are of one size, half of an odd number rounds
    if units in ("row", "column"):
        for keep in masks_of(checkpoint).values():
            lines = keep if units == "row" else keep.t()
            assert (lines.all(1) | ~lines.any(1)).all()


@pytest.mark.parametrize("family", ["transformer-tied", "fconv"])
def test_generate_on_a_pruned_checkpoint(new_run, family, capsys):
    task, arch = FAMILIES[family]
    run = new_run(task=task, arch=arch)
    run.train("--prune-method", "magnitude", "--prune-target", "0.8", "--prune-units", "weight")
    capsys.readouterr()
    run_fairseq(
        "generate", run.data, "--user-dir", USER_DIR, "--task", task, "--path", run.folder / "checkpoint_last.pt",
        "--cpu", "--beam", "2", "--max-len-b", "5", "--max-tokens", "200",
    )  # fmt: skip
    assert capsys.readouterr().out.count("\nH-") + 1 >= 8


def test_evaluate_a_pruned_language_model(new_run, monolingual, caplog):
    task, arch = FAMILIES["lstm_lm"]
    run = new_run(data=monolingual, task=task, arch=arch)
    run.train("--prune-method", "magnitude", "--prune-target", "0.8")
    run_fairseq(
        "eval_lm", run.data, "--user-dir", USER_DIR, "--task", task, "--tokens-per-sample", "32", "--cpu",
        "--path", run.folder / "checkpoint_last.pt", "--max-tokens", "200", "--num-workers", "0",
    )  # fmt: skip
    tokens = int(re.search(r"Evaluated (\d+) tokens", caplog.text)[1])
    perplexity = float(re.search(r"Perplexity: ([\d.]+)", caplog.text)[1])
    assert tokens > 40
    assert 1 < perplexity < 100


def test_validate_knows_the_masks(new_run, monkeypatch):
    from fairseq.logging import metrics

    run, logged = new_run(), {}
    run.train("--prune-method", "magnitude", "--prune-target", "0.8")
    log_scalar = metrics.log_scalar
    monkeypatch.setattr(
        metrics,
        "log_scalar",
        lambda key, value, *a, **k: (logged.update({key: value}), log_scalar(key, value, *a, **k)),
    )
    run_fairseq(
        "validate", run.data, "--user-dir", USER_DIR, "--task", run.task, "--path", run.folder / "checkpoint_last.pt",
        "--cpu", "--max-tokens", "200", "--num-workers", "0", "--log-format", "simple",
    )  # fmt: skip
    assert abs(logged["removed"] - 0.8) < 1e-3
    assert logged["loss"] > 0


def test_stock_fairseq_loads_a_pruned_checkpoint(new_run):
    """Masks are metadata, which strict loading ignores."""
    from fairseq import models, tasks
    from omegaconf import OmegaConf

    run = new_run()
    run.train("--prune-method", "magnitude", "--prune-target", "0.8")
    state = load_checkpoint(run.folder / "checkpoint_last.pt")
    cfg = OmegaConf.create(state["cfg"], flags={"allow_objects": True})
    stock = tasks.get_task("translation").setup_task(cfg.task)
    model = models.build_model(cfg.model, stock)
    model.load_state_dict(state["model"], strict=True)
    assert torch.equal(model.state_dict()["encoder.embed_tokens.weight"], state["model"]["encoder.embed_tokens.weight"])
