"""Every method with all units on models of three families: what tests and scripts/matrix_page.py go through."""

import copy

import torch
from known_structure import KnownStructure
from one_layer import Optimizer
from small_models import build_model
from torch import nn

from fairseq_prune.engine.evidence import KINDS
from fairseq_prune.engine.pruner import Pruner
from fairseq_prune.families.family import stacks_of, structure_of
from fairseq_prune.methods.table import METHODS
from fairseq_prune.pruning.calibration.inputs import Inputs
from fairseq_prune.pruning.surgery.depth import layers_of
from fairseq_prune.pruning.times import Position
from fairseq_prune.pruning.units import UNITS
from vision_bridge.surgery.trace import trace

WIDTH = "width"  # multipliers of 0 instead of masks, and no model without them: tests/run/test_srp_methods.py
ROWS = [(name, method) for name, method in METHODS.items() if method.prunes and method.units != WIDTH]
PRUNING = [name for i, (name, method) in enumerate(ROWS) if method not in [row for _, row in ROWS[:i]]]
ALL_UNITS = ["2:4" if name == "n:m" else name for name in UNITS]
GONE, TARGET = 0.3, 0.6  # of single weights before; of units afterwards
TIMES = {
    "once": {},
    "growing": {"end": "4up"},
    "reselect": {"freeze": "4up", "every": "1up"},
}
GRADUAL = {"end": "4up", "every": "1up"}


def transformer():
    return build_model("transformer", encoder_layers=2, decoder_layers=3, encoder_embed_dim=16, decoder_embed_dim=16,
                       encoder_ffn_embed_dim=12, decoder_ffn_embed_dim=12, encoder_attention_heads=4,
                       decoder_attention_heads=4)  # fmt: skip


def lstm():
    return build_model("lstm", encoder_embed_dim=8, decoder_embed_dim=8, encoder_hidden_size=12, encoder_layers=1,
                       decoder_hidden_size=12, decoder_layers=1, decoder_out_embed_dim=8)  # fmt: skip


def cnn():
    return nn.Sequential(
        nn.Conv2d(4, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 12, 3), nn.ReLU(), nn.Conv2d(12, 8, 1),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4),
    )  # fmt: skip


def traced(model):
    return trace(model, torch.randn(2, 4, 8, 8))


TITLES = {"transformer": "Transformers", "lstm": "Recurrent models", "cnn": "Convolutional nets"}
FAMILIES = {"transformer": (transformer, structure_of), "lstm": (lstm, structure_of), "cnn": (cnn, traced)}


def families():
    """Dict of family -> (model, its structure, masks of single weights, function that finds the structure)."""
    found = {}
    for name, (build, find) in FAMILIES.items():
        torch.manual_seed(1)
        model = build()
        structure = find(model)
        generator = torch.Generator().manual_seed(2)
        masks = {n: torch.rand(p.shape, generator=generator) > GONE for n, p in model.named_parameters() if p.dim() > 1}
        found[name] = model, structure, masks, find
    return found


def options_of(method, units, target=TARGET):
    row = METHODS[method]
    times = {} if row.steps else TIMES.get(row.schedule, GRADUAL)
    target = {} if units == "2:4" else {"target": target}
    approach = {"update_reg_interval": 1, "stabilize_reg_interval": 1} if "greg" in method else {}
    if method == "gate_decorators":
        approach = {"prune_tocks": 1, "prune_ticks": 1}
    return {"method": method, "units": units, **target, **times, "approach": approach}


def start(family, plan, averaged):
    """A masked model's pruner and optimizer, before its first update."""
    model, structure, masks = copy.deepcopy(family[0]), *family[1:3]
    info = KnownStructure((lambda _: structure) if averaged else family[3])  # averages keep shapes as they are
    generator = torch.Generator().manual_seed(3)
    noise = lambda p: torch.randn(p.shape, generator=generator)  # noqa: E731
    pruner = Pruner(model, plan, info, averaged, gather=lambda *asked: evidence(pruner, *asked, noise))
    pruner.masked.adopt(masks)
    optimizer = Optimizer(torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9))
    pruner.masked.mask_values(optimizer)
    pruner.check_start()
    return model, pruner, optimizer, noise


def evidence(pruner, model, kind, event, noise):
    """Noise of the shape that a kind of evidence has."""
    if not KINDS[kind].layerwise:
        of_layers = {stack: noise(torch.empty(len(layers_of(model, stack)))) for stack in stacks_of(model)}
        factor = {n: 1 if kind == "gradient" else p.detach() for n, p in model.named_parameters()}
        products = {n: factor[n] * noise(p) for n, p in model.named_parameters()}
        of_units = pruner.targets.unit_sums(products) if KINDS[kind].of_units else {}
        return products | {name: value.square() for name, value in of_units.items()} | of_layers
    rows = {n: noise(p).flatten(1).unsqueeze(0) for n, p in model.named_parameters() if p.dim() > 1}
    return ((n, Inputs(r.mT @ r, r.square().sum(1), r.shape[1])) for n, r in rows.items())


def prune(family, plan, averaged=True):
    """Train on noise until all has been removed, and some updates more: zero is then only what is removed.

    Returns:
        dict of parameter name -> what is not zero (bool); the pruner.
    """
    model, pruner, optimizer, noise = start(family, plan, averaged)
    for update in range(9):
        pruner.before_update(optimizer, Position(0, update))
        with pruner.in_training():
            for p in model.parameters():
                p.grad = noise(p)
        pruner.before_step(optimizer)
        optimizer.optimizer.step()
        pruner.after_step(optimizer, Position(0, update))
    assert not pruner.pending
    return {name: p.detach() != 0 for name, p in model.named_parameters()}, pruner
