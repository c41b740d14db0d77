"""What inspect says of a model's parts, counted by hand."""

import torch
from small_models import DECODER, ENCODER, build_model

from fairseq_prune.pruning.depth import DEPTH_KEY
from fairseq_prune.pruning.masks import store_masks
from fairseq_prune.report.structure import describe_structure

SETTINGS = ENCODER | DECODER | {"encoder_layers": 2, "decoder_layers": 2}


def counted(rows):
    return {(row["name"], row["units"]): (row["before"], row["now"], row["alive"]) for row in rows}


def test_a_transformer_with_dead_parts_and_a_masked_layer():
    state = build_model("transformer", **SETTINGS).state_dict()
    whole = counted(describe_structure(state, SETTINGS))
    assert whole["encoder.layers.1", "neurons"] == (24, 24, 24)
    assert whole["decoder.layers.0.encoder_attn", "heads"] == (2, 2, 2)
    assert whole["decoder.layers", "layers"] == (2, 2, 2)
    assert len(whole) == 2 + 2 + 4 + 4  # stacks, heads of the encoder and of the decoder, neurons

    state["encoder.layers.1.fc1.weight"][:5] = 0  # nothing writes them
    state["encoder.layers.1.fc2.weight"][:, 3:9] = 0  # nobody reads them
    state["encoder.layers.0.self_attn.v_proj.weight"][8:] = 0
    layer = "decoder.layers.1."
    store_masks(state._metadata, {n: torch.zeros_like(v).bool() for n, v in state.items() if n.startswith(layer)})
    state._metadata[""][DEPTH_KEY] = {"encoder.layers": {"of": 5, "kept": [0, 3]}}
    rows = describe_structure(state, SETTINGS)
    found = counted(rows)
    assert found["encoder.layers.1", "neurons"] == (24, 24, 15)
    assert found["encoder.layers.0.self_attn", "heads"] == (2, 2, 1)
    assert found["encoder.layers", "layers"] == (5, 2, 2)
    assert found["decoder.layers", "layers"] == (2, 2, 1)
    assert found["decoder.layers.1", "neurons"] == (20, 20, 0)
    assert next(row["kept"] for row in rows if row["name"] == "encoder.layers") == [0, 3]


def test_hidden_units_and_filters():
    lstm = torch.nn.LSTM(3, 4)
    state = {f"decoder.lstm.{name}": value.detach() for name, value in lstm.state_dict().items()}
    for part in ("ih", "hh"):
        state[f"decoder.lstm.weight_{part}_l0"].view(4, 4, -1)[:, 1] = 0
    state["conv.weight"] = torch.ones(6, 3, 2, 2)
    state["conv.weight"][2:4] = 0
    found = counted(describe_structure(state, {}))
    assert found == {("decoder.lstm_l0", "hidden units"): (None, 4, 3), ("conv", "filters"): (None, 6, 4)}
