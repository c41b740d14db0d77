"""Groupings of recurrent models: SiPO's tables."""

import pytest
import torch

from fairseq_prune.families.recurrent.grouping import GROUPINGS, group_parameters

RNN = [f"{kind}_{part}" for part in ("ih", "hh") for kind in ("weight", "bias")]
LM = ["decoder.embed_tokens.weight", *(f"decoder.lstm.{name}_l{k}" for k in (0, 1) for name in RNN),
      "decoder.output_projection.weight", "decoder.output_projection.bias"]  # fmt: skip
LM_SIZES = {
    "decoder.embed_tokens.weight": (10000, 200), "decoder.output_projection.weight": (10000, 200),
    "decoder.output_projection.bias": (10000,),
}  # fmt: skip


def lm_size(name):
    if name in LM_SIZES:
        return torch.Size(LM_SIZES[name]).numel()
    return 800 * 200 if "weight" in name else 800


def translation(layers, suffixes, attention):
    encoder = [f"encoder.rnn.{name}_l{k}{s}" for k in range(layers) for s in suffixes for name in RNN]
    decoder = [f"decoder.layers.{k}.{name}" for k in range(layers) for name in RNN]
    return [
        "encoder.embed_tokens.weight", *encoder, "decoder.embed_tokens.weight", *decoder, *attention,
        "decoder.output_projection.weight", "decoder.output_projection.bias",
    ]  # fmt: skip


RNNSEARCH = translation(2, ("", "_reverse"), ["decoder.attention.query.weight", "decoder.attention.output.bias"])
LUONGNET = translation(4, ("",), ["decoder.attention.query.weight", "decoder.attention.output.weight"])
STOCK = ["encoder.embed_tokens.weight", "encoder.lstm.weight_ih_l0", "decoder.embed_tokens.weight",
         "decoder.encoder_hidden_proj.weight", "decoder.layers.0.weight_hh", "decoder.attention.input_proj.weight",
         "decoder.fc_out.weight"]  # fmt: skip
MODELS = {"lm": LM, "rnnsearch": RNNSEARCH, "luongnet": LUONGNET, "stock": STOCK}


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("grouping", sorted(set(GROUPINGS) - {"stage6"}))
def test_every_parameter_is_in_exactly_one_group(model, grouping):
    groups = group_parameters(grouping, MODELS[model])
    assert sorted(name for members in groups.values() for name in members) == sorted(MODELS[model])


def test_numbers_of_groups():
    numbers = {
        model: [len(group_parameters(g, MODELS[model])) for g in ("all", "layer", "stage", "stage3")]
        for model in MODELS
    }
    assert numbers["lm"] == [1, 4, 4, 3]
    assert numbers["rnnsearch"] == [1, 8, 6, 3]
    assert numbers["luongnet"] == [1, 12, 4, 3]


def test_sizes_of_the_language_model():
    def sizes(grouping):
        return {group: sum(map(lm_size, names)) for group, names in group_parameters(grouping, LM).items()}

    assert sizes("stage") == {"embedding": 2_000_000, "ih": 321_600, "hh": 321_600, "decoder": 2_010_000}
    assert sizes("layer") == {"embedding": 2_000_000, "rnn0": 321_600, "rnn1": 321_600, "decoder": 2_010_000}


def test_biases_go_with_their_weights():
    groups = group_parameters("stage", LM)
    assert "decoder.lstm.bias_ih_l1" in groups["ih"] and "decoder.lstm.bias_hh_l0" in groups["hh"]


def test_luongnet_keeps_all_embeddings_together_and_rnnsearch_does_not():
    assert list(group_parameters("stage", LUONGNET)) == ["embedding", "ih", "hh", "attn"]
    assert "decoder.output_projection.bias" in group_parameters("stage", LUONGNET)["embedding"]
    assert list(group_parameters("stage", RNNSEARCH)) == [
        "encoder_embedding", "decoder_embedding", "ih", "hh", "attn", "pred",
    ]  # fmt: skip


def test_both_directions_are_one_layer():
    group = group_parameters("layer", RNNSEARCH)["encoder_rnn1"]
    assert "encoder.rnn.weight_hh_l1_reverse" in group and len(group) == 8


def test_projections_between_encoder_and_decoder_are_a_bridge():
    assert group_parameters("stage", STOCK)["bridge"] == ["decoder.encoder_hidden_proj.weight"]


def test_a_parameter_that_a_grouping_does_not_know_is_named():
    with pytest.raises(ValueError, match="--group stage: decoder.layers.0.fc1.weight is in no group"):
        group_parameters("stage", ["decoder.embed_tokens.weight", "decoder.layers.0.fc1.weight"])


def test_a_misspelt_grouping_gets_a_suggestion():
    with pytest.raises(ValueError, match="unknown grouping 'stages'; did you mean 'stage'"):
        group_parameters("stages", LM)
