"""Which tensors share one ranking."""

import pytest
from torch import nn

from fairseq_prune.pruning.prunable import find_prunables
from fairseq_prune.pruning.scope import SCOPES


@pytest.fixture
def prunables():
    """embed.weight (also out.weight), layers.0.weight, layers.1.weight."""
    model = nn.ModuleDict({"embed": nn.Embedding(5, 4), "layers": nn.ModuleList([nn.Linear(4, 4), nn.Linear(4, 4)])})
    model["out"] = nn.Linear(4, 5, bias=False)
    model["out"].weight = model["embed"].weight
    return find_prunables(model)


def names(groups):
    return {group: [p.name for p in members] for group, members in groups.items()}


EVERY = ["embed.weight", "layers.0.weight", "layers.1.weight"]


def test_global(prunables):
    assert names(SCOPES["global"](prunables, None)) == {"all": EVERY}


def test_layer(prunables):
    assert names(SCOPES["layer"](prunables, None)) == {name: [name] for name in EVERY}


@pytest.mark.parametrize("embedding", ["embed.*", "out.*"])
def test_stages_know_every_alias(prunables, embedding):
    stages = {"ffn": ("layers.1.*", "layers.0.*"), "table": (embedding,)}
    assert names(SCOPES["stage"](prunables, stages)) == {"ffn": EVERY[1:], "table": EVERY[:1]}


@pytest.mark.parametrize("stages, words", [
    (None, ["--prune-scope stage", "--prune-stages", "'embed=*embed*;rest=*layers*'"]),
    ({"ffn": ("layers.*",)}, ["--prune-stages", "embed.weight is in no stage"]),
    ({"a": ("*",), "b": ("layers.0.*",)}, ["--prune-stages", "layers.0.weight is in 2 stages (a, b)"]),
    ({"a": ("embed.*",), "b": ("layers.*",), "c": ("out.*",)}, ["embed.weight is in 2 stages (a, c)"]),
    ({"a": ("*", "layer.0.weight")}, ["pattern 'layer.0.weight' of 'a'", "did you mean 'layers.0.weight'"]),
])  # fmt: skip
def test_impossible_stages_are_explained(prunables, stages, words):
    with pytest.raises(ValueError) as error:
        SCOPES["stage"](prunables, stages)
    assert [word for word in words if word not in str(error.value)] == []
