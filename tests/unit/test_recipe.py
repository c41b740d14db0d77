"""Recipes, and the two small languages for patterns and stages."""

from types import SimpleNamespace

import pytest

from fairseq_prune.engine.make_plan import make_plan
from fairseq_prune.engine.options import NAMES, given_options
from fairseq_prune.engine.recipe import read_patterns, read_recipe, read_stages

KNOWN = NAMES


@pytest.fixture
def recipe(tmp_path):
    def write(text):
        path = tmp_path / "recipe.yaml"
        path.write_text(text)
        return str(path)

    return write


def test_both_spellings_of_a_key(recipe):
    path = recipe("prune-method: magnitude\nprune_target: {ih: 0.9, hh: 0.5}\nevery: 100up  # a comment\n")
    assert read_recipe(path, KNOWN) == {
        "method": "magnitude", "target": {"ih": 0.9, "hh": 0.5}, "every": "100up",
    }  # fmt: skip


def test_null_is_not_given(recipe):
    path = recipe("prune-method: random\nprune-target: 0\nprune-skip:\nprune_every: null\nprune-stages: ~\n")
    assert read_recipe(path, KNOWN) == {"method": "random", "target": "0"}
    cfg = SimpleNamespace(**{f"prune_{name}": None for name in NAMES}, prune_recipe=path)
    assert given_options(cfg) == {"method": "random", "target": "0"}
    cfg.prune_target, cfg.prune_skip = "0.5", "*embed*"  # the command line wins
    assert given_options(cfg) == {"method": "random", "target": "0.5", "skip": "*embed*"}


def test_values_are_what_one_would_type(recipe):
    path = recipe("""{target: 0.8, units: 4, start: 500, method: none, skip: ['*.bias'], stages: {1: [a, b], 2: c}}""")
    assert read_recipe(path, KNOWN) == {
        "target": "0.8", "units": "4", "start": "500", "method": "none", "skip": ["*.bias"],
        "stages": {"1": ["a", "b"], "2": "c"},
    }  # fmt: skip
    with pytest.raises(ValueError, match="--prune-units 4: unknown units '4'"):
        make_plan(read_recipe(recipe("{method: magnitude, target: 0.8, units: 4}"), KNOWN))


def test_values_of_another_type_are_explained(recipe):
    for key, value in {
        "target": "[0.8]", "method": "[magnitude]", "units": "{row: 4}", "skip": "[3]", "include": "{a: b}",
        "stages": "['a=*']", "every": "yes", "start": "2020-01-01", "end": "[4ep]",
    }.items():  # fmt: skip
        path = recipe(f"prune-{key}: {value}")
        with pytest.raises(ValueError, match=f"^--prune-recipe {path}: cannot read prune-{key}: .*; write it as on"):
            read_recipe(path, KNOWN)


@pytest.mark.parametrize("text, words", [
    ("prune-targt: 0.8", ["unknown key 'prune-targt'", "did you mean 'prune-target'", "e.g. prune-target"]),
    ("lr: 0.8", ["unknown key 'lr'", "e.g. prune-target: 0.8"]),
    ("prune-seed: 1", ["unknown key 'prune-seed'"]),
    ("", ["write one 'prune-target: 0.8' a line"]),
    ("- prune-target", ["write one 'prune-target: 0.8' a line"]),
    ("0.8", ["write one 'prune-target: 0.8' a line"]),
    ("a: [", ["not YAML"]),
])  # fmt: skip
def test_unreadable_recipes_are_explained(recipe, text, words):
    path = recipe(text)
    with pytest.raises(ValueError) as error:
        read_recipe(path, KNOWN)
    assert [word for word in [f"--prune-recipe {path}", *words] if word not in str(error.value)] == []
    assert "\n" not in str(error.value)


def test_a_missing_file_is_explained(tmp_path):
    with pytest.raises(ValueError, match=r"--prune-recipe .*none.yaml: No such file.*; give a file with e.g. "):
        read_recipe(tmp_path / "none.yaml", KNOWN)


def test_recipes_run_no_code(recipe):
    with pytest.raises(ValueError, match="not YAML"):
        read_recipe(recipe("prune-target: !!python/object/apply:os.getcwd []"), KNOWN)


def test_patterns():
    assert read_patterns("*.fc1.*, *embed* ,") == ("*.fc1.*", "*embed*") == read_patterns(["*.fc1.*", "*embed*"])
    assert read_patterns("") == () == read_patterns(())


def test_stages():
    for given in ("embed=*embed*; ffn = *fc1*,*fc2* ;", {"embed": "*embed*", "ffn": ["*fc1*", "*fc2*"]}):
        assert read_stages(given) == {"embed": ("*embed*",), "ffn": ("*fc1*", "*fc2*")}


def test_unreadable_stages_are_explained():
    for given in ("*embed*", "embed=*embed*;ffn", "ffn=", {"ffn": []}, {"ffn": 3}, {"ffn": ["*fc1*", 2]}):
        with pytest.raises(ValueError, match="--prune-stages.*write e.g. .*\\*fc1\\*"):
            read_stages(given)
