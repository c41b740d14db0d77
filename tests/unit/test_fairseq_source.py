"""What in the installed fairseq could run a string or an object of a file, and names that its numpy lacks."""

import ast
import importlib
import re
import sys
import warnings
from functools import cache
from pathlib import Path

import fairseq
import numpy as np
import pytest
import torch

from fairseq_prune.compat.config_strings import parsed

SITE = Path(fairseq.__file__).parent.parent
RUNS = {"eval", "exec", "compile", "__import__", "execfile"}
READERS = {"load", "loads", "Unpickler", "read_pickle"}  # of these packages, numpy, torch and yaml:
PICKLES = {"pickle", "dill", "joblib", "marshal", "shelve", "cloudpickle", "pandas", "torch.jit", "torch.hub"}
PROCESSES = {"subprocess", "os"}

# Module and call -> why no string or object of a file runs there.
REVIEWED = {
    ("fairseq.distributed.utils", "pickle.loads"): "what another rank of this run has sent",
    ("fairseq.models.speech_to_text.hub_interface", "torch.hub.load"): "torch's hub, asked for by the caller",
    ("fairseq.data.fasta_dataset", "subprocess.check_output"): "config_strings refuses names that a shell would read",
    ("fairseq.data.plasma_utils", "subprocess.Popen"): "the program plasma_store, no shell",
    ("fairseq.distributed.utils", "subprocess.check_output"): "the program scontrol, no shell",
    ("fairseq.tasks.audio_pretraining", "subprocess.call"): "--post-save-script of the run's own command line",
    ("fairseq_cli.eval_lm", "eval"): "--model-overrides of the command line",
    ("fairseq_cli.validate", "eval"): "--model-overrides of the command line",
}


@cache
def sources():
    """Module -> its syntax tree, of all of fairseq but its examples, which are user-dirs of their own."""
    paths = [path for top in ("fairseq", "fairseq_cli") for path in (SITE / top).rglob("*.py")]
    names = {path: ".".join(path.relative_to(SITE).with_suffix("").parts).removesuffix(".__init__") for path in paths}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)
        return {name: ast.parse(path.read_text()) for path, name in names.items() if ".examples." not in f".{name}."}


def keyword(call, name):
    return next((ast.unparse(given.value) for given in call.keywords if given.arg == name), None)


def reads_objects(call, owner, attribute):
    """True of a call that unpickles or gives its string to a program."""
    if attribute in READERS and owner in {"torch", "th"}:
        return keyword(call, "weights_only") not in (None, "True")  # torch's own default is True
    if attribute in READERS and owner in {"np", "numpy"}:
        return keyword(call, "allow_pickle") not in (None, "False")
    if attribute in READERS and owner == "yaml":
        return keyword(call, "Loader") not in ("yaml.FullLoader", "yaml.SafeLoader")
    runs_programs = owner == "subprocess" or (owner == "os" and re.match("system|popen|exec|spawn", attribute))
    return runs_programs or (attribute in READERS and owner in PICKLES)


def dangers(tree):
    """Names of what could run something, in a syntax tree."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id in RUNS:
            yield node.id
        if isinstance(node, ast.ImportFrom) and node.module in PICKLES | PROCESSES | {"torch", "numpy"}:
            yield from (
                f"from {node.module}" for name in node.names if name.name in READERS | {"run", "Popen", "system"}
            )
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner, attribute = ast.unparse(node.func.value), node.func.attr
            if reads_objects(node, owner, attribute):
                yield f"{owner}.{attribute}"


def test_every_dangerous_place_is_parsed_or_reviewed():
    found = {(name, danger) for name, tree in sources().items() for danger in dangers(tree)}
    parses = {(name, "eval") for name, _ in found if getattr(sys.modules.get(name), "eval", None) is parsed}
    assert len(parses) > 15  # many there are: the search finds some
    assert found - parses - REVIEWED.keys() == set()
    assert REVIEWED.keys() <= found  # no reason outlives its place


@pytest.mark.parametrize(
    "bad, good",
    [
        ("eval(x)", "model.eval()"),
        ("f = exec", "ast.literal_eval(x)"),
        ("pickle.load(f)", "json.load(f)"),
        ("torch.load(f, weights_only=False)", "torch.load(f)"),
        ("np.load(f, allow_pickle=True)", "np.load(f)"),
        ("yaml.load(f)", "yaml.load(f, Loader=yaml.FullLoader)"),
        ("from pickle import load", "from json import load"),
        ("subprocess.run(x)", "task.run(x)"),
    ],
)
def test_control_the_search_sees(bad, good):
    assert list(dangers(ast.parse(bad))) and not list(dangers(ast.parse(good)))


def test_torch_loads_without_code_by_default(tmp_path):
    """The calls of fairseq that say nothing rely on it."""
    torch.save({"code": print}, tmp_path / "a.pt")
    with pytest.raises(Exception, match="Weights only load failed"):
        torch.load(tmp_path / "a.pt")


def numpy_names(tree):
    """Dotted names of numpy, as ``np.random.rand``, that a syntax tree uses."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and re.fullmatch(r"np(\.\w+)+", name := ast.unparse(node)):
            yield name
        if isinstance(node, ast.Import) and any(a.name == "numpy" and a.asname != "np" for a in node.names):
            yield "numpy under another name"


def resolves(name, numpy):
    for part in name.split(".")[1:]:
        if not hasattr(numpy, part):
            return False
        numpy = getattr(numpy, part)
    return True


def test_every_name_of_numpy_is_there():
    uses = {(module, name) for module, tree in sources().items() for name in numpy_names(tree)}
    lost = {(module, name) for module, name in uses if not resolves(name, np)}
    numpies = {module: getattr(sys.modules.get(module), "np", np) for module, _ in lost}
    assert [(module, name) for module, name in sorted(lost) if not resolves(name, numpies[module])] == []
    if np.__version__ >= "2":
        assert ("fairseq.data.token_block_dataset", "np.compat.long") in lost  # the search finds what is gone
        assert not hasattr(np, "int")  # numpy itself stays as it is


def test_a_numpy_with_old_names_is_numpy():
    older = importlib.import_module("fairseq.data.data_utils").np
    assert older.ndarray is np.ndarray and older.random is np.random
    assert older.percentile([1, 2, 4], [0, 60], interpolation="lower").tolist() == [1, 2]
    assert older.fromiter([1, 2], older.int).dtype == np.array([1]).dtype
