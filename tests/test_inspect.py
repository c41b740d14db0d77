"""What `fairseq-prune inspect` counts, against numbers worked out by hand."""

import json
from argparse import Namespace
from collections import OrderedDict

import pytest
import torch
from small_models import DECODER, ENCODER, build_model

from fairseq_prune.checkpoint.tensors import TensorEntry, tensor_rows
from fairseq_prune.pruning.masks import pack_mask
from fairseq_prune.report.inspect import count_masked, inspect_checkpoint, model_settings, totals
from fairseq_prune.report.legacy_flops import legacy_flops
from fairseq_prune.report.table import render

TENSOR_KEYS = {"name", "shape", "params", "nonzero", "fraction_removed"}
TOTAL_KEYS = {"params", "nonzero", "fraction_removed", "macs", "bytes"}


def numbered(*shape):
    """A tensor of 1, 2, 3, ...: no zeros, not constant."""
    return torch.arange(1.0, 1 + torch.Size(shape).numel()).view(shape)


def model_state():
    """16 prunable weights, 6 of them zero, under three names for 12 of them; 3 of 4 others not zero."""
    embedding = numbered(4, 3)
    embedding[1] = 0
    return OrderedDict(
        {
            "encoder.version": torch.tensor([3.0]),
            "encoder.embed_tokens.weight": embedding,
            "encoder.fc.weight": torch.tensor([[0.0, 0, 0, 5]]),
            "encoder.fc.bias": torch.tensor([0.0, 1]),
            "encoder.conversion": torch.tensor([2.0, 2]),  # ends in "version", but is a parameter
            "encoder.norm.running_mean": torch.zeros(5),
            "encoder.norm.running_var": torch.ones(5),
            "encoder.norm.num_batches_tracked": torch.tensor(7),
            "encoder.embed_positions._float_tensor": torch.zeros(1),
            "decoder.embed_tokens.weight": embedding,
            "decoder.output_projection.weight": embedding.clone(),
            "decoder.future_mask": torch.ones(3, 3, dtype=torch.bool),
        }
    )


def checkpoint(**more):
    return {"model": model_state(), **more}


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "checkpoint.pt"
    file.write_bytes(b"x" * 1234)
    return file


def rows_of(**tensors):
    return {row.name: row for row in tensor_rows(tensors)}


def test_rows_are_the_parameters_each_once():
    tied = ("decoder.embed_tokens.weight", "decoder.output_projection.weight")
    assert tensor_rows(model_state()) == [
        TensorEntry("encoder.embed_tokens.weight", (4, 3), 9, True, tied),
        TensorEntry("encoder.fc.weight", (1, 4), 1, True),
        TensorEntry("encoder.fc.bias", (2,), 1, False),
        TensorEntry("encoder.conversion", (2,), 2, False),
    ]


def test_connectivity_is_no_parameter():
    """All that SRP stores beside a Transformer's parameters; names that only resemble them are parameters."""
    attention = [f"{name}_{part}_c" for name in ("self_attn", "encoder_attn") for part in ("qk", "vo")]
    buffers = {f"decoder.layers.0.{name}": torch.ones(3) for name in (*attention, "fc_c")}
    buffers |= {"encoder.embedding_c": torch.ones(3), "decoder.embedding_c": torch.ones(3)}
    buffers |= {"encoder.pos_emb_mask": torch.arange(3), "weighted_layer_norm": torch.tensor(1.0)}
    alike = {name: torch.ones(3) for name in ("decoder.my_fc_c", "encoder.embedding_c.weight", "misc_c")}
    assert list(rows_of(**buffers, **alike)) == [*alike] and len(buffers) == 9
    assert totals(tensor_rows(model_state() | buffers)) == totals(tensor_rows(model_state()))


def test_totals():
    assert totals(tensor_rows(model_state())) == {
        "params": 20,
        "nonzero": 13,
        "fraction_removed": 7 / 20,
        "prunable_params": 16,
        "prunable_nonzero": 10,
        "prunable_fraction_removed": 6 / 16,
    }


@pytest.mark.filterwarnings("ignore:`torch.nn.utils.weight_norm` is deprecated")
@pytest.mark.parametrize("share", [True, False], ids=["shared storage", "copies, as after a GPU run"])
@pytest.mark.parametrize(
    "arch, options",
    [
        ("transformer", ENCODER | DECODER | {"share_all_embeddings": True}),
        ("srp_transformer", ENCODER | DECODER),
        ("transformer_lm", DECODER | {"share_decoder_input_output_embed": True}),
        ("roberta", ENCODER),
        ("lstm", {}),
        ("fconv_iwslt_de_en", {"share_input_output_embed": True}),
    ],
)
def test_fairseq_counts_the_same_parameters(arch, options, share):
    model = build_model(arch, **options)
    state = {name: tensor if share else tensor.clone() for name, tensor in model.state_dict().items()}
    assert totals(tensor_rows(state))["params"] == sum(weight.numel() for weight in model.parameters())


def test_totals_of_nothing_are_zero():
    assert set(totals([]).values()) == {0}


@pytest.mark.parametrize("share", [lambda x: x, torch.clone], ids=["shared storage", "copy, as after a GPU run"])
def test_tied_tensors_count_once(share):
    weight = numbered(3, 3)
    assert list(rows_of(a=weight, b=share(weight))) == ["a"]


def test_tensors_that_only_look_tied_count_twice():
    weight, other = numbered(3, 3), numbered(3, 3)
    other[2, 2] = 0
    swapped = weight.flip(0)  # same sum
    assert len(rows_of(a=weight, b=other, c=swapped, d=weight.view(1, 9), e=weight.double())) == 5
    assert len(rows_of(a=torch.zeros(2, 2), b=torch.zeros(2, 2))) == 2
    assert len(rows_of(a=torch.ones(2, 2), b=torch.ones(2, 2))) == 2
    assert len(rows_of(a=numbered(4), b=numbered(4))) == 2
    assert len(rows_of(a=torch.empty(0, 3), b=torch.empty(0, 3))) == 2


def test_a_zero_scale_removes_its_direction():
    direction, scale = numbered(2, 2, 3), torch.tensor([[[1.0, 0, 2]]])
    direction[0, 0, 0] = 0
    rows = rows_of(**{"conv.weight_g": scale, "conv.weight_v": direction})
    assert rows["conv.weight_v"].nonzero == 12 - 4 - 1 and rows["conv.weight_v"].prunable
    assert rows["conv.weight_g"].nonzero == 2 and not rows["conv.weight_g"].prunable
    alone = rows_of(**{"conv.weight_g": scale, "other.weight_v": direction})
    assert alone["other.weight_v"].nonzero == 11 and alone["conv.weight_g"].prunable


def masked_state(masks):
    state = model_state()
    state._metadata = OrderedDict({"": {"version": 1, "prune_masks": masks}})
    return state


def test_masked_weights_are_counted_by_bits():
    keep = torch.ones(4, 3, dtype=torch.bool)
    keep[1], keep[3, 2] = False, False
    fc = pack_mask(torch.tensor([[False, False, True, True]]))
    embedding = {name: pack_mask(keep) for name in ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight")}
    state = masked_state({"encoder.fc.weight": fc, **embedding})
    assert count_masked(state, tensor_rows(state)) == 4 + 2


@pytest.mark.parametrize("metadata", [None, {}, {"": {}}, {"": {"version": 1}}])
def test_a_dense_checkpoint_has_no_masks(metadata):
    state = model_state()
    if metadata is not None:
        state._metadata = metadata
    assert count_masked(state, tensor_rows(state)) == 0


def test_masks_that_do_not_fit_are_refused():
    state = masked_state({"encoder.fc.weight": {"shape": [40, 4], "keep": torch.zeros(1, dtype=torch.uint8)}})
    with pytest.raises(ValueError, match="does not fit"):
        count_masked(state, tensor_rows(state))


@pytest.mark.parametrize(
    "config",
    [
        {"args": Namespace(arch="mine")},
        {"args": None, "cfg": {"model": Namespace(arch="mine")}},
        {"args": None, "cfg": {"model": {"_name": "mine"}}},
    ],
    ids=["args", "cfg with a Namespace", "cfg with a dict"],
)
def test_old_and_new_checkpoints(config, path):
    assert inspect_checkpoint(checkpoint(**config), path, (5, 5))["total"]["arch"] == "mine"


def test_a_checkpoint_without_options_is_still_described(path):
    assert model_settings({}) == {}
    assert inspect_checkpoint(checkpoint(), path, (5, 5))["total"]["arch"] is None


def test_the_report_is_plain_json(path):
    report = inspect_checkpoint(checkpoint(), path, (5, 5))
    assert json.loads(json.dumps(report)) == report
    assert all(row.keys() == TENSOR_KEYS for row in report["tensors"])
    assert report["total"].keys() > TOTAL_KEYS and report["total"]["bytes"] == 1234
    assert report["total"]["macs"] is None
    assert sum(row["params"] for row in report["tensors"]) == report["total"]["params"] == 20
    assert report["tensors"][1] == {
        "name": "encoder.fc.weight",
        "shape": [1, 4],
        "params": 4,
        "nonzero": 1,
        "fraction_removed": 0.75,
    }


@pytest.mark.parametrize("share", [False, True])
def test_legacy_flops_on_request(share, path):
    options = ENCODER | DECODER | {"share_all_embeddings": share, "decoder_attention_heads": 4}
    state = checkpoint(cfg={"model": options}) | {"model": build_model("transformer", **options).state_dict()}
    report = inspect_checkpoint(state, path, (30, 20), legacy=True)
    flops = legacy_flops(state["model"], 2, 30)
    assert report["total"]["legacy_flops"] == flops
    assert f"legacy FLOPs        {flops:,}  (SRP's own formula; 30 tokens on both sides)" in render(report).splitlines()
    plain = inspect_checkpoint(state, path, (30, 20))
    assert "legacy_flops" not in plain["total"] and "legacy" not in render(plain)


def test_a_file_without_a_model_is_refused(path):
    with pytest.raises(ValueError, match=r"checkpoint .*checkpoint.pt: holds no model"):
        inspect_checkpoint({"model": None}, path, (5, 5))


def test_the_table_says_it_all_within_120_columns(path):
    state = checkpoint()
    state["model"]["decoder." + "very_" * 30 + "long.weight"] = numbered(1200, 1000)
    text = render(inspect_checkpoint(state, path, (30, 20)))
    lines = text.splitlines()
    assert max(map(len, lines)) <= 120
    fields = [line.split() for line in lines]
    assert ["encoder.fc.weight", "1x4", "4", "1", "0.7500*"] in fields
    assert ["encoder.fc.bias", "2", "2", "1", "0.5000"] in fields
    assert ["=", "decoder.embed_tokens.weight"] in fields
    assert ["prunable", "set", "1,200,016", "1,200,010", "0.0000"] in fields
    assert ["all", "parameters", "1,200,020", "1,200,013", "0.0000"] in fields
    assert "MACs                -  (30 source, 20 target tokens; family -)" in lines
    assert "file                1,234 bytes  (architecture -)" in lines


def test_masked_counts_weight_normalised_slices_once():
    """Two whole columns by the scale and one more element by the direction: 2 * 3 + 1."""
    keep_v, keep_g = torch.ones(3, 4, dtype=torch.bool), torch.tensor([[True, False, False, True]])
    keep_v[0, 0] = False
    state = OrderedDict(weight_v=torch.randn(3, 4), weight_g=torch.ones(1, 4), bias=torch.ones(4))
    state._metadata = {"": {"prune_masks": {"weight_v": pack_mask(keep_v), "weight_g": pack_mask(keep_g)}}}
    assert count_masked(state, tensor_rows(state)) == 7
    del state._metadata[""]["prune_masks"]["weight_v"]
    assert count_masked(state, tensor_rows(state)) == 6
