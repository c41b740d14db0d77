"""Every Transformer of fairseq's as CTranslate2 runs it: the log-probabilities of fairseq, on random weights."""

import ctranslate2
import fairseq  # noqa: F401  (before fairseq_prune, which then registers itself)
import pytest
import torch
from cut_units import select, zero
from one_layer import Optimizer
from small_models import DECODER, ENCODER, build_model
from srp_models import STAGES, WORDS, build, busy, cut_copy, select_units, srp, stock, switch_off

from fairseq_prune.deploy.export.read import read_transformer
from fairseq_prune.deploy.export.specification import specification
from fairseq_prune.deploy.export.vocabulary import words_of
from fairseq_prune.engine.cut import cut_in_run
from fairseq_prune.engine.masked_model import MaskedModel
from fairseq_prune.families import structure_of

PRE_NORM = {"encoder_normalize_before": True, "decoder_normalize_before": True}
OPTIONS = {
    "post-norm": {},
    "narrow encoder": {"encoder_embed_dim": 12},
    "shared": {"share_all_embeddings": True},
    "pre-norm": PRE_NORM,
    "pre-norm encoder": {"encoder_normalize_before": True},
    "no last norm": {**PRE_NORM, "no_decoder_final_norm": True},
    "learned positions": {"encoder_learned_pos": True, "decoder_learned_pos": True},
    "no positions": {"no_token_positional_embeddings": True},
    "normalised embeddings": {"layernorm_embedding": True},
    "unscaled embeddings": {"no_scale_embedding": True},
    "narrow embeddings": {"decoder_input_dim": 8, "decoder_output_dim": 12},
    "narrow input": {"decoder_input_dim": 8},
    "gelu": {"activation_fn": "gelu"},
    "gelu_accurate": {"activation_fn": "gelu_accurate"},
    "tanh": {"activation_fn": "tanh"},
}


def runtime(model, folder):
    """CTranslate2's version of a model."""
    activation = getattr(model.decoder.layers[0].activation_fn, "__name__", "")
    spec = specification(read_transformer(model, activation))
    spec.register_source_vocabulary(words_of(model.encoder.dictionary))
    spec.register_target_vocabulary(words_of(model.decoder.dictionary))
    spec.config.decoder_start_token, spec.config.add_source_eos = "</s>", True
    spec.validate()
    spec.optimize()
    spec.save(str(folder))
    return ctranslate2.Translator(str(folder), compute_type="float32")


@torch.no_grad()
def largest_difference(model, folder, exported=None):
    """Of the log-probabilities of random translations of two lengths, of a model and what was exported in its stead."""
    other, model, differences = runtime(exported or model, folder), model.float(), []
    generator, end = torch.Generator().manual_seed(5), torch.tensor([[2]])
    for length in (3, 9):
        source, target = (torch.randint(4, WORDS, (1, n), generator=generator) for n in (length, 6))
        inputs = torch.cat([source, end], 1), torch.tensor([length + 1]), torch.cat([end, target], 1)
        expected = model(*inputs)[0].log_softmax(-1)[0].gather(1, torch.cat([target, end], 1).T)[:, 0]
        words = [[model.encoder.dictionary[i] for i in row[0]] for row in (source, target)]
        found = other.score_batch(words[:1], words[1:])[0].log_probs
        differences.append((torch.tensor(found) - expected).abs().max())
    return float(max(differences))


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_stock_models(options, tmp_path):
    assert largest_difference(busy(stock(**options)), tmp_path) < 2e-5


@pytest.mark.parametrize("stage", STAGES)
def test_cut_models(stage, tmp_path):
    """Queries and values of different widths, some of width 0, neurons down to none, other residual dimensions."""
    model = busy(srp())
    assert largest_difference(cut_copy(model, select_units(model, STAGES[stage])), tmp_path) < 2e-5


def test_connectivity_is_folded(tmp_path):
    model = busy(srp())
    whole = largest_difference(model, tmp_path)
    switch_off(model, select_units(model, STAGES[2]))
    assert max(whole, largest_difference(model, tmp_path)) < 2e-5


@pytest.mark.parametrize("kinds", [("head",), ("qk", "vo"), ("head", "qk", "vo")], ids="+".join)
@pytest.mark.parametrize("options", [{}, PRE_NORM], ids=["post-norm", "pre-norm"])
def test_cut_attention(kinds, options, tmp_path):
    """Another number of heads in each block, of fewer dimensions: zeros fill what CTranslate2 wants to be equal."""
    masked, cut = busy(stock(**options)), busy(stock(**options))
    structure, optimizer = structure_of(cut), Optimizer(torch.optim.SGD(cut.parameters(), lr=0.1))
    keep = select(structure, kinds)
    cut_in_run(cut, structure.table, keep, optimizer, MaskedModel(cut))
    assert largest_difference(masked, tmp_path, cut) > 0.01
    zero(masked, structure, keep)
    assert largest_difference(masked, tmp_path, cut) < 2e-5


@pytest.mark.parametrize("width", ["head", "qk"])
def test_one_head_narrower_than_the_stream(width, tmp_path):
    """Of every block one head of two is left; or one head has lost dimensions."""
    model = busy(stock(**{f"{side}_attention_heads": 2 if width == "head" else 1 for side in ("encoder", "decoder")}))
    structure, optimizer = structure_of(model), Optimizer(torch.optim.SGD(model.parameters(), lr=0.1))
    kinds = (width,) if width == "head" else ("qk", "vo")
    vectors = [vector for vector in structure.vectors.values() if vector.kind in kinds]
    keep = {vector.name: torch.arange(vector.length) < vector.length // 2 for vector in vectors}
    cut_in_run(model, structure.table, keep, optimizer, MaskedModel(model))
    assert model.decoder.layers[0].self_attn.num_heads == 1
    assert largest_difference(model, tmp_path) < 2e-5


@pytest.mark.parametrize(
    "options, reason",
    [
        ({"adaptive_softmax_cutoff": "10,20"}, "--adaptive-softmax-cutoff: an adaptive softmax is not known"),
        ({"scale_heads": True}, "self_attn.c_attn|c_attn has no place in a plain Transformer"),
        ({"scale_fc": True}, "ffn_layernorm.weight has no place in a plain Transformer"),
        ({"no_cross_attention": True}, "--no-cross-attention: CTranslate2 has no decoder that is blind"),
        ({"cross_self_attention": True, "no_cross_attention": True}, "--cross-self-attention: joint attention"),
        ({"activation_fn": "linear"}, "--activation-fn linear: CTranslate2 has none such; it has relu, gelu"),
    ],
)
def test_what_cannot_be_expressed(options, reason):
    model = stock(**options)
    with pytest.raises(ValueError, match=reason):
        specification(read_transformer(model, options.get("activation_fn", "relu")))


def test_other_layers_are_refused():
    model = stock()
    model.decoder.layers.append(torch.nn.Identity())  # as BASE layers, which need several processes
    with pytest.raises(ValueError, match="decoder.layers: Identity is not a layer of a plain Transformer"):
        read_transformer(model, "relu")


@pytest.mark.parametrize("arch", ["lstm", "roberta_base", "nonautoregressive_transformer"])
def test_other_models_are_refused(arch):
    with pytest.raises(ValueError, match="is not a fairseq Transformer with a decoder"):
        read_transformer(build_model(arch, **ENCODER | DECODER | {"encoder_layers": 1}), "relu")


def test_a_word_that_is_there_twice():
    dictionary = build("transformer").encoder.dictionary
    dictionary.symbols[5] = dictionary.symbols[6]
    with pytest.raises(ValueError, match="the dictionary has 'w2' twice"):
        words_of(dictionary)
