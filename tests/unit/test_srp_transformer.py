"""SRP architectures compute what stock Transformers do, and cut ones what masked ones do."""

import copy
import pickle

import pytest
import torch
from srp_models import (
    SHARING,
    STAGES,
    WORDS,
    batch,
    build,
    busy,
    cut_copy,
    dictionary,
    logits,
    select_units,
    srp,
    step_by_step,
    stock,
    switch_off,
)

from fairseq_prune.pruning.surgery.cut import cut_state, entries, replace_values

ALL = STAGES[0]


@pytest.mark.parametrize("sharing", SHARING)
def test_same_seed_same_weights_as_stock(sharing):
    ours, theirs = srp(**SHARING[sharing]), stock(**SHARING[sharing])
    pairs = zip(ours.named_parameters(), theirs.named_parameters(), strict=True)
    assert all(a == b and torch.equal(x, y) for (a, x), (b, y) in pairs)
    assert torch.equal(torch.rand(3), (stock(**SHARING[sharing]), torch.rand(3))[1])  # nor is a number drawn


@pytest.mark.parametrize("sharing", SHARING)
def test_equals_stock(sharing):
    """Invariant 1, from stock weights, in both precisions and both layer-norm modes."""
    theirs, ours = busy(stock(**SHARING[sharing])), srp(**SHARING[sharing]).double()
    before = logits(ours)
    result = ours.load_state_dict(theirs.state_dict())
    assert not result.missing_keys and not result.unexpected_keys
    expected = logits(theirs)
    assert (before - expected).abs().max() > 0.1
    assert (logits(ours) - expected).abs().max() < 1e-10
    assert (step_by_step(ours) - expected)[[0, 2]].abs().max() < 1e-6  # fairseq's softmax is float32
    ours.ask_layer_norm(False)
    assert (logits(ours) - expected).abs().max() < 1e-10
    assert (logits(ours.float()) - logits(theirs.float())).abs().max() < 1e-5


@pytest.mark.parametrize("weighted", [True, False])
def test_connectivity_of_one_changes_nothing(weighted):
    """Multiplied in where a gradient is wanted, it leaves what it is left out of otherwise."""
    model = busy(srp())
    model.ask_layer_norm(weighted)
    expected = logits(model)
    assert all(connectivity.active is None for connectivity in model.connectivity.values())
    for dtype, tolerance in ((torch.float64, 1e-12), (torch.float32, 1e-4)):
        twin = copy.deepcopy(model).to(dtype)
        for connectivity in twin.connectivity.values():
            connectivity.vector.requires_grad_()
            assert connectivity.active is connectivity.vector
        assert (logits(twin) - expected).abs().max() < tolerance
        twin(*batch())[0].logsumexp(-1).sum().backward()
        assert all(c.vector.grad.abs().max() > 0 for c in twin.connectivity.values())


def generator(model, beam=3):
    from fairseq.sequence_generator import SequenceGenerator

    return SequenceGenerator([model], dictionary(WORDS), beam_size=beam, max_len_b=8, normalize_scores=False)


def beams(model, searching=None):
    source, lengths, _ = batch()
    searching = searching or generator(model)
    sample = {"net_input": {"src_tokens": source, "src_lengths": lengths}}
    return [
        (hypo["tokens"].tolist(), hypo["score"].item())
        for hypos in searching.generate([model], sample)
        for hypo in hypos
    ]


def assert_same_beams(a, b):
    assert [tokens for tokens, _ in a] == [tokens for tokens, _ in b]
    assert [score for _, score in a] == pytest.approx([score for _, score in b], abs=1e-4)


def test_beam_search():
    theirs, ours = busy(stock()), srp().double()
    ours.load_state_dict(theirs.state_dict())
    expected = beams(theirs)
    assert_same_beams(beams(ours), expected)
    keep = select_units(ours, ALL)
    cut = cut_copy(switch_off(ours, keep), keep)
    assert_same_beams(beams(cut), beams(ours))
    assert [tokens for tokens, _ in beams(cut)] != [tokens for tokens, _ in expected]


def test_beams_share_their_source_in_every_search_of_a_process():
    """Searches of different beams on one model, in any order: their hypotheses, and a source that is read once."""
    model, rows = busy(srp()), []
    searches = {beam: generator(model, beam) for beam in (5, 1, 3)}
    expected = {beam: beams(twin, generator(twin, beam)) for beam in searches for twin in [copy.deepcopy(model)]}
    model.decoder.layers[0].encoder_attn.k_proj.register_forward_hook(lambda _, x, y: rows.append(y.shape[1]))
    for beam in (5, 1, 3, 5, 3, 1):
        assert_same_beams(beams(model, searches[beam]), expected[beam])
    sentences = len(batch()[0])
    assert rows == [sentences] * 6
    theirs = busy(stock())
    model.load_state_dict(theirs.state_dict())
    for beam in (5, 1):  # fairseq's attention reads the source of every hypothesis
        assert_same_beams(beams(model, searches[beam]), beams(theirs, generator(theirs, beam)))


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("sharing", SHARING)
def test_cutting_is_safe(sharing, weighted, stage):
    """Invariant 2, with an emptied feed-forward block and emptied queries and keys."""
    options = SHARING[sharing]
    model = busy(srp(**options))
    model.ask_layer_norm(weighted)
    whole, keep = logits(model), select_units(model, STAGES[stage])
    expected = logits(switch_off(model, keep))
    assert (expected - whole).abs().max() > 0.1
    steps, cut = step_by_step(model), cut_copy(model, keep, **options)
    assert sum(p.numel() for p in cut.parameters()) < 0.9 * sum(p.numel() for p in model.parameters())
    assert (logits(cut) - expected).abs().max() < 1e-10
    assert (step_by_step(cut) - steps).abs().max() < 1e-10
    assert (logits(cut.float()) - expected).abs().max() < 1e-4
    assert (step_by_step(cut.double()) - expected)[[0, 2]].abs().max() < 1e-6  # float32 softmax in both
    if stage != 1:
        assert cut.decoder.layers[0].fc1.weight.shape[0] == 0
        assert cut.encoder.layers[1].self_attn.q_proj.weight.shape[0] == 0


def test_the_layer_norm_mode_matters_after_a_cut():
    model = busy(srp())
    keep = select_units(model, STAGES[1])
    cut = cut_copy(switch_off(model, keep), keep)
    expected = logits(cut)
    cut.weighted_layer_norm.fill_(0)
    cut.refresh()
    assert (logits(cut) - expected).abs().max() > 0.1


def test_cut_models_train():
    """Zero widths and all: finite gradients, and the same ones as the masked model's."""
    model = busy(srp())
    keep = select_units(model, ALL)
    cut = cut_copy(switch_off(model, keep), keep)
    grads = []
    for m in (model, cut):
        m(*batch())[0].logsumexp(-1).sum().backward()
        grads.append({name: p.grad for name, p in m.named_parameters()})
    for name, grad in cut_state(grads[0], model.table, keep).items():
        assert grads[1][name].isfinite().all()
        torch.testing.assert_close(grads[1][name], grad, rtol=1e-7, atol=1e-9)


def test_scales_and_positions_after_two_cuts():
    """Invariant 12: positions name original dimensions, scales stay those of the original widths."""
    model = busy(srp(decoder_attention_heads=4))
    first, second = torch.arange(16) % 3 != 0, torch.arange(10) % 4 != 1
    for side in ("encoder", "decoder"):
        for keep in ({f"{side}.embedding_c": first}, {f"{side}.embedding_c": second}):
            switch_off(model, keep)
            expected = logits(model)
            replace_values(model, cut_state(entries(model), model.table, keep))
            model.refresh()
            assert (logits(model) - expected).abs().max() < 1e-10
        module = getattr(model, side)
        assert module.pos_emb_mask.tolist() == [1, 4, 5, 7, 10, 11, 13]
        assert torch.equal(module.pos_emb_mask, torch.arange(16)[first][second])
        assert module.embed_scale == 4.0
    assert model.encoder.layers[0].self_attn.scaling == 8**-0.5
    assert model.decoder.layers[0].self_attn.scaling == model.decoder.layers[0].encoder_attn.scaling == 4**-0.5
    attention = model.encoder.layers[0].self_attn
    assert attention.q_proj.weight.shape == (16, 7)
    keep = {"encoder.layers.0.self_attn_qk_c": torch.arange(16) % 8 < 3}
    replace_values(model, cut_state(entries(model), model.table, keep))
    assert attention.q_proj.weight.shape == (6, 7) and attention.scaling == 8**-0.5
    before = logits(model)
    model.encoder.pos_emb_mask[0] = 2
    assert (logits(model) - before).abs().max() > 1e-4


def test_reference_counts():
    """The numbers of the spec, with the dictionaries of IWSLT14."""
    model = build("srp_iwslt_de_en", words=(8848, 6632), share_decoder_input_output_embed=True)
    assert sum(p.numel() for p in model.parameters()) == 39_469_056
    assert sum(len(c.vector) for c in model.connectivity.values()) == 31_744
    assert sum(v.length for v in model.vectors) == 31_744
    assert {(v.kind, v.length, v.heads) for v in model.vectors} == {
        ("residual", 512, 1), ("qk", 512, 4), ("vo", 512, 4), ("neuron", 1024, 1),
    }  # fmt: skip
    assert len(model.vectors) == 2 + 2 * 18 + 12
    assert model.encoder.embed_scale == 512**0.5 and model.encoder.layers[5].self_attn.scaling == 128**-0.5


def test_decoder_vectors_have_the_decoders_sizes():
    lengths = {v.name: (v.length, v.heads) for v in srp(encoder_embed_dim=12).vectors}
    assert lengths["encoder.layers.1.fc_c"] == (24, 1) and lengths["decoder.layers.1.fc_c"] == (20, 1)
    assert lengths["encoder.embedding_c"] == (12, 1) and lengths["decoder.embedding_c"] == (16, 1)
    assert lengths["encoder.layers.0.self_attn_qk_c"] == (12, 2)
    assert lengths["decoder.layers.0.encoder_attn_vo_c"] == (16, 4)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_a_copy_has_its_own_connectivity(copied):
    model = busy(srp())
    twin, keep = copied(model), select_units(model, ALL)
    expected = logits(model)
    switch_off(twin, keep)
    assert (logits(model) - expected).abs().max() < 1e-12
    changed = logits(twin)
    assert (changed - expected).abs().max() > 0.1
    model.load_state_dict(twin.state_dict())
    assert (logits(model) - changed).abs().max() < 1e-12
    twin.load_state_dict(cut_state(model.state_dict(), model.table, keep))  # the hooks are its own, too
    assert (logits(twin) - changed).abs().max() < 1e-10
    assert len(model.encoder.embedding_c) == 16 > len(twin.encoder.embedding_c)


def test_precisions():
    """Vectors follow the model, index buffers stay integers, and logits stay close."""
    model = busy(srp())
    switch_off(model, select_units(model, ALL))
    expected = logits(model)
    for dtype, tolerance in (
        (torch.float16, 0.2),
        (torch.bfloat16, 1.0),
        (torch.float32, 1e-4),
        (torch.float64, 1e-10),
    ):
        low = copy.deepcopy(model).to(dtype)
        assert {c.vector.dtype for c in low.connectivity.values()} == {dtype}
        assert low.encoder.pos_emb_mask.dtype == torch.int64 and not low.weighted_layer_norm.is_floating_point()
        assert (logits(low) - expected).abs().max() < tolerance
        assert logits(low).dtype == dtype


@pytest.mark.parametrize("option", [
    {"encoder_layerdrop": 0.5, "decoder_layerdrop": 0.5}, {"checkpoint_activations": True},
    {"no_token_positional_embeddings": True}, {"activation_fn": "gelu"}, {"merge_src_tgt_embed": True},
    {"no_scale_embedding": True},
], ids=lambda option: next(iter(option)))  # fmt: skip
def test_other_options_work(option):
    """All layers are connected, and cutting is safe."""
    model = busy(srp(**option))
    assert len(model.vectors) == 2 - ("merge_src_tgt_embed" in option) + 2 * 3 + 2 * 5
    keep = select_units(model, ALL)
    expected = logits(switch_off(model, keep))
    cut = cut_copy(model, keep, **option)
    assert (logits(cut) - expected).abs().max() < 1e-10
    cut.train()(*batch())[0].sum().backward()
    theirs = busy(stock(**option))
    ours = srp(**option).double()
    ours.load_state_dict(theirs.state_dict())
    assert (logits(ours) - logits(theirs)).abs().max() < 1e-10


def test_alignments_are_fairseqs():
    theirs, ours = busy(stock()), srp().double()
    ours.load_state_dict(theirs.state_dict())
    with torch.no_grad():
        a, b = (model(*batch(), alignment_layer=0, alignment_heads=2)[1]["attn"][0] for model in (ours, theirs))
    assert a.shape == b.shape and (a - b).abs().max() < 1e-6


def test_fairseq_averages_checkpoints():
    """As its script does: sums over models, integers divided without rest."""
    states = [busy(srp(), seed).state_dict() for seed in (1, 2, 3)]
    average = {}
    for name, value in states[0].items():
        total = value.clone()
        for other in states[1:]:
            total += other[name]
        average[name] = total.div_(3) if total.is_floating_point() else total.floor_divide_(3)
    model = srp().double()
    model.load_state_dict(average)
    assert model.decoder.pos_emb_mask.tolist() == list(range(16)) and all(c.idle for c in model.connectivity.values())
    assert model.weighted_layer_norm == 1
