"""Recipes, and the two small languages for patterns and stages."""

import pytest

from fairseq_prune.engine.recipe import read_patterns, read_recipe, read_stages

KNOWN = ["method", "target", "stages", "every"]


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
    with pytest.raises(ValueError, match=r"--prune-recipe .*none.yaml: No such file.*; give e.g. recipes/"):
        read_recipe(tmp_path / "none.yaml", KNOWN)


def test_recipes_run_no_code(recipe):
    with pytest.raises(ValueError, match="not YAML"):
        read_recipe(recipe("prune-target: !!python/object/apply:os.getcwd []"), KNOWN)


@pytest.mark.parametrize("given, patterns", [
    ("*.fc1.*, *embed* ,", ("*.fc1.*", "*embed*")), (["*.fc1.*"], ("*.fc1.*",)), ("", ()), ((), ()),
])  # fmt: skip
def test_patterns(given, patterns):
    assert read_patterns(given) == patterns


@pytest.mark.parametrize("given", [
    "embed=*embed*; ffn = *fc1*,*fc2* ;", {"embed": "*embed*", "ffn": ["*fc1*", "*fc2*"]},
])  # fmt: skip
def test_stages(given):
    assert read_stages(given) == {"embed": ("*embed*",), "ffn": ("*fc1*", "*fc2*")}


@pytest.mark.parametrize("given", ["*embed*", "embed=*embed*;ffn", "ffn=", {"ffn": []}])
def test_unreadable_stages_are_explained(given):
    with pytest.raises(ValueError, match="--prune-stages.*write e.g. '"):
        read_stages(given)
