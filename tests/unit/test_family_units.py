"""Units of whole models: what is masked is silent, and what the structure calls readers reads it."""

import pytest
import torch
from small_models import build_model
from srp_models import busy
from test_permute_models import BOTH_WAYS, LM, RECURRENT, SEQ2SEQ, logits

from fairseq_prune.families import FAMILIES, structure_of
from fairseq_prune.pruning.surgery.structure import masks_without, unit_rows

BRIDGED = SEQ2SEQ | {"encoder_bidirectional": True}
ADAPTIVE = {"decoder_out_embed_dim": 12, "criterion": "adaptive_loss", "adaptive_softmax_cutoff": "10,20"}
MODELS = {  # architecture, options, units of each vector of hidden units, what reads the second vector
    "rnn_lm": ("rnn_lm", LM, [16, 16], {"decoder.lstm.weight_hh_l1", "decoder.output_projection.weight"}),
    "lstm": (
        "lstm",
        SEQ2SEQ,
        [16] * 3,
        {
            "encoder.lstm.weight_hh_l1", "decoder.layers.1.weight_hh", "decoder.attention.input_proj.weight",
            "decoder.attention.output_proj.weight",
        },
    ),
    "lstm, both ways": ("lstm", SEQ2SEQ | BOTH_WAYS, [8] * 4 + [16], None),
    "lstm, bridged": ("lstm", BRIDGED, [16] * 4, None),
    "lstm, bridged, no attention": ("lstm", BRIDGED | {"decoder_attention": "0"}, [16] * 3, None),
    "lstm_lm, adaptive": ("lstm_lm", LM | ADAPTIVE, [16, 16], None),
    "lstm_lm, residuals": ("lstm_lm", LM | {"residuals": True, "decoder_out_embed_dim": 8}, [16, 16], None),
    "rnnsearch": ("rnnsearch", RECURRENT, [8] * 4 + [16] * 2, None),
    "luongnet": ("luongnet", RECURRENT, [16] * 3, None),
}  # fmt: skip


@pytest.fixture(params=MODELS)
def case(request):
    arch, options, lengths, readers = MODELS[request.param]
    model = busy(build_model(arch, **options)).eval()
    return model, structure_of(model), lengths, readers


def test_vectors(case):
    _, structure, lengths, readers = case
    vectors = [vector for vector in structure.vectors.values() if vector.kind == "hidden"]
    if lengths:
        assert [vector.length for vector in vectors] == lengths
    if readers:
        assert readers <= set(vectors[1].readers)


def test_what_is_masked_is_silent(case):
    """With all that a unit owns at zero, its readers have nothing to read; with its columns alone, they still have."""
    model, structure, _, _ = case
    parameters = dict(model.named_parameters())
    for name, vector in structure.vectors.items():
        keep = torch.ones(vector.length, dtype=torch.bool)
        keep[1] = False
        masks = masks_without(structure, {entry: value.shape for entry, value in parameters.items()}, {name: keep})
        before = {entry: parameters[entry].detach().clone() for entry in masks}
        with torch.no_grad():
            for entry, mask in masks.items():
                parameters[entry] *= mask
            silent = logits(model)
            columns = {entry: owner for entry, owner in structure.slices(name, "readers")}
            for entry, owner in columns.items():
                where = owner.along(keep, otherwise=True)
                rows = masks[entry].any(1, keepdim=True) if entry in vector.writers else torch.tensor(True)
                parameters[entry] += (~where & rows) * 1.0
            assert torch.equal(logits(model), silent)
            for entry, value in before.items():
                parameters[entry].copy_(value)
            assert not torch.equal(logits(model), silent)


def test_scores_see_all_readers():
    """SNAP on a recurrent model: the columns of the layer above, of attention and of the output count."""
    model = build_model("rnn_lm", **LM)
    structure, values = structure_of(model), dict(model.named_parameters())
    first, last, _ = structure.vectors
    assert unit_rows(structure, first, "readers", values.get).shape == (16, 4 * 16 + 4 * 16)  # itself, the layer above
    assert unit_rows(structure, last, "readers", values.get).shape == (16, 4 * 16 + len(values[OUTPUT]))


OUTPUT = "decoder.output_projection.weight"


def test_families_are_known_by_name():
    assert set(FAMILIES) == {"transformer", "recurrent", "fconv"}
