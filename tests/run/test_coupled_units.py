"""Neurons and heads of Transformers and hidden units of recurrent models, which leave as coupled units."""

import pytest
import torch
from conftest import masks_of

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


def test_heads_are_masked_whole(new_run):
    """One head of two, with the rows of its queries, keys and values and the columns that read it."""
    checkpoint = new_run().train("--prune-method", "l1", "--prune-units", "head", "--prune-target", "0.5")
    masks, block = masks_of(checkpoint), "encoder.layers.0.self_attn"
    rows = masks[f"{block}.q_proj.weight"].view(2, 8, 16)
    assert sorted(rows.flatten(1).any(1).tolist()) == [False, True] and rows.flatten(1).all(1).sum() == 1
    assert torch.equal(masks[f"{block}.out_proj.weight"].any(0), masks[f"{block}.v_proj.weight"].any(1))
    assert not checkpoint["model"][f"{block}.v_proj.bias"][~masks[f"{block}.v_proj.bias"]].any()


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
    with pytest.raises(SystemExit, match="no such coupled units; it has head, neuron"):
        new_run().train("--prune-method", "l1", "--prune-target", "0.5")
