"""Channel permutation of models: another order, the same function."""

import pytest
import torch
from permutations import permute_state
from small_models import DECODER, ENCODER, VOCABULARY, build_model
from srp_models import WORDS, busy, srp
from torch import nn

from fairseq_prune.families import permutable
from fairseq_prune.pruning.permute.apply import permuted
from fairseq_prune.pruning.permute.search import kept
from fairseq_prune.pruning.permute.stack import stack
from fairseq_prune.pruning.surgery.cut import entries
from fairseq_prune.pruning.surgery.structure import Structure


def logits(model, words=VOCABULARY):
    """Outputs for a fixed batch, [batch, length, words]."""
    tokens = torch.randint(4, words, (3, 7), generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        if hasattr(model, "encoder"):
            out = model(tokens, torch.tensor([7, 7, 7]), tokens[:, :5])
        else:
            out = model(tokens)
        return out[0]


SEQ2SEQ = {"encoder_hidden_size": 16, "encoder_layers": 2, "decoder_layers": 2, "decoder_hidden_size": 16}
SEQ2SEQ |= {"encoder_embed_dim": 16, "decoder_embed_dim": 16, "decoder_out_embed_dim": 12}
RECURRENT = {"hidden_size": 16, "encoder_embed_dim": 8, "decoder_embed_dim": 8, "layers": 2}
LM = {"decoder_embed_dim": 8, "decoder_hidden_size": 16, "decoder_layers": 2}
BOTH_WAYS = {"encoder_hidden_size": 8, "encoder_bidirectional": True}
MODELS = {  # architecture, options, kinds and numbers of the vectors that move
    "transformer": ("transformer", ENCODER | DECODER, {"neuron": 3, "value": 8}),
    "lm": ("transformer_lm", DECODER, {"neuron": 1, "value": 2}),
    "rnn_lm": ("rnn_lm", LM, {"hidden": 2}),
    "lstm_lm": ("lstm_lm", LM | {"decoder_out_embed_dim": 12}, {"hidden": 2}),
    "lstm_lm tied": ("lstm_lm", LM | {
        "decoder_embed_dim": 16, "decoder_out_embed_dim": 16, "share_decoder_input_output_embed": True,
    }, {"hidden": 1}),
    "lstm": ("lstm", SEQ2SEQ, {"hidden": 3}),
    "lstm, no attention": ("lstm", SEQ2SEQ | {"decoder_attention": "0"}, {"hidden": 2}),
    "lstm, both ways": ("lstm", SEQ2SEQ | BOTH_WAYS, {"hidden": 5}),
    "lstm, bridged": ("lstm", SEQ2SEQ | {"encoder_bidirectional": True}, {"hidden": 4}),
    "rnnsearch": ("rnnsearch", RECURRENT, {"hidden": 6}),
    "luongnet": ("luongnet", RECURRENT, {"hidden": 3}),
}  # fmt: skip


@pytest.fixture(scope="module", params=MODELS)
def case(request):
    arch, options, moving = MODELS[request.param]
    model = busy(build_model(arch, **options)).eval()
    structure = permutable(model)
    return model, structure, permuted(model, structure, 2, 4, torch.Generator().manual_seed(1), rounds=5), moving


def moved(model, structure, orders, words=VOCABULARY):
    """The model's output after its units have changed places; the model keeps its state."""
    state = {name: value.clone() for name, value in model.state_dict().items()}
    model.load_state_dict(permute_state(state, structure, orders))
    out = logits(model, words)
    model.load_state_dict(state)
    return out


def test_the_same_function(case):
    model, structure, orders, moving = case
    kinds = [structure.vectors[name].kind for name in orders]
    assert {kind: kinds.count(kind) for kind in kinds} == moving
    assert (moved(model, structure, orders) - logits(model)).abs().max() < 1e-9
    every = {name: torch.randperm(vector.length) for name, vector in structure.vectors.items()}
    assert (moved(model, structure, every) - logits(model)).abs().max() < 1e-9


def test_readers_keep_more(case):
    model, structure, orders, _ = case
    after = permute_state(entries(model), structure, orders)
    for name in orders:
        before_after = [stack(structure, name, values, 4) for values in (entries(model), after)]
        assert kept(before_after[1], 2, 4) > kept(before_after[0], 2, 4)
        first, second = (matrix.sort(0).values for matrix in before_after)  # rows may have moved too
        assert torch.equal(second, first[:, orders[name]])


def test_only_the_readers_moved(case):
    """Control: the reader alone in another order is another function, for every vector."""
    model, structure, orders, _ = case
    for name, order in orders.items():
        readers = structure.vectors[name].readers
        owners = {entry: tuple(o for o in of if o.axis == 1) for entry, of in structure.table.items()}
        alone = Structure({entry: owners[entry] for entry in readers}, structure.vectors)
        assert (moved(model, alone, {name: order}) - logits(model)).abs().max() > 1e-4


def test_the_second_time_nothing_moves(case):
    model, structure, orders, _ = case
    state = {name: value.clone() for name, value in model.state_dict().items()}
    again = permuted(model, structure, 2, 4, torch.Generator().manual_seed(1), rounds=5)
    assert again.keys() == orders.keys() and all(torch.equal(again[name], orders[name]) for name in orders)
    model.load_state_dict(permute_state(state, structure, orders))
    assert permuted(model, structure, 2, 4, torch.Generator().manual_seed(2)) == {}
    model.load_state_dict(state)


def test_connectivity_of_srp_moves_along():
    model = busy(srp(encoder_layers=1, decoder_layers=1, decoder_attention_heads=2)).eval()
    for connectivity in model.connectivity.values():
        connectivity.vector.uniform_(0.5, 1.5)
    model.refresh()
    structure = permutable(model)
    orders = permuted(model, structure, 2, 4, torch.Generator().manual_seed(1), rounds=5)
    kinds = [structure.vectors[name].kind for name in orders]
    assert (kinds.count("neuron"), kinds.count("value")) == (2, 6)
    assert (moved(model, structure, orders, WORDS) - logits(model, WORDS)).abs().max() < 1e-9
    scales = {entry: owners for entry, owners in structure.table.items() if entry.endswith("_c")}
    assert len(scales) == 5
    still = Structure({entry: of for entry, of in structure.table.items() if entry not in scales}, structure.vectors)
    assert (moved(model, still, orders, WORDS) - logits(model, WORDS)).abs().max() > 1e-4  # control


@pytest.mark.parametrize("options", [{}, {"bias": False}, {"kdim": 8, "vdim": 8}, {"add_bias_kv": True}])
def test_attention_of_torch(options):
    torch.manual_seed(1)
    model = nn.ModuleDict({"attention": nn.MultiheadAttention(16, 2, batch_first=True, **options)}).double().eval()
    busy(model)
    query, key = torch.randn(2, 5, 16).double(), torch.randn(2, 6, options.get("kdim", 16)).double()
    structure = permutable(model)
    orders = permuted(model, structure, 2, 4, torch.Generator().manual_seed(1))
    assert len(orders) == 2
    before = model["attention"](query, key, key)[0]
    model.load_state_dict(permute_state(model.state_dict(), structure, orders))
    assert (model["attention"](query, key, key)[0] - before).abs().max() < 1e-9
