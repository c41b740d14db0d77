"""Budgets in costs: what would be cut decides, to the unit; what is measured against torch's own counter."""

import copy
import inspect
from dataclasses import replace

import pytest
import torch
from known_structure import KnownStructure
from small_models import DECODER, ENCODER, build_model
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from fairseq_prune.deploy.prune import prune_model
from fairseq_prune.engine.costs import costs_of, family_costs, measured_costs
from fairseq_prune.engine.make_plan import make_plan
from fairseq_prune.engine.targets import Targets
from fairseq_prune.families import structure_of
from fairseq_prune.pruning.budget import CostLeft
from fairseq_prune.pruning.budget.cost import Costs, Term
from fairseq_prune.pruning.surgery.cut import cut_state, entries, replace_values
from fairseq_prune.pruning.surgery.structure import Coupled, Structure, masks_without
from fairseq_prune.pruning.surgery.table import Owner
from fairseq_prune.report.cost import count_macs
from vision_bridge.models.nets import NETS, NetSpec
from vision_bridge.surgery.trace import trace

LENGTH = 25
RNN = {
    "decoder_embed_dim": 8,
    "decoder_hidden_size": 12,
    "decoder_layers": 2,
    "share_decoder_input_output_embed": False,
}
TEXT = [("transformer", ENCODER | DECODER), ("transformer_lm", DECODER), ("roberta", ENCODER)]


def cost(model, of):
    """Of a model as it is cut, by its stored shapes."""
    if of == "params":
        return sum(parameter.numel() for parameter in model.parameters())
    return count_macs(model.state_dict(), LENGTH, LENGTH)[1]


def neurons(model):
    return sum(len(p) for name, p in model.named_parameters() if name.endswith("fc1.weight"))


@pytest.mark.parametrize("scope", ["global", "layer"])
@pytest.mark.parametrize("of", ["params", "macs"])
@pytest.mark.parametrize("arch, options", TEXT, ids=[arch for arch, _ in TEXT])
def test_a_cut_model_costs_at_most_that_and_one_unit_more_would_not(arch, options, of, scope):
    dense = build_model(arch, **options)
    whole, units = cost(dense, of), neurons(dense)
    left = 0.9 if of == "params" or arch != "roberta" else 0.85

    def pruned(**how_much):
        model = copy.deepcopy(dense)
        prune_model(model, {"method": "magnitude", "units": "neuron", "scope": scope, **how_much})
        return model

    model = pruned(**{f"{of}_left": left})
    assert cost(model, of) <= left * whole
    gone = units - neurons(model)
    assert 0 < gone < units
    counts = (pruned(target=count / units) for count in range(gone - 1, -1, -1))  # the same ranking
    fewer = next(other for other in counts if neurons(other) > neurons(model))
    assert cost(fewer, of) > left * whole


def test_what_cannot_be_met_names_what_can():
    dense = build_model("transformer", **ENCODER | DECODER)
    how = {"method": "magnitude", "units": "neuron"}
    with pytest.raises(ValueError, match="^--prune-macs-left 0.1: at least ") as error:
        prune_model(copy.deepcopy(dense), how | {"macs_left": 0.1})
    least = float(str(error.value).split()[4])
    extreme = copy.deepcopy(dense)
    prune_model(extreme, how | {"target": 1 - 3 / neurons(dense)})  # one of each of 3 layers stays
    assert neurons(extreme) == 3
    assert least - 1e-4 <= cost(extreme, "macs") / cost(dense, "macs") <= least
    prune_model(copy.deepcopy(dense), how | {"macs_left": least})
    with pytest.raises(ValueError, match=rf"give e.g. --prune-macs-left {least}\b"):
        prune_model(copy.deepcopy(dense), how | {"macs_left": least - 2e-4})


def test_of_every_head_something_stays():
    """The least that is named for dimensions of heads can be met."""
    dense = build_model("transformer_lm", **DECODER)
    with pytest.raises(ValueError, match="^--prune-params-left 0.1: at least ") as error:
        prune_model(copy.deepcopy(dense), {"method": "magnitude", "units": "vo", "params_left": 0.1})
    prune_model(dense, {"method": "magnitude", "units": "vo", "params_left": float(str(error.value).split()[4])})
    assert dense.decoder.layers[0].self_attn.v_proj.weight.shape[0] == 2


def test_exactly_what_may_be_left_is_enough():
    """Half of four: two go, and nothing less would do."""
    structure = Structure({"w": (Owner(0, "v"),)}, {"v": Coupled("v", "neuron", 4, ("w",))})
    costs = Costs([Term("w", 1)], 0, {"w": (4, 3)})
    kept = lambda fraction: {"v": torch.arange(4) >= round(4 * fraction)}  # noqa: E731
    fraction = CostLeft("params", 0.5).fraction(costs, structure, kept)
    assert round(4 * fraction) == 2 and fraction == pytest.approx(1.5 / 4, abs=1e-6)  # where 1 becomes 2


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("how", ["random", "random, some gone", "by evidence"])
def test_what_is_counted_is_what_is_selected(how, seed):
    """Heads and neurons cost unlike: by other units it would be too much that stays, or too little."""
    torch.manual_seed(seed)
    model = build_model("transformer", **ENCODER | DECODER)
    method = "magnitude" if how == "by evidence" else "random"
    plan = make_plan({"method": method, "units": "node", "macs_left": 0.8}, seed)
    targets = Targets(model, plan)
    costs, (units,) = family_costs(model), [sum(v.length for v in vs) for vs in targets.selector.groups.values()]
    masks, evidence = {}, None
    if how == "by evidence":
        evidence = {name: torch.randn_like(parameter) for name, parameter in model.named_parameters()}
    if how == "random, some gone":
        keep = {name: torch.arange(v.length) > 6 for name, v in targets.structure.vectors.items() if v.kind == "neuron"}
        shapes = {name: parameter.shape for name, parameter in model.named_parameters()}
        masks = masks_without(targets.structure, shapes, keep)
    targets.begin(masks)
    most = 0.8 * costs.after(targets.structure, {})
    selection = targets.select(1, masks, evidence)
    assert costs.after(targets.structure, selection.keep) <= most
    removed = sum(int((~keep).sum()) for keep in selection.keep.values())
    seeded = torch.Generator().manual_seed(seed)
    fewer = targets.selector.select({"all": (removed - 1) / units}, masks, seeded, evidence).keep
    assert costs.after(targets.structure, fewer) > most


DEEP = ENCODER | DECODER | {"encoder_layers": 4, "decoder_layers": 4}
UNITS = [("transformer", DEEP, units) for units in ("head", "qk", "vo", "layer", "node")] + [("lstm_lm", RNN, "hidden")]


@pytest.mark.parametrize("of", ["params", "macs"])
@pytest.mark.parametrize("arch, options, units", UNITS, ids=[units for *_, units in UNITS])
def test_other_units(arch, options, units, of):
    """As they are cut: layers whole, hidden units of all layers alike."""
    model = build_model(arch, **options)
    whole = cost(model, of)
    prune_model(model, {"method": "magnitude", "units": units, f"{of}_left": 0.85})
    assert 0.75 < cost(model, of) / whole <= 0.85


def test_units_that_are_only_masked_meet_no_budget():
    model = build_model("transformer_lm", **DECODER)
    structure = structure_of(model)
    vectors = {name: replace(vector, cuts=False) for name, vector in structure.vectors.items()}
    plan = make_plan({"method": "magnitude", "units": "neuron", "params_left": 0.9})
    with pytest.raises(
        ValueError, match="^--prune-params-left 0.9: neuron units of this model are masked, not cut; .*0.5"
    ):
        Targets(model, plan, KnownStructure(lambda _: replace(structure, vectors=vectors)))


def test_half_of_the_heads():
    """By hand: four matrices, biases of three; scores and context of half the width."""
    model = build_model("transformer_lm", **DECODER)
    structure, width, pairs = structure_of(model), 16, LENGTH * (LENGTH + 1) // 2
    half = {v.name: torch.arange(v.length) < v.length // 2 for v in structure.vectors.values() if v.kind == "head"}
    for of, gone in (
        ("params", 4 * width * width // 2 + 3 * width // 2),
        ("macs", LENGTH * 4 * width * width // 2 + 2 * pairs * width // 2),
    ):
        costs = costs_of(model, of)
        assert costs.after(structure, {}) - costs.after(structure, half) == gone


REFUSED = [
    ({"macs_left": 1.5}, "--prune-macs-left 1.5: give the part that may be left, in (0, 1), e.g. 0.4"),
    ({"params_left": "x"}, "--prune-params-left x: give the part that may be left"),
    ({"params_left": 0.5, "target": 0.5}, "--prune-target and --prune-params-left all say how much is to be removed"),
    ({"params_left": 0.5, "macs_left": 0.5}, "--prune-params-left and --prune-macs-left all say how much is to be"),
    ({"params_left": 0.5, "units": "weight"}, "--prune-params-left 0.5: counts whole units, not weight"),
    ({"macs_left": 0.5, "units": "width"}, "--prune-macs-left 0.5: counts whole units, not width; give e.g. "
     "--compression-rate"),
    ({"params_left": 0.5, "method": "none"}, "--prune-params-left 0.5: --prune-method none removes nothing"),
]  # fmt: skip


@pytest.mark.parametrize("given, said", REFUSED)
def test_bad_input(given, said):
    with pytest.raises(ValueError) as error:
        make_plan({"method": "magnitude", "units": "neuron"} | given)
    assert str(error.value).startswith(said)


def test_what_is_removed_already_may_be_too_much():
    model = build_model("transformer_lm", **DECODER)
    plan = make_plan({"method": "magnitude", "units": "neuron", "macs_left": 0.95})
    targets = Targets(model, plan)
    shapes = {name: parameter.shape for name, parameter in model.named_parameters()}
    for count, enough in ((2, True), (15, False)):
        keep = {name: torch.arange(20) >= count for name, v in targets.structure.vectors.items() if v.kind == "neuron"}
        masks = masks_without(targets.structure, shapes, keep)
        if enough:
            targets.check(masks)
        else:
            with pytest.raises(ValueError, match=r"^--prune-macs-left 0.95: 0.7500 of 'all' is removed already; more"):
                targets.check(masks)


class TestMeasured:
    """What is counted where torch multiplies."""

    def total(self, model, inputs):
        """torch's count of the same pass."""
        apart = sdpa_kernel(SDPBackend.MATH), torch.backends.mkldnn.flags(enabled=False)
        with apart[0], apart[1], FlopCounterMode(display=False) as counter:
            model.eval()(**inputs)
        return counter.get_total_flops() / 2

    @pytest.mark.parametrize("arch, options", [*TEXT, ("lstm_lm", RNN)])
    def test_is_the_family_s_but_for_attention(self, arch, options):
        """Training attends to all pairs; and what attention multiplies with itself has no tensor of its own."""
        model, words = build_model(arch, **options), torch.full((1, LENGTH), 5)
        inputs = {"src_tokens": words, "src_lengths": torch.tensor([LENGTH])}
        if arch == "transformer":
            inputs["prev_output_tokens"] = words
        measured, known = measured_costs(model, lambda: model(**inputs)), family_costs(model)
        times = {term.name: term.times for term in known.terms if term.axis is None}
        assert {term.name: term.times for term in measured.terms} == times
        assert measured.after(structure_of(model), {}) == self.total(model, inputs)
        layers = {"transformer": 2 + 1 + 1, "transformer_lm": 1, "roberta": 2, "lstm_lm": 0}[arch]
        assert measured.rest == layers * 2 * LENGTH * LENGTH * 16

    @pytest.mark.parametrize("name", ["resnet8", "vgg11"])
    def test_cut_images(self, name):
        """What is told of channels is what torch counts once they are cut."""
        net = NETS[name](NetSpec(10, 3, 32)).eval()
        structure = trace(net, torch.zeros(2, 3, 32, 32))
        inputs = {next(iter(inspect.signature(net.forward).parameters)): torch.zeros(1, 3, 32, 32)}
        measured = measured_costs(net, lambda: net(**inputs))
        assert measured.after(structure, {}) == self.total(net, inputs)
        keep = {name: torch.arange(v.length) % 3 > 0 for name, v in structure.vectors.items()}
        told = measured.after(structure, keep)
        replace_values(net, cut_state(entries(net), structure.table, keep))
        assert told == self.total(net, inputs)

    def test_own_model(self):
        """Two branches that use one matrix, and a product of activations."""

        class Own(nn.Module):
            def __init__(self):
                super().__init__()
                self.inner, self.table = nn.Linear(4, 6), nn.Embedding(9, 4)

            def forward(self, tokens):
                x = self.table(tokens)
                return self.inner(x) @ self.inner(2 * x).transpose(1, 2)

        own = Own()
        costs = measured_costs(own, lambda: own(torch.zeros(3, 5, dtype=torch.long)))
        assert costs.terms == [("inner.weight", 2 * 3 * 5, None)] and costs.rest == 3 * 5 * 5 * 6
