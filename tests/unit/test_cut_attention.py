"""Heads and dimensions cut out of stock attention: masked = cut, in every family of Transformers."""

import pytest
import torch
from cut_units import select, zero
from one_layer import Optimizer
from small_models import build_model
from srp_models import SIZES, batch
from transformer_families import FAMILIES, build, output

from fairseq_prune.checkpoint.resize import follow_widths
from fairseq_prune.engine.cut import cut_in_run
from fairseq_prune.engine.masked_model import MaskedModel
from fairseq_prune.families import structure_of
from fairseq_prune.modules.cut_attention import CutAttention, let_attention_shrink
from fairseq_prune.pruning.surgery.cut import cut_tensor

KINDS = {"head": ("head",), "qk": ("qk",), "vo": ("vo",), "all": ("head", "qk", "vo", "neuron")}


def cut_by_run(family, kinds):
    """(Masked model, cut model, its optimizer, what was kept, the structure before); both are of the same weights."""
    model, cut = build(family), build(family)
    structure = structure_of(model)
    keep = select(structure, KINDS[kinds])
    masks = [zero(m, structure, keep) for m in (model, cut)][1]
    optimizer = Optimizer(torch.optim.Adam(cut.parameters(), lr=0.0))
    output(family, cut).square().sum().backward()
    optimizer.optimizer.step()
    held = MaskedModel(cut)
    held.set_masks(masks)
    cut_in_run(cut, structure.table, keep, optimizer, held)
    assert not held.masks
    return model, cut, optimizer, keep, structure


@torch.no_grad()
def close(a, b):
    return (a - b).abs().max() < 1e-10 * max(1.0, float(b.abs().max()))


@pytest.mark.parametrize("kinds", KINDS)
@pytest.mark.parametrize("family", FAMILIES)
def test_masked_is_cut(family, kinds):
    """Outputs, gradients and moments of what stays; and a model of the original size takes over the weights."""
    model, cut, optimizer, keep, structure = cut_by_run(family, kinds)
    before, after = (sum(p.numel() for p in m.parameters()) for m in (model, cut))
    assert after < (0.97 if len(KINDS[kinds]) == 1 else 0.8) * before
    fresh = build(family, seed=2)
    follow_widths(fresh)
    fresh.load_state_dict(cut.state_dict())
    parameters = dict(cut.named_parameters())
    for m in (model, cut, fresh):
        assert close(output(family, m.eval()), output(family, model.eval()))
        m.zero_grad(set_to_none=True)
        output(family, m.train()).square().sum().backward()
    for name, p in model.named_parameters():
        if p.grad is not None:
            expected = cut_tensor(p.grad, structure.table.get(name, ()), keep)
            assert close(parameters[name].grad, expected) and close(fresh.get_parameter(name).grad, expected)
            moment = optimizer.optimizer.state[parameters[name]]["exp_avg"]
            assert moment.shape == expected.shape and close(moment, 0.1 * expected)


def test_whole_attention_stays_fairseqs():
    """Only blocks that lose something are exchanged, and each says which heads are left."""
    model, cut, _, keep, _ = cut_by_run("post-norm", "head")
    assert not any(isinstance(m, CutAttention) for m in model.modules())
    for name, kept in keep.items():
        assert cut.get_submodule(name).heads.tolist() == kept.nonzero().flatten().tolist()
    model = build("post-norm")
    let_attention_shrink(model, ["encoder.layers.1.self_attn", "encoder", "nowhere"])
    assert [n for n, m in model.named_modules() if isinstance(m, CutAttention)] == ["encoder.layers.1.self_attn"]
    fresh = build("post-norm", seed=2)
    follow_widths(fresh)
    for state in (model.state_dict(), cut.state_dict(), build("post-norm").state_dict()):  # whole, cut, whole again
        fresh.load_state_dict(state)
        assert fresh.state_dict().keys() >= state.keys()
    assert close(output("post-norm", fresh), output("post-norm", build("post-norm")))


@pytest.mark.parametrize("sources", ["each its own", "one", "one, as BART's encoder hands it on"])
def test_beam_search(sources):
    """Keys and values are kept between steps, and rearranged."""
    from fairseq.sequence_generator import SequenceGenerator

    found = []
    model, cut, *_ = cut_by_run("pre-norm", "all")
    for m in (model.eval(), cut.eval()):
        m.decoder.set_beam_size(1 if sources == "each its own" else 3)
        if "BART" in sources:
            m.encoder.reorder_encoder_out = m.encoder._reorder_encoder_out
        generator = SequenceGenerator([m], m.decoder.dictionary, beam_size=3, max_len_b=9)
        source, lengths, _ = batch()
        found.append(generator.generate([m], {"net_input": {"src_tokens": source, "src_lengths": lengths}}))
    for one, other in zip(*found, strict=True):
        for a, b in zip(one, other, strict=True):
            assert torch.equal(a["tokens"], b["tokens"]) and close(a["positional_scores"], b["positional_scores"])
    assert len({tuple(h["tokens"].tolist()) for h in found[0][0]}) == 3


BLOCK = "encoder.layers.0.self_attn"
WRONG = {  # what is wrong with weights: what torch or fairseq says
    "no heads": (lambda s: s.pop(f"{BLOCK}.heads"), "size mismatch"),
    "other heads": (lambda s: s.update({f"{BLOCK}.heads": torch.arange(2.0)}), "size mismatch"),
    "more heads": (lambda s: s.update({f"{BLOCK}.heads": torch.arange(5.0)}), "size mismatch"),
    "a bias of another length": (lambda s: s.update({f"{BLOCK}.q_proj.bias": torch.zeros(3)}), "size mismatch"),
}


@pytest.mark.parametrize("case", WRONG)
def test_weights_that_do_not_fit_are_torchs_error(case):
    damage, message = WRONG[case]
    state = cut_by_run("pre-norm", "head")[1].state_dict()
    damage(state)
    fresh = build("pre-norm", seed=2)
    follow_widths(fresh)
    with pytest.raises(RuntimeError, match=message):
        fresh.load_state_dict(state)


MASKED_ONLY = {  # options of attention under which it cannot be cut
    "noise": {"quant_noise_pq": 0.1, "quant_noise_pq_block_size": 4},
}


@pytest.mark.parametrize("case", MASKED_ONLY)
def test_attention_that_is_only_masked(case):
    model = build_model("transformer", **SIZES, **MASKED_ONLY[case])
    vectors = structure_of(model).vectors.values()
    assert {v.kind: v.cuts for v in vectors if v.kind in ("head", "qk", "vo")} == {
        "head": False,
        "qk": False,
        "vo": False,
    }
