"""The formula of the original SRP code, against the numbers that the original printed."""

import pytest
import torch
from small_models import DECODER, build_model
from srp_shapes import HEADS, KEPT, srp_state

from fairseq_prune.report.legacy_flops import attention_flops, feed_forward_flops, legacy_flops

REFERENCE = 99.52e9


@pytest.mark.parametrize("rate, giga, percent", [
    (0.05, 2.85, 2.87), (0.1, 6.84, 6.87), (0.2, 15.90, 15.98), (0.3, 25.57, 25.69), (0.5, 46.03, 46.25),
])  # fmt: skip
def test_cut_models(rate, giga, percent):
    flops = legacy_flops(srp_state(*KEPT[rate]), HEADS, 50)
    assert flops / 1e9 == pytest.approx(giga, abs=0.0051)  # it had no whole units per layer
    assert 100 * flops / REFERENCE == pytest.approx(percent, abs=0.011)


def test_the_two_cases_that_it_was_built_with():
    whole, small = srp_state(), srp_state(80, 20, 12 * 160)
    assert legacy_flops(whole, HEADS, 50) == 99_518_469_500
    assert legacy_flops(small, HEADS, 50) == 3_009_151_100


def test_each_layer_at_its_own_widths():
    """One layer a side, its decoder three times as wide; cross-attention is as wide as self-attention."""
    state = srp_state(8, 2, 10, layers=1, words=(9, 7))
    for part, shape in {"self_attn.q_proj": (12, 24), "self_attn.v_proj": (20, 24), "fc1": (6, 24)}.items():
        state[f"decoder.layers.0.{part}.weight"] = torch.empty(shape)
    state["decoder.output_projection.weight"] = torch.empty(7, 24)
    encoder = attention_flops(8, 8, 8, 2, 3) + feed_forward_flops(8, 5, 3)
    decoder = 2 * attention_flops(24, 12, 20, 2, 3) + feed_forward_flops(24, 6, 3)
    assert legacy_flops(state, 2, 3) == encoder + 3 * decoder + 3 * (2 * 24 * 7 + 7)
    del state["decoder.output_projection.weight"]  # tied and not stored
    state["decoder.embed_tokens.weight"] = torch.empty(7, 24)
    assert legacy_flops(state, 2, 3) == encoder + 3 * decoder + 3 * (2 * 24 * 7 + 7)


@pytest.mark.parametrize("state, found", [
    ({}, "unknown"), (build_model("transformer_lm", **DECODER).state_dict(), "transformer_lm"),
], ids=["nothing", "language model"])  # fmt: skip
def test_no_translation_transformer(state, found):
    with pytest.raises(ValueError, match=rf"--legacy-flops: family '{found}' has none, .* e\.g\. 'transformer'"):
        legacy_flops(state, 4, 50)


def test_heads_are_needed():
    with pytest.raises(ValueError, match="encoder_attention_heads is None"):
        legacy_flops(srp_state(), None, 50)
