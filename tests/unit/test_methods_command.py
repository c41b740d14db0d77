"""`fairseq-prune methods`, and the options that the docs name: both say what the code has."""

import json
import re
import runpy
from dataclasses import fields
from pathlib import Path

import pytest
from fairseq.registry import REGISTRIES
from fairseq.tasks import TASK_DATACLASS_REGISTRY

import fairseq_prune  # noqa: F401  (registers what the docs name)
from fairseq_prune.cli.main import main
from fairseq_prune.engine.options import PruneOptions
from fairseq_prune.methods import APPROACHES
from fairseq_prune.methods.option import ABOVE_0, Option
from fairseq_prune.methods.options import ApproachOptions, options_of
from fairseq_prune.methods.table import METHODS, names_of_methods
from fairseq_prune.needs import spelt

ROOT = Path(__file__).parent.parent.parent
PAGES = [ROOT / "docs" / "options.md", ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))]


def told(capsys, *words):
    main(["methods", *words])
    return capsys.readouterr().out


def described(capsys, name):
    return json.loads(told(capsys, name, "--json"))


def own_values(report):
    return {option["option"]: option["default"] for option in report["own_options"]}


def general(report):
    return {option["option"] for option in report["options"]}


def test_the_list_has_every_method_once(capsys):
    rows = json.loads(told(capsys, "--json"))["methods"]
    entries = [METHODS[row["method"]] for row in rows]
    assert [row["summary"] for row in rows] == [method.summary for method in entries]
    assert len({id(method) for method in METHODS.values()}) == len(entries) == len(set(map(id, entries)))


def test_the_list_as_text(capsys):
    header, *lines = told(capsys).splitlines()
    assert header.split() == ["method", "units", "scope", "schedule"]
    at = next(number for number, line in enumerate(lines) if line.startswith("l0 "))
    assert lines[at].split() == ["l0", "node", "global", "growing"]
    assert lines[at + 1].strip() == METHODS["l0"].summary
    assert max(map(len, lines)) <= 120


def test_own_options_have_the_values_of_the_method(capsys):
    assert own_values(described(capsys, "l0")) == {"--prune-lambda": 10.0, "--prune-gate-lr": None}
    assert own_values(described(capsys, "hoyer_square")) == {"--prune-lambda": 1e-3}
    assert own_values(described(capsys, "group_hoyer_square")) == {"--prune-lambda": 0.1}
    assert own_values(described(capsys, "group_lasso")) == {"--prune-lambda": None}
    assert own_values(described(capsys, "magnitude")) == {}


def test_options_without_effect_are_left_out(capsys):
    greg1, greg2 = (described(capsys, name) for name in ("greg1", "greg2"))
    assert own_values(greg2).keys() - own_values(greg1).keys() == {
        "--reg-upper-limit-pick",
        "--reg-granularity-pick",
        "--reg-granularity-recover",
    }
    assert "--mag-ratio-limit" in own_values(greg1) and "--prune-rounding" in general(greg1)
    assert "--prune-permute" in general(described(capsys, "n:m")) and "--prune-permute" not in general(greg1)
    assert "--prune-batches" in general(described(capsys, "snip")) and "--prune-batches" not in general(greg1)
    always = "pack recipe teacher execute amp-bf16".split()
    assert general(described(capsys, "none")) == {f"--prune-{name}" for name in always}


def test_one_method_as_text(capsys):
    text = told(capsys, "greg_1")
    assert text.startswith(f"greg1: {METHODS['greg1'].summary}\n")
    assert METHODS["greg1"].source in text and re.search(r"also +greg_1\n", text) and "units       filter\n" in text
    assert "  --update-reg-interval INT  (default 5; above 0)\n" in text and "  --prune-target STR\n" in text
    assert max(map(len, text.splitlines())) <= 120


@pytest.mark.parametrize("name", sorted(METHODS))
def test_every_method_can_be_shown(name, capsys):
    assert METHODS[name].summary in told(capsys, name)


def test_an_unknown_method(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["methods", "gregg1"])
    assert caught.value.code.startswith("unknown method 'gregg1'; did you mean 'greg1'?")


def test_the_help_names_every_method():
    text = PruneOptions.__dataclass_fields__["prune_method"].metadata["help"]
    names = {id(method): name for name, method in reversed(METHODS.items())}  # the first of its names
    assert all(re.search(rf"(?<!\w){name}(?!\w)", text) for name in names.values())


def test_the_page_of_methods_is_what_the_table_says():
    """Written by ``scripts/methods_page.py``; run it when this fails."""
    page = runpy.run_path(str(ROOT / "scripts" / "methods_page.py"))["page"]()
    assert (ROOT / "docs" / "methods.md").read_text() == page
    assert all(f"| `{name}`" in page for name in names_of_methods())


def own_names(config):
    return {field.name for field in fields(config) if not str(field.default).startswith("${")}


def test_the_docs_name_only_options_that_exist():
    configs = [*TASK_DATACLASS_REGISTRY.values(), *REGISTRIES["lr_scheduler"]["dataclass_registry"].values()]
    known = {spelt(name) for config in configs if config for name in own_names(config)}
    named = {(page.name, word) for page in PAGES for word in re.findall(r"--prune(?:-[a-z0-9]+)+", page.read_text())}
    assert {(page, word) for page, word in named if word not in known} == set()
    assert "--prune-targets" not in known and len(named) > 50


def test_every_general_option_is_in_the_table_and_every_other_in_a_page():
    table = set(re.findall(r"^\| `(--prune-[a-z0-9-]+)`", PAGES[0].read_text(), re.MULTILINE))
    approaches = own_names(ApproachOptions)
    assert table == {spelt(name) for name in own_names(PruneOptions) - approaches if name.startswith("prune_")}
    text = "\n".join(page.read_text() for page in PAGES)
    named = set(re.findall(r"--[a-z][a-z0-9-]+", text))
    assert {spelt(name) for name in approaches if name.startswith("prune_")} <= named


@pytest.mark.parametrize("data", APPROACHES, ids=lambda data: data.__name__)
def test_every_setting_has_an_option_and_every_option_a_setting_and_a_method(data):
    options = APPROACHES[data].options
    assert {option.field for option in options} - {None} == {field.name for field in fields(data)} - {
        "picks",
        "grow",
        "events",
        "end",
    }
    assert all(option in options_of(METHODS[option.example].approach) for option in options)


def test_approaches_that_share_an_option_share_its_definition():
    defined = [option for kind in APPROACHES.values() for option in kind.options]
    assert len(set(defined)) == len({option.name for option in defined}) == 25
    assert {option.name for option in defined} == own_names(ApproachOptions) - {"_name"}


def test_bounds_are_refused_with_a_valid_example():
    rate, settings = Option("prune_rate", "rate", "", ABOVE_0), METHODS["soft_movement"].approach
    rate.check(1e-9, settings)
    with pytest.raises(ValueError, match=r"^--prune-rate 0.0: must be above 0, e.g. 0.01$"):
        rate.check(0.0, settings)
