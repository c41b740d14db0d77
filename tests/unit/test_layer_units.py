"""Layers that are masked, bypassed or cut compute the same; what they are worth, against hand computation."""

import copy
import math

import pytest
import torch
from small_models import DECODER, ENCODER, build_model
from srp_models import busy
from torch import nn
from torch.nn import functional as F

from fairseq_prune.engine.evidence import gather
from fairseq_prune.engine.layer_evidence import hidden_change, mean_change
from fairseq_prune.engine.make_plan import make_plan
from fairseq_prune.engine.masked_model import MaskedModel
from fairseq_prune.families import stacks_of, structure_of
from fairseq_prune.pruning.depth import read_depth
from fairseq_prune.pruning.selecting import Selection, coupled_selector_of
from fairseq_prune.pruning.surgery.depth import cut_layers, layers_of
from fairseq_prune.pruning.surgery.structure import masks_without
from fairseq_prune.pruning.units import parse_units

DEEP = ENCODER | DECODER | {"encoder_layers": 3, "decoder_layers": 4, "max_source_positions": 64}
BEFORE = {"encoder_normalize_before": True, "decoder_normalize_before": True}
LM = DECODER | {"decoder_layers": 4, "tokens_per_sample": 16}
ROBERTA = ENCODER | {"encoder_layers": 4, "max_positions": 64}
MODELS = {  # architecture, options, stack, its layers that stay
    "post-norm": ("transformer", DEEP, "decoder.layers", [0, 3]),
    "pre-norm": ("transformer", DEEP | BEFORE, "decoder.layers", [0, 3]),
    "encoder": ("transformer", DEEP, "encoder.layers", [1]),
    "layer drop": ("transformer", DEEP | {"decoder_layerdrop": 0.5}, "decoder.layers", [2, 3]),
    "transformer_lm": ("transformer_lm", LM, "decoder.layers", [1, 2]),
    "roberta": ("roberta", ROBERTA, "encoder.sentence_encoder.layers", [0, 2]),
}
TOKENS = torch.randint(5, 40, (3, 7), generator=torch.Generator().manual_seed(1))
TOKENS[1, 5:] = 1  # padding


def outputs(model):
    """Of every stage: logits, hidden states."""
    lengths = TOKENS.ne(1).sum(1)
    two_sided = hasattr(model, "encoder") and hasattr(model, "decoder")
    arguments = (TOKENS, lengths, TOKENS) if two_sided else (TOKENS,)
    return model(*arguments)[0]


@pytest.fixture(params=MODELS)
def case(request):
    arch, options, stack, stay = MODELS[request.param]
    torch.manual_seed(3)
    return busy(build_model(arch, **options)).double().eval(), stack, stay


def test_masked_layers_are_bypassed_and_that_is_what_is_cut(case):
    model, stack, stay = case
    structure = structure_of(model)
    keep = torch.isin(torch.arange(structure.vectors[stack].length), torch.tensor(stay))
    whole = outputs(model)
    cut, masked = copy.deepcopy(model), MaskedModel(model)
    shapes = {name: p.shape for name, p in model.named_parameters()}
    masks = masks_without(structure, shapes, {stack: keep})
    with torch.no_grad():
        for name, mask in masks.items():
            model.get_parameter(name).mul_(mask)
    zeroed = outputs(model)
    masked.set_masks(masks)
    bypassed = outputs(model)
    cut_layers(cut, {stack: keep})
    assert len(layers_of(cut, stack)) == len(stay)
    assert (outputs(cut) - bypassed).abs().max() < 1e-10 < (outputs(cut) - whole).abs().max()
    if not layers_of(cut, stack)[0].normalize_before:
        assert (zeroed - bypassed).abs().max() > 1e-3  # the control: a post-norm layer of zeros is not nothing
    masked.set_masks({})
    assert torch.equal(outputs(model), zeroed)


def test_a_layer_is_bypassed_once_however_often_masks_change():
    """In averages too; one that is masked no longer is not bypassed any more."""
    model = build_model("transformer", **ENCODER, **DECODER)
    averages, masked = copy.deepcopy(model), MaskedModel(model)
    masks = {
        name: torch.zeros_like(value, dtype=torch.bool)
        for name, value in model.named_parameters()
        if name.startswith("encoder.layers.1.")
    }
    for held, hooks in ((masks, [0, 1]), (masks, [0, 1]), ({}, [0, 0])):
        masked.set_masks(held)
        masked.update_averages(averages, set())
        for one in (model, averages):
            assert [len(layer._forward_hooks) for layer in layers_of(one, "encoder.layers")] == hooks


def test_bypassed_layers_get_gradients_of_zero_and_hand_on_the_others():
    """As DDP wants it; those of what stays are those of the cut model."""
    torch.manual_seed(3)
    model = busy(build_model("transformer", **DEEP)).double()
    keep = {"decoder.layers": torch.tensor([True, False, True, True])}
    cut, masked = copy.deepcopy(model), MaskedModel(model)
    masks = masks_without(structure_of(model), {n: p.shape for n, p in model.named_parameters()}, keep)
    masked.set_masks(Selection(masks).checked().masks)
    with torch.no_grad():
        for name, mask in masked.masks.items():
            model.get_parameter(name).mul_(mask)
    cut_layers(cut, keep)
    for net in (model, cut):
        outputs(net).square().sum().backward()
    assert all(not model.get_parameter(name).grad.any() for name in masked.masks)
    for old, new in ((0, 0), (2, 1), (3, 2)):
        pairs = zip(model.decoder.layers[old].parameters(), cut.decoder.layers[new].parameters(), strict=True)
        assert all(torch.allclose(a.grad, b.grad, rtol=0, atol=1e-10) for a, b in pairs)
    assert torch.allclose(model.encoder.embed_tokens.weight.grad, cut.encoder.embed_tokens.weight.grad, atol=1e-10)


class Turn(nn.Module):
    """A residual layer that turns every state by an angle."""

    def __init__(self, degrees):
        super().__init__()
        angle = math.radians(degrees)
        matrix = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        self.self_attn, self.fc1, self.fc2 = nn.Identity(), nn.Linear(2, 2, bias=False), nn.Identity()
        self.fc1.weight.data = matrix.double()

    def forward(self, x, encoder_padding_mask=None):
        return self.fc1(x)


class Turning(nn.Module):
    """Layers that turn by 60, 0 and 90 degrees."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Module()
        self.encoder.layers = nn.ModuleList([Turn(60), Turn(0), Turn(90)])

    def forward(self, x, padding=None):
        for layer in self.encoder.layers:
            x = layer(x, encoder_padding_mask=padding)
        return x


class Distance(nn.Module):
    """Squared distance to (1, 0), summed over tokens."""

    def forward(self, model, sample):
        off = (model(sample["x"], sample["padding"]) - torch.tensor([1.0, 0.0])).square().sum()
        return off, sample["x"][..., 0].numel(), {}


STATES = torch.tensor([[[1.0, 0.0]], [[0.0, 2.0]]], dtype=torch.float64)  # two tokens of one sentence
BATCH = {"x": STATES, "padding": torch.tensor([[False, False]])}


def test_the_change_of_the_hidden_state_by_hand():
    """1 - cos of 60, 0 and 90 degrees, over two batches."""
    found = gather("hidden_change", Turning(), Distance(), [BATCH, BATCH])
    assert torch.allclose(found["encoder.layers"], 2 * torch.tensor([0.5, 0.0, 1.0], dtype=torch.float64))


def test_layers_that_never_ran_have_changed_nothing():
    """Said where the model is, so that it can stand beside what ran."""
    model = build_model("transformer", **ENCODER, **DECODER).to("meta")
    changes = hidden_change(model, None, [])
    assert {name: (change.shape, change.device.type) for name, change in changes.items()} == {
        "encoder.layers": ((2,), "meta"), "decoder.layers": ((1,), "meta")
    }  # fmt: skip


def test_padding_does_not_count():
    before, after = torch.tensor([[[1.0, 0.0]], [[1.0, 0.0]]]), torch.tensor([[[0.0, 1.0]], [[1.0, 0.0]]])
    assert float(mean_change(before, after)) == 0.5
    assert float(mean_change(before, after, torch.tensor([[False, True]]))) == 1.0
    model = busy(build_model("transformer", **DEEP)).eval()
    kept = torch.nn.utils.rnn.pad_sequence([TOKENS[1, :5]], batch_first=True)

    def change(tokens):
        return gather("hidden_change", model, Translating(), [{"tokens": tokens}])["encoder.layers"]

    padded = F.pad(kept, (0, 3), value=1)
    assert torch.allclose(change(padded), change(kept), atol=1e-6)


class Translating(nn.Module):
    def forward(self, model, sample):
        tokens = sample["tokens"]
        return model(tokens, tokens.ne(1).sum(1), tokens)[0].sum(), tokens.numel(), {}


def test_the_growth_of_the_loss_by_hand():
    """Skipping turns by 150 degrees less the layer's own; the loss is |x|^2 + 1 - 2 x_1, a mean over two tokens."""

    def by_hand(degrees):
        a = math.radians(degrees)
        return (1 + 1 - 2 * math.cos(a) + 4 + 1 + 4 * math.sin(a)) / 2

    found = gather("loss_growth", Turning(), Distance(), [BATCH])["encoder.layers"]
    expected = torch.tensor([by_hand(90), by_hand(150), by_hand(60)]) - by_hand(150)
    assert torch.allclose(found, expected, atol=1e-6)


def selector(model, **options):
    plan = make_plan({"method": "shortgpt", **options})
    units = parse_units("layer")
    parameters = dict(model.named_parameters())
    return coupled_selector_of(units)(plan, structure_of(model), units, lambda value: value, parameters), plan


CHANGES = {"encoder.layers": torch.tensor([0.3, 0.1, 0.2]), "decoder.layers": torch.tensor([0.05, 0.4, 0.06, 0.5])}


@pytest.mark.parametrize(
    "options, encoder, decoder",
    [
        ({"target": "0.43"}, [1, 0, 1], [0, 1, 0, 1]),  # three of seven in one ranking
        ({"target": "0.5", "scope": "layer"}, [1, 0, 0], [0, 1, 0, 1]),  # two of three, two of four
        ({"target": "0.7"}, [1, 0, 0], [0, 0, 0, 1]),  # one of each side stays
        ({"target": "0.5", "only": "decoder.layers.*"}, None, [0, 1, 0, 1]),
        ({"target": "0.5", "only": "decoder.layers.*", "skip": "decoder.layers.[03].*"}, None, [1, 1, 0, 1]),
        ({"target": "0.34", "only": "decoder.layers.[1-3].fc1.weight"}, None, [1, 1, 0, 1]),
    ],
)
def test_exactly_the_lowest_are_removed(options, encoder, decoder):
    chooser, plan = selector(build_model("transformer", **DEEP), **options)
    fractions = {group: plan.target["*"] for group in chooser.groups}
    keep = chooser.select(fractions, {}, torch.Generator().manual_seed(1), CHANGES).keep
    wanted = {"encoder.layers": encoder, "decoder.layers": decoder}
    assert {stack: kept.int().tolist() for stack, kept in keep.items()} == {s: k for s, k in wanted.items() if k}


def test_layers_of_different_widths_are_compared_by_their_mean():
    model = build_model("transformer", **DEEP)
    for number, layer in enumerate(model.decoder.layers):
        for parameter in layer.parameters():
            nn.init.constant_(parameter, 1.0 + number)
    fc1, fc2 = model.decoder.layers[0].fc1, model.decoder.layers[0].fc2
    fc1.weight.data, fc1.bias.data, fc2.weight.data = fc1.weight[:3], fc1.bias[:3], fc2.weight[:, :3]
    chooser, _ = selector(model, importance="magnitude", target="0.5", only="decoder.layers.*")
    assert chooser._scores("decoder.layers", None, None).tolist() == [1.0, 2.0, 3.0, 4.0]


def test_stacks():
    assert stacks_of(build_model("transformer", **DEEP)) == {"encoder.layers": True, "decoder.layers": True}
    assert not stacks_of(build_model("lstm", encoder_layers=1, decoder_layers=1))
    assert not stacks_of(build_model("srp_transformer", **DEEP))  # cut by its own tables


@pytest.mark.parametrize(
    "damaged",
    [3, {"a": 3}, {"a": {"of": 2}}, {"a": {"of": 2, "kept": [0, 2]}}, {"a": {"of": 2, "kept": [1, 0]}},
     {"a": {"of": 2, "kept": []}}, {"a": {"of": 2, "kept": ["0"]}}, {"a": {"of": "2", "kept": [0]}}],
)  # fmt: skip
def test_damaged_notes_are_refused(damaged):
    assert read_depth({"a": {"of": 2, "kept": [1]}})
    with pytest.raises(ValueError, match="of its layers is damaged"):
        read_depth(damaged)
