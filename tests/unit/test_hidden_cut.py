"""Recurrent models whose hidden units are cut out compute what the masked ones do, over whole sequences."""

from argparse import Namespace

import pytest
import torch
from small_models import VOCABULARY, build_model
from srp_models import busy
from test_family_units import ADAPTIVE, BRIDGED
from test_permute_models import BOTH_WAYS, LM, RECURRENT, SEQ2SEQ
from torch import nn

from fairseq_prune.checkpoint.resize import follow_widths
from fairseq_prune.engine.carried import Carried
from fairseq_prune.families import options_of, structure_of
from fairseq_prune.families.recurrent.units import hidden_units
from fairseq_prune.pruning.surgery.cut import cut_state, entries, replace_values
from fairseq_prune.pruning.surgery.structure import Coupled, can_be_cut, masks_without

SHARED = {"share_all_embeddings": True, "encoder_embed_dim": 8, "decoder_embed_dim": 8, "decoder_out_embed_dim": 8}
MODELS = {  # architecture, options
    "rnn_lm": ("rnn_lm", LM),
    "lstm_lm": ("lstm_lm", LM | {"decoder_out_embed_dim": 12}),
    "lstm_lm, residuals": ("lstm_lm", LM | {"residuals": True, "decoder_out_embed_dim": 16}),
    "lstm_lm, adaptive": ("lstm_lm", LM | ADAPTIVE),
    "lstm": ("lstm", SEQ2SEQ),
    "lstm, tied": ("lstm", SEQ2SEQ | {"share_all_embeddings": True, "decoder_out_embed_dim": 16}),
    "lstm, shared embeddings": ("lstm", SEQ2SEQ | SHARED),
    "lstm, no attention": ("lstm", SEQ2SEQ | {"decoder_attention": "0"}),
    "lstm, both ways": ("lstm", SEQ2SEQ | BOTH_WAYS),
    "lstm, bridged": ("lstm", BRIDGED),
    "lstm, bridged, no attention": ("lstm", BRIDGED | {"decoder_attention": "0"}),
    "rnnsearch": ("rnnsearch", RECURRENT),
    "luongnet": ("luongnet", RECURRENT),
}


def some_units(structure, seed=1):
    """A choice of units to keep: half of every layer, three quarters of attention and embeddings."""
    generator = torch.Generator().manual_seed(seed)
    keep = {}
    for name, vector in structure.vectors.items():
        count = vector.length // (2 if vector.alike else 4)
        keep[name] = torch.randperm(vector.length, generator=generator) >= count
    return keep


def masked(model, structure, keep):
    """Zero in place all that the others own."""
    parameters = dict(model.named_parameters())
    masks = masks_without(structure, {name: p.shape for name, p in parameters.items()}, keep)
    with torch.no_grad():
        for name, mask in masks.items():
            parameters[name] *= mask
    return model


def cut(model, structure, keep):
    replace_values(model, cut_state(entries(model), structure.table, can_be_cut(structure.vectors, keep)))
    return model


def sentences(model, adaptive=False):
    """What the model says of each word of a padded batch, and beam search's hypotheses with their scores."""
    from fairseq.data import Dictionary
    from fairseq.sequence_generator import SequenceGenerator

    generator, dictionary = torch.Generator().manual_seed(3), Dictionary()
    for word in range(VOCABULARY - len(dictionary)):
        dictionary.add_symbol(f"w{word}")
    source = torch.randint(4, VOCABULARY, (3, 9), generator=generator)
    source[1, :2], source[2, :4] = dictionary.pad(), dictionary.pad()  # longest first, as fairseq has them
    lengths, target = source.ne(dictionary.pad()).sum(1), torch.randint(4, VOCABULARY, (3, 6), generator=generator)
    net_input = {"src_tokens": source, "src_lengths": lengths}
    both = hasattr(model, "encoder")
    with torch.no_grad():
        out = model(**net_input, prev_output_tokens=target) if both else model(target)
        said = model.get_normalized_probs(out, True, {"target": target})
        if adaptive:  # fairseq cannot generate with it
            return said, []
        search = SequenceGenerator([model], dictionary, beam_size=3, max_len_a=0, max_len_b=7, normalize_scores=False)
        prefix = {} if both else {"prefix_tokens": target[:, :2]}
        inputs = net_input if both else {"src_tokens": target[:, :2], "src_lengths": torch.full((3,), 2)}
        found = search.generate([model], {"net_input": inputs}, **prefix)
    return said, [(hypo["tokens"].tolist(), float(hypo["score"])) for hypos in found for hypo in hypos]


@pytest.fixture(params=MODELS)
def case(request):
    arch, options = MODELS[request.param]
    model = busy(build_model(arch, **options)).eval()
    return model, arch, options, structure_of(model)


def test_masked_equals_cut(case):
    """Teacher-forced, over padded sentences, and in beam search; the cut model is narrower in every layer."""
    model, arch, options, structure = case
    keep, adaptive = some_units(structure), "adaptive_softmax_cutoff" in options
    said, found = sentences(masked(model, structure, keep), adaptive)
    cut(model, structure, keep)
    assert all(units.all() or structure.vectors[name].cuts for name, units in keep.items())
    for name, units in keep.items():
        assert model.get_parameter(name).shape[int("attention" not in name)] == int(units.sum())
    for narrow in (model, reloaded(model, arch, options)):
        said_of_cut, found_of_cut = sentences(narrow, adaptive)
        assert (said_of_cut - said).abs().max() < 1e-10
        assert [tokens for tokens, _ in found_of_cut] == [tokens for tokens, _ in found]
        assert all(abs(a - b) < 1e-10 for (_, a), (_, b) in zip(found_of_cut, found, strict=True))


def reloaded(model, arch, options):
    """The same weights in a model that was built as wide as the options say."""
    new = build_model(arch, **options).double().eval()
    follow_widths(new)
    new.load_state_dict(model.state_dict())
    return new


def test_other_units_are_another_function(case):
    """Control."""
    model, _, options, structure = case
    said, _ = sentences(masked(model, structure, some_units(structure)), adaptive=True)
    other = {name: ~units if units.sum() * 2 == len(units) else units for name, units in some_units(structure).items()}
    assert (sentences(cut(model, structure, other), adaptive=True)[0] - said).abs().max() > 1e-3


def test_sizes_are_remembered(case):
    """Nothing of the old width is left in a module; a model as wide trains on."""
    model, _, _, structure = case
    cut(model, structure, some_units(structure))
    for module in model.modules():
        if isinstance(module, (nn.RNNBase, nn.RNNCellBase)):
            assert module.hidden_size in (4, 8)
        if hasattr(module, "output_units"):
            assert module.output_units == module.hidden_size * (1 + module.bidirectional)
    model.train()
    tokens = torch.randint(4, VOCABULARY, (2, 5))
    said = model(tokens, torch.tensor([5, 5]), tokens) if hasattr(model, "encoder") else model(tokens)
    said[0].sum().backward()
    assert all(p.grad is None or p.grad.shape == p.shape for p in model.parameters())


def test_options_name_the_widths(case):
    """Those of the uncut model are its own; a model built with those of the cut one fits as it is built."""
    model, arch, given, structure = case
    assert options_of(model).items() <= built_with(arch, given).items()
    keep = some_units(structure)
    alone = [name for name in keep if "attention" in name]  # which is now wider than the states
    cut(model, structure, {name: units for name, units in keep.items() if name not in alone})
    sizes = options_of(model)
    named = "adaptive_softmax_cutoff" not in given and any("embed" in name for name in keep)
    if alone or not named:
        assert not sizes
        cut(model, structure_of(model), {name: torch.arange(16) < 8 for name in alone})
        sizes = options_of(model)
    if sizes:
        build_model(arch, **given | sizes).double().load_state_dict(model.state_dict())
    assert bool(sizes) == named


def built_with(arch, given):
    """All options of an architecture."""
    from fairseq.models import ARCH_CONFIG_REGISTRY, MODEL_DATACLASS_REGISTRY

    dataclass = MODEL_DATACLASS_REGISTRY.get(arch)
    args = Namespace(**(vars(dataclass()) if dataclass else {}) | given)
    ARCH_CONFIG_REGISTRY[arch](args)
    return vars(args)


def test_embeddings_that_are_the_output_stay():
    """Then the last layer's width is the embedding's, and with it every layer's: masked only."""
    tied = {"decoder_embed_dim": 16, "decoder_out_embed_dim": 16, "share_decoder_input_output_embed": True}
    structure = structure_of(build_model("lstm_lm", **LM | tied))
    assert {vector.kind for vector in structure.vectors.values()} == {"hidden"} and not any(
        vector.cuts for vector in structure.vectors.values()
    )
    assert can_be_cut(structure.vectors, some_units(structure)) == {}


def test_a_state_is_carried_over_a_cut():
    """A stream goes on with the states of the units that stay."""
    model = busy(build_model("rnn_lm", **LM)).eval()
    structure = structure_of(model)
    keep, carried, tokens = some_units(structure), Carried(), torch.randint(4, VOCABULARY, (2, 12))
    masked(model, structure, keep)
    with torch.no_grad():
        model(tokens[:, :6], carried=carried)
        start = carried.state
        said = model(tokens[:, 6:], carried=carried)[0]
        carried.state = start
        cut(model, structure, keep)
        layers = [units for name, units in keep.items() if ".lstm." in name]
        carried.follow_cut(layers)
        assert carried.state[0].shape == (2, 2, 8)
        carried.follow_cut(layers)  # once
        assert (model(tokens[:, 6:], carried=carried)[0] - said).abs().max() < 1e-10
        assert (model(tokens[:, 6:])[0] - said).abs().max() > 1e-3  # control: the state matters


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN, nn.LSTMCell, nn.GRUCell, nn.RNNCell])
def test_a_masked_unit_puts_out_zero(kind):
    """Its biases are masked as well, and its state began at zero; so it is 0 at every step, whatever the input."""
    layers = {"num_layers": 2, "bidirectional": True} if issubclass(kind, nn.RNNBase) else {}
    model = busy(nn.ModuleDict({"rnn": kind(3, 6, **layers)}))
    vectors = list(hidden_units(model))
    assert [vector.length for _, vector in vectors] == [6] * (4 if layers else 1)
    parameters = dict(model.named_parameters())
    with torch.no_grad():
        for rows, _ in vectors:
            for entry, owner in rows:
                where = owner.along(torch.arange(6) == 2, otherwise=False)
                parameters[entry].movedim(owner.axis, 0)[where] = 0
        inputs = torch.randn(7, 3, dtype=torch.float64)
        states = model.rnn(inputs)[0].view(7, -1, 6) if layers else steps(model.rnn, inputs)
        assert not states[..., 2].any() and states[..., :2].all() and states[..., 3:].all()
        for name, parameter in parameters.items():  # control: a bias that is left makes a constant
            if "bias_ih" in name:
                parameter += 0.1
        states = model.rnn(inputs)[0].view(7, -1, 6) if layers else steps(model.rnn, inputs)
        assert states[..., 2].all()


def steps(cell, inputs):
    states, state = [], None
    for value in inputs:
        state = cell(value[None], state)
        states.append(state[0] if isinstance(state, tuple) else state)
    return torch.stack(states)


def test_layers_of_one_module_are_cut_alike():
    """As many units of each, in proportion; what is removed beyond that stays masked."""
    vectors = {
        name: Coupled(name, "hidden", length, alike=alike)
        for name, length, alike in (("a", 4, "rnn"), ("b", 8, "rnn"), ("c", 5, ""))
    }
    keep = {"a": [1, 0, 0, 1], "b": [0, 0, 0, 1, 1, 1, 0, 1], "c": [1, 1, 0, 0, 0]}
    keep = {name: torch.tensor(units) == 1 for name, units in keep.items()}
    cuts = {name: units.long().tolist() for name, units in can_be_cut(vectors, keep).items()}
    assert cuts == {"a": [1, 0, 0, 1], "b": [0, 0, 0, 1, 1, 1, 0, 1], "c": [1, 1, 0, 0, 0]}
    keep["a"][1] = True
    cuts = {name: units.long().tolist() for name, units in can_be_cut(vectors, keep).items()}
    assert cuts == {"a": [1, 1, 0, 1], "b": [0, 0, 1, 1, 1, 1, 1, 1], "c": [1, 1, 0, 0, 0]}
    assert can_be_cut(vectors, {"a": keep["a"], "c": keep["c"]}).keys() == {"c"}  # b is left out, so a stays
