"""Coupled units: neurons, heads and dimensions of Transformers, hidden units of recurrent models."""

import pytest
import torch
from conftest import TINY, masks_of, same_tensors

GROWTH = "--update-reg-interval 1 --stabilize-reg-interval 1 --reg-granularity-prune 10 --reg-upper-limit 25".split()


@pytest.mark.parametrize("method, growth", [("l1", []), ("greg1", GROWTH)], ids=["l1", "greg1"])
def test_neurons_are_cut_out(new_run, method, growth):
    """Under Adam the penalty is a decay; the cut checkpoint trains on elsewhere."""
    checkpoint = new_run().train("--prune-method", method, "--prune-units", "neuron", "--prune-target", "0.5", *growth)
    model = checkpoint["model"]
    assert model["encoder.layers.0.fc1.weight"].shape == (16, 16)  # of 32 neurons
    assert model["decoder.layers.0.fc2.weight"].shape == (16, 16)
    moments = {s["exp_avg"].shape for s in checkpoint["last_optimizer_state"]["state"].values()}
    assert torch.Size((32, 16)) not in moments
    again = new_run("again").train("--finetune-from-model", new_run().folder / "checkpoint_last.pt")
    assert again["model"]["encoder.layers.0.fc1.weight"].shape == (16, 16)


LOST = {  # of two heads of 8 dimensions: target, heads left, query/key and value dimensions left of each
    "head": (0.5, 1, 8, 8),
    "qk": (0.25, 2, 6, 8),
    "vo": (0.75, 2, 8, 2),
}
TRANSLATION = ("prune_translation", f"--arch transformer {TINY}", "encoder.layers.0.self_attn")
LM = (
    "prune_language_modeling",
    "--arch transformer_lm --decoder-layers 1 --decoder-embed-dim 16 --decoder-ffn-embed-dim 32 "
    "--decoder-attention-heads 2 --tokens-per-sample 32",
    "decoder.layers.0.self_attn",
)


@pytest.mark.parametrize("units", LOST)
@pytest.mark.parametrize("task, arch, block", [TRANSLATION, LM], ids=["translation", "lm"])
def test_attention_is_cut_and_a_resumed_run_is_the_same(new_run, parallel, monolingual, units, task, arch, block):
    """In the run, with its moments; interrupted after the cut = uninterrupted, and finetuned in another run."""
    target, heads, qk, vo = LOST[units]
    data = parallel if task == TRANSLATION[0] else monolingual
    words = "--prune-method magnitude --prune-scope layer --prune-schedule cubic --prune-end 3up".split()
    words += ["--prune-every", "1up"]  # heads are few, and all have left before the last event
    words += ["--prune-units", units, "--prune-target", target]
    one, other = (new_run(name, task=task, arch=arch, data=data) for name in ("one", "other"))
    whole = one.train(*words, "--max-update", "6")
    model = whole["model"]
    assert model[f"{block}.q_proj.weight"].shape == model[f"{block}.k_proj.weight"].shape == (heads * qk, 16)
    assert model[f"{block}.out_proj.weight"].shape == (16, heads * vo) and len(model[f"{block}.heads"]) == heads
    assert not masks_of(whole)
    moments = {s["exp_avg"].shape for s in whole["last_optimizer_state"]["state"].values()}
    assert torch.Size((heads * (vo if units == "vo" else qk), 16)) in moments
    other.train(*words, "--max-update", "4")
    resumed = other.train(*words, "--max-update", "6")
    assert same_tensors(resumed["model"], model)
    assert same_tensors(*(c["last_optimizer_state"]["state"][0] for c in (resumed, whole)))
    tuned = new_run("tuned", task=task, arch=arch, data=data).train(
        "--finetune-from-model", one.folder / "checkpoint_last.pt", "--max-update", "2"
    )
    assert {n: v.shape for n, v in tuned["model"].items()} == {n: v.shape for n, v in model.items()}


def test_hidden_units_are_masked_whole(new_run, monolingual):
    """Where shapes cannot change: the rows of all gates, their biases and the columns that read the unit."""
    run = new_run(task="prune_language_modeling", arch="--arch rnn_lm_tiny --tokens-per-sample 32", data=monolingual)
    checkpoint = run.train("--prune-method", "l1", "--prune-units", "hidden", "--prune-target", "0.25", "--store-ema")
    masks, model, name = masks_of(checkpoint), checkpoint["model"], "decoder.lstm."
    lstm = torch.nn.LSTM(16, 16, 2)
    lstm.load_state_dict({entry.removeprefix(name): value for entry, value in model.items() if entry.startswith(name)})
    states = lstm(torch.randn(5, 3, 16))[1][0]
    for layer in (0, 1):
        alive = masks[f"{name}weight_hh_l{layer}"].any(0)
        assert int((~alive).sum()) == 4
        for part in ("ih", "hh"):
            assert torch.equal(masks[f"{name}weight_{part}_l{layer}"].any(1).view(4, 16), alive.expand(4, -1))
            assert torch.equal(masks[f"{name}bias_{part}_l{layer}"].view(4, 16), alive.expand(4, -1))
        assert not states[layer][:, ~alive].any() and states[layer][:, alive].all()
    assert torch.equal(masks[f"{name}weight_ih_l1"].any(0), masks[f"{name}weight_hh_l0"].any(0))


def test_units_that_a_model_does_not_have(new_run):
    with pytest.raises(SystemExit, match="no such coupled units; it has head, layer, neuron, qk, vo"):
        new_run().train("--prune-method", "l1", "--prune-target", "0.5")
