"""Registries refuse silent mistakes; the table of methods names only what exists."""

import pytest

from fairseq_prune.methods.table import METHODS
from fairseq_prune.pruning.importance import IMPORTANCES
from fairseq_prune.pruning.registry import Registry, closest
from fairseq_prune.pruning.scope import SCOPES
from fairseq_prune.pruning.shapes import SHAPES
from fairseq_prune.pruning.units import parse_units


@pytest.fixture
def colours():
    registry = Registry("colour")
    registry.add("red", "crimson")("R")
    registry.add("blue")("B")
    return registry


def test_all_names_find_the_entry(colours):
    assert (colours["red"], colours["crimson"], colours["blue"]) == ("R", "R", "B")


def test_a_name_is_taken_once(colours):
    assert colours.add("red", "scarlet")("R") == "R"  # the same entry again is fine
    with pytest.raises(ValueError, match="colour 'red' is already registered"):
        colours.add("red")("another")
    assert colours["red"] == "R"


def test_unknown_names_are_explained(colours):
    for name, reason in {"rde": "'rde'; did you mean 'red'?", "xyz": "'xyz';", None: "None;"}.items():
        with pytest.raises(ValueError) as error:
            colours[name]
        assert str(error.value) == f"unknown colour {reason} known: blue, crimson, red"


def test_nearest():
    assert closest("magnitud", ["random", "magnitude"]) == "; did you mean 'magnitude'?"
    assert closest("magnitud", ["random"]) == ""
    assert closest(8, [80, 5]) == "; did you mean '80'?"


@pytest.mark.parametrize("name", METHODS)
def test_every_answer_of_a_method_exists(name):
    method = METHODS[name]
    parse_units(method.units), SCOPES[method.scope], SHAPES[method.schedule]
    assert method.summary
    assert method.prunes == (name != "none")
    if method.prunes:
        IMPORTANCES[method.importance]
