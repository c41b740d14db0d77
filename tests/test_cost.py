"""Multiply-accumulates, against hand formulas, torch's own counter of operations and SRP's numbers."""

import pytest
import torch
from small_models import DECODER, ENCODER, VOCABULARY, build_model
from srp_shapes import KEPT, srp_state
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from fairseq_prune.report.cost import count_macs, parse_lengths
from fairseq_prune.report.inspect import inspect_checkpoint

S, T = 7, 5
WIDTH, WORDS = 16, VOCABULARY
ENCODER_MACS = 2 * (S * (4 * 16 * 16 + 2 * 16 * 24) + 2 * S * S * 16)  # 2 layers
DECODER_MACS = T * (4 * 16 * 16 + 2 * 16 * 20) + T * (T + 1) * 16  # 1 layer, without cross-attention
CROSS_MACS = T * 2 * 16 * 16 + S * 2 * 16 * 16 + 2 * S * T * 16
OUTPUT_MACS = T * WORDS * 16

LSTM = {
    "encoder_embed_dim": 8, "encoder_hidden_size": 6, "encoder_layers": 2,
    "decoder_embed_dim": 8, "decoder_hidden_size": 10, "decoder_out_embed_dim": 7, "decoder_layers": 2,
}  # fmt: skip
FCONV_DECODER = {"decoder_embed_dim": 8, "decoder_layers": "[(6,3),(10,3)]"}
FCONV = FCONV_DECODER | {
    "encoder_embed_dim": 8,
    "encoder_layers": "[(6,3),(10,4)]",
    "decoder_out_embed_dim": 9,
}


def lstm_macs(directions):
    """(matrix products, elementwise attention) of the LSTM above."""
    top = 6 * directions  # width of the encoder's output
    encoder = directions * S * 4 * 6 * ((8 + 6) + (top + 6))
    initial = 2 * 2 * 10 * top  # hidden and cell of 2 decoder layers
    decoder = T * 4 * 10 * ((8 + 10 + 10) + (10 + 10))
    attention = T * (10 * top + (10 + top) * 10)
    return encoder + initial + decoder + attention + T * (10 * 7 + 7 * WORDS), 2 * S * T * top


def fconv_macs():
    """(encoder's convolutions, all the rest) of the fconv above; a gated layer computes twice its width."""
    encoder, decoder = S * (3 * 6 * 12 + 4 * 6 * 20), T * (3 * 6 * 12 + 3 * 6 * 20)
    linear = S * (8 * 6 + 6 * 10 + 10 * 8) + T * (8 * 6 + 6 * 10 + 10 * 9 + 9 * WORDS)
    attention = T * 2 * 8 * (6 + 10) + 2 * (2 * S * T * 8)
    return encoder, decoder + linear + attention


RNN = {"encoder_embed_dim": 6, "decoder_embed_dim": 9, "hidden_size": 10, "layers": 2}
RNN_LM = {"decoder_embed_dim": 8, "decoder_hidden_size": 10, "decoder_layers": 2}


def rnn_macs(gates, directions, attention):
    """RNN translation models of the widths above: stacked encoder of both directions, input feeding, attention."""
    one = 10 // directions  # width of a direction
    encoder = S * directions * gates * one * ((6 + one) + (10 + one))
    decoder = T * gates * 10 * ((9 + 10 + 10) + (10 + 10))
    both = T * (10 * 10 + 20 * 10) + 2 * S * T * 10  # of query and output; scores and context
    return encoder + decoder + both + attention + T * 10 * WORDS


def tokens(length):
    return torch.randint(4, WORDS, (1, length), generator=torch.Generator().manual_seed(0))


def counted(model, target):
    """MACs that torch sees when a model reads a source of S tokens and a target, a token at a time with cache.

    Its counter knows matrix products, not fused attention, oneDNN's LSTM or conv_tbc.
    """
    source = tokens(S), torch.tensor([S])
    products_apart = sdpa_kernel(SDPBackend.MATH), torch.backends.mkldnn.flags(enabled=False)
    with products_apart[0], products_apart[1], FlopCounterMode(display=False) as counter, torch.no_grad():
        if not hasattr(model, "decoder"):
            model(source[0])
        else:
            more = {"encoder_out": model.encoder(*source)} if hasattr(model, "encoder") else {}
            cache = {}
            for length in range(1, target.shape[1] + 1):
                model.decoder(target[:, :length], incremental_state=cache, **more)
    return counter.get_total_flops() // 2


TRANSFORMER_MACS = ENCODER_MACS + DECODER_MACS + CROSS_MACS + OUTPUT_MACS
CASES = [  # arch, options, MACs by hand, those of them that torch's counter does not see
    ("transformer", ENCODER | DECODER, TRANSFORMER_MACS, 0),
    ("transformer", ENCODER | DECODER | {"share_all_embeddings": True}, TRANSFORMER_MACS, 0),
    ("transformer_lm", DECODER, DECODER_MACS + OUTPUT_MACS, 0),
    ("roberta", ENCODER, ENCODER_MACS + S * (16 * 16 + WORDS * 16), 0),
    ("lstm", LSTM, sum(lstm_macs(1)), lstm_macs(1)[1]),
    ("lstm", LSTM | {"encoder_bidirectional": True}, sum(lstm_macs(2)), lstm_macs(2)[1]),
    ("lstm_lm", LSTM, T * (4 * 10 * (18 + 20) + 10 * 7 + 7 * WORDS), 0),
    ("rnnsearch", RNN, rnn_macs(3, 2, S * 10 * 10), 0),  # GRU; keys of the source
    ("luongnet", RNN, rnn_macs(4, 1, 0), 0),  # LSTM
    # Two words are stored nowhere; computing gives them a score all the same, which torch sees.
    ("rnn_lm", RNN_LM, T * (4 * 10 * (18 + 20) + 10 * (WORDS - 2)), -T * 10 * 2),
    ("fconv", FCONV, sum(fconv_macs()), fconv_macs()[0]),
    ("fconv_lm", FCONV_DECODER, T * (576 + 8 * 6 + 6 * 10 + 10 * 8 + 8 * WORDS), 0),
]


@pytest.mark.filterwarnings("ignore:`torch.nn.utils.weight_norm` is deprecated", "ignore:TF32 acceleration")
@pytest.mark.parametrize("arch, options, macs, unseen", CASES)
def test_macs_by_hand_and_by_torch(arch, options, macs, unseen):
    model = build_model(arch, **options)
    assert count_macs(model.state_dict(), S, T) == (arch, macs)
    assert counted(model, tokens(T)) + unseen == macs
    assert count_macs(model.state_dict(), S, T + 1)[1] != macs or arch == "roberta"


def test_adaptive_embeddings_count_a_frequent_word_and_the_whole_softmax():
    cutoffs = {"adaptive_input_cutoff": "10,20", "adaptive_softmax_cutoff": "10,20"}
    factors = {"adaptive_input_factor": 2, "adaptive_softmax_factor": 2}  # band widths 16, 8, 4
    ties = {"tie_adaptive_weights": True, "tie_adaptive_proj": True}
    more = {"adaptive_input": True, "criterion": "adaptive_loss", **cutoffs, **factors, **ties}
    model = build_model("transformer_lm", **DECODER, **more)
    softmax = (10 + 2) * 16 + (16 * 8 + 8 * 10) + (16 * 4 + 4 * 20)
    assert count_macs(model.state_dict(), S, T) == ("transformer_lm", DECODER_MACS + T * (16 * 16 + softmax))
    frequent = torch.full((1, T), 5)
    assert counted(model, frequent) == DECODER_MACS + T * 16 * 16


@pytest.fixture
def transformer():
    return dict(build_model("transformer", **ENCODER, **DECODER, share_all_embeddings=True).state_dict())


def test_an_absent_output_projection_is_the_embedding(transformer):
    del transformer["decoder.output_projection.weight"]
    assert count_macs(transformer, S, T)[1] == TRANSFORMER_MACS
    del transformer["decoder.embed_tokens.weight"]
    assert count_macs(transformer, S, T)[1] == TRANSFORMER_MACS - OUTPUT_MACS


def test_packed_projections_of_old_checkpoints(transformer):
    packed = {}
    for name, tensor in transformer.items():
        block, dot, part = name.rpartition("self_attn.")
        if dot and part in {"q_proj.weight", "k_proj.weight", "v_proj.weight"}:
            packed[block + dot + "in_proj_weight"] = torch.zeros(3 * WIDTH, WIDTH)
        else:
            packed[name] = tensor
    assert len(packed) < len(transformer)
    assert count_macs(packed, S, T) == count_macs(transformer, S, T)


def test_a_cut_attention_costs_its_real_widths(transformer):
    """Query and key at 10 of 16, value at 6 of 16, in one encoder layer."""
    block, before = "encoder.layers.0.self_attn.", count_macs(transformer, S, T)[1]
    cut = dict(transformer)
    for part, rows in (("q_proj", 10), ("k_proj", 10), ("v_proj", 6)):
        cut[f"{block}{part}.weight"] = torch.zeros(rows, WIDTH)
    cut[block + "out_proj.weight"] = torch.zeros(WIDTH, 6)
    saved = S * (2 * 6 + 2 * 10) * WIDTH + S * S * (6 + 10)
    assert count_macs(cut, S, T)[1] == before - saved


def test_a_cut_srp_model_costs_its_real_widths():
    """Every width a prime of its own: embeddings 11 and 7, output untied, SRP's buffers beside them."""
    shapes = {"decoder.output_projection.weight": (WORDS, 7), "encoder.embedding_c": (11,)}
    for block, queries, sources, qk, vo in (
        ("encoder.layers.0.self", 11, 11, 2, 3), ("decoder.layers.0.self", 7, 7, 5, 17),
        ("decoder.layers.0.encoder", 7, 11, 19, 23),
    ):  # fmt: skip
        parts = {"q": (qk, queries), "k": (qk, sources), "v": (vo, sources), "out": (queries, vo)}
        shapes |= {f"{block}_attn.{part}_proj.weight": shape for part, shape in parts.items()}
        shapes |= {f"{block}_attn_qk_c": (qk,), f"{block}_attn_vo_c": (vo,)}
    for side, width, hidden in (("encoder", 11, 13), ("decoder", 7, 29)):
        shapes |= {f"{side}.layers.0.fc1.weight": (hidden, width), f"{side}.layers.0.fc2.weight": (width, hidden)}
    encoder = S * 2 * 11 * (2 + 3 + 13) + S * S * (2 + 3)
    decoder = T * 2 * 7 * (5 + 17 + 29) + T * (T + 1) // 2 * (5 + 17)
    cross = T * 7 * (19 + 23) + S * 11 * (19 + 23) + S * T * (19 + 23)
    state = {name: torch.zeros(shape) for name, shape in shapes.items()}
    assert count_macs(state, S, T) == ("transformer", encoder + decoder + cross + T * WORDS * 7)


@pytest.mark.parametrize("share", [False, True], ids=["own embeddings", "shared embeddings"])
def test_torch_sees_the_same_in_a_cut_srp_model(share):
    """1, 2, 3, ... units less of each vector (of each head), so hardly two widths are equal."""
    model = build_model("srp_transformer", **ENCODER, **DECODER, share_all_embeddings=share)
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    for i, vector in enumerate(model.vectors):
        state[vector.name].view(vector.heads, -1)[:, : 1 + i % 7] = 0
    whole = count_macs(state, S, T)
    assert whole == ("transformer", TRANSFORMER_MACS) and counted(model, tokens(T)) == TRANSFORMER_MACS
    model.cuts_on_load = True
    model.load_state_dict(state)
    family, macs = count_macs(model.state_dict(), S, T)
    assert family == "transformer" and counted(model, tokens(T)) == macs < 0.9 * TRANSFORMER_MACS


@pytest.mark.parametrize("rate, giga, percent", [(None, 3.562, 100), (0.2, 0.633, 17.8), (0.1, 0.294, 8.3)])
def test_the_numbers_of_srp(rate, giga, percent):
    """The specification's exact counts with a cache, at 50 and 50 tokens; a multiply and its add are 2 there."""
    (_, whole), (_, macs) = (count_macs(srp_state(*KEPT.get(key, ())), 50, 50) for key in (None, rate))
    assert round(2 * macs / 1e9, 3) == giga and round(100 * macs / whole, 1) == percent


def test_zeros_cost_as_much_as_other_weights(transformer):
    zeros = {name: torch.zeros_like(tensor) for name, tensor in transformer.items()}
    assert count_macs(zeros, S, T) == count_macs(transformer, S, T)


def test_an_unknown_part_makes_the_cost_unknown(transformer):
    extra = "decoder.layers.0.adapter.weight"
    assert count_macs(transformer | {extra: torch.zeros(3)}, S, T)[1] == TRANSFORMER_MACS  # a vector
    assert count_macs(transformer | {extra: torch.zeros(3, 3)}, S, T) == (None, None)
    without_cross = {name: tensor for name, tensor in transformer.items() if "encoder_attn" not in name}
    assert count_macs(without_cross, S, T) == (None, None)
    assert count_macs({}, S, T) == count_macs({"decoder.embed_tokens.weight": torch.ones(3, 3)}, S, T) == (None, None)


@pytest.mark.parametrize("attends_over_both", [False, True])
def test_attention_that_no_shape_tells_of_is_unknown(attends_over_both, transformer, tmp_path):
    (tmp_path / "a.pt").touch()
    config = {"model": {"cross_self_attention": attends_over_both}}
    total = inspect_checkpoint({"model": transformer, "cfg": config}, tmp_path / "a.pt", (S, T))["total"]
    assert total["macs"] == (None if attends_over_both else TRANSFORMER_MACS)


def test_lengths():
    assert parse_lengths("30,20") == (30, 20)
    assert parse_lengths(" 7, 5") == (7, 5)


@pytest.mark.parametrize("text", ["", "25", "25,", "0,25", "25,-1", "2.5,3", "1,2,3", "a,b", "25x25"])
def test_malformed_lengths(text):
    with pytest.raises(ValueError, match=rf"--lengths {text!r}: .* e\.g\. --lengths 25,25") as caught:
        parse_lengths(text)
    assert "\n" not in str(caught.value)
