"""The arrows and sizes of the house: who may import whom, and how long a file or a function may get."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SCIENCE = sys.stdlib_module_names | {"torch", "numpy", "scipy"}
FLOORS = [  # from the ground up: a room may import those of the floors below it
    {"files"},
    {"pruning", "errors", "needs"},
    {"compat"},
    {"families", "optim", "modules"},
    {"methods"},
    {"checkpoint"},
    {"distillation"},
    {"engine"},
    {"tasks", "criterions", "models", "report"},
    {"deploy"},
    {"evaluate"},
    {"drivers"},
    {"cli", "api"},
    {"__main__"},
]
UNNAMED = {"tasks", "criterions", "models"}  # only fairseq knows them, by what they register
ROOMS = {  # each room of fairseq_prune and the rooms it may import, beside itself
    room: set().union(*FLOORS[:number]) - UNNAMED for number, floor in enumerate(FLOORS) for room in floor
}
PLAIN = {"files", "needs", "pruning", "families", "report", "cli"}  # usable without fairseq
HEAVY = set("torchvision torch_pruning foolbox matplotlib sklearn ctranslate2 onnx onnxruntime optuna triton".split())


def room(module):
    top, _, rest = module.partition(".")
    return rest.partition(".")[0] if top == "fairseq_prune" else None


def module_of(path):
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def imports(path, source):
    """Absolute names of all that a file imports, lazily or not; `from a import b` counts as a.b."""
    package = path.removesuffix(".py").split("/")[:-1]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *filter(None, [node.module])])
            yield from (f"{base}.{alias.name}" for alias in node.names)


def science_stands_alone(path, source):
    if room(module_of(path)) == "pruning":
        for name in imports(path, source):
            if name.split(".")[0] not in SCIENCE and room(name) != "pruning":
                yield f"imports {name}"


def arrows_run_one_way(path, source):
    here = room(module_of(path))
    if here and here not in ROOMS:
        yield f"{here} is no room of the house"
    elif here or path.startswith(("vision_bridge/", "scripts/")):
        allowed = ROOMS[here] | {here} if here else ROOMS.keys() - {"tasks"}
        for name in imports(path, source):
            if room(name) in ROOMS.keys() - allowed:
                yield f"imports {name}"


def only_the_door_names_vision_bridge(path, source):
    if room(module_of(path)) and "vision_bridge" in source:
        yield "names vision_bridge"


def files_are_short(path, source):
    if (lines := len(source.splitlines())) > 300:
        yield f"{lines} lines"


def functions_are_short(path, source):
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = node.end_lineno - node.lineno + 1
            if ast.get_docstring(node) is not None:
                lines -= node.body[0].end_lineno - node.body[0].lineno + 1
            if lines > 40:
                yield f"{node.name} has {lines} lines"


def names_say_something(path, source):
    if Path(path).name in {"utils.py", "helpers.py", "misc.py"}:
        yield "says nothing about what is in it"


def configs_keep_their_types(path, source):
    """fairseq reads the annotations of its config classes at run time, so they may not be strings."""
    classes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ClassDef)]
    bases = [ast.unparse(base) for node in classes for base in node.bases]
    if any(base.endswith(("FairseqDataclass", "Config", "Options")) for base in bases):
        if "__future__.annotations" in imports(path, source):
            yield "postpones the annotations of a config class"


def plain_rooms_need_no_fairseq(path, source):
    if room(module_of(path)) in PLAIN:
        for name in imports(path, source):
            if name.split(".")[0] == "fairseq":
                yield f"imports {name}"


TAKEN_WHOLE = {f"fairseq_prune/optim/{name}.py" for name in ("phased", "srp_adam")}  # nobody needs a name of theirs


def rooms_that_need_fairseq_import_it_first(path, source):
    """Registration happens when fairseq arrives: in the room's ``__init__``, and not within one of its files."""
    inside = path.count("/") > 1 and not path.endswith("__init__.py") and path not in TAKEN_WHOLE
    if (here := room(module_of(path))) and inside:
        door = (ROOT / "fairseq_prune" / here / "__init__.py").read_text()
        if "\nimport fairseq  # noqa" not in door and imports_fairseq_at_once(source):
            yield f"imports fairseq, {here}/__init__.py does not"


def imports_fairseq_at_once(source):
    top = [node for node in ast.parse(source).body if isinstance(node, ast.Import | ast.ImportFrom)]
    absolute = [node for node in top if not getattr(node, "level", 0)]
    names = [getattr(node, "module", None) or node.names[0].name for node in absolute]
    return "fairseq" in {name.split(".")[0] for name in names}


def derived_from(packages, tree):
    """Classes of a file that derive from those of some packages, or from such a class of the file."""
    froms = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module and not node.level]
    theirs = packages | {a.asname or a.name for f in froms if f.module.split(".")[0] in packages for a in f.names}
    found = []
    for node in (node for node in tree.body if isinstance(node, ast.ClassDef)):
        if theirs & {ast.unparse(base).split(".")[0] for base in node.bases}:
            found.append(node)
            theirs.add(node.name)
    return found


def unhinted(function):
    arguments = function.args
    given = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
    yield from (a.arg for a in given if a and a.annotation is None and a.arg not in ("self", "cls"))
    if function.returns is None:
        yield "its result"


def public_functions_have_hints(path, source):
    """But for methods of fairseq's and torch's classes, whose signatures are theirs."""
    if path.startswith("scripts/"):
        return
    tree = ast.parse(source)
    owned = derived_from({"fairseq", "torch"}, tree)
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef) and node not in owned]
    for body in (tree.body, *(node.body for node in classes if node.name[0] != "_")):
        for node in body:
            if isinstance(node, ast.FunctionDef) and node.name[0] != "_" and (missing := list(unhinted(node))):
                yield f"{node.name} has no hints of {', '.join(missing)}"


REFERENCE = re.compile(r":(?:class|func|meth|data|mod):`~?(\.+)([\w.]+)`")


def references_lead_somewhere(path, source):
    """Of docstrings to other files, by their places relative to the file's."""
    package = Path(path).parts[:-1]
    for dots, name in REFERENCE.findall(source):
        base, parts = ROOT.joinpath(*package[: len(package) - len(dots) + 1]), name.split(".")
        files = [(base.joinpath(*parts[:count]), parts[count:]) for count in range(len(parts), -1, -1)]
        found = [(file, rest) for place, rest in files for file in _of_module(place) if file.is_file()]
        if not found or not all(re.search(rf"\b{word}\b", found[0][0].read_text()) for word in found[0][1]):
            yield f"refers to {dots}{name}"


def _of_module(place):
    return place.with_suffix(".py"), place / "__init__.py"


PRUNING, ENGINE = "fairseq_prune/pruning/units/a.py", "fairseq_prune/engine/a.py"
OPTIONS = "fairseq_prune/engine/options.py"
POSTPONE = "from __future__ import annotations\n"
FUTURE = POSTPONE + "class A({}): pass"
METHOD = "from torch import nn\nclass A({}):\n    def f(self, {}) -> int: ..."
CONTROLS = [  # rule, path, a source that must be caught there, one that must not
    (science_stands_alone, PRUNING, "def f(): import fairseq", "import torch.nn, math"),
    (science_stands_alone, PRUNING, "from ... import engine", "from .. import scope"),
    (science_stands_alone, "fairseq_prune/pruning/__init__.py", "from .. import compat", "from . import a"),
    (arrows_run_one_way, ENGINE, "import fairseq_prune.tasks", "from fairseq_prune.pruning import scope"),
    (arrows_run_one_way, ENGINE, "from ..cli.main import main", "from ..compat import patch"),
    (arrows_run_one_way, "fairseq_prune/compat/a.py", "from ..engine import x", "from .patching import x"),
    (arrows_run_one_way, "fairseq_prune/checkpoint/a.py", "from ..engine import x", "from ..pruning import x"),
    (arrows_run_one_way, "fairseq_prune/cli/a.py", "from .. import tasks", "from ..drivers import x"),
    (arrows_run_one_way, "fairseq_prune/methods/a.py", "from ..engine import x", "import fairseq.tasks"),
    (arrows_run_one_way, "fairseq_prune/report/a.py", "from ..drivers import x", "from ..compat import x"),
    (arrows_run_one_way, "fairseq_prune/families/a.py", "from ..methods import x", "from .units import x"),
    (arrows_run_one_way, "fairseq_prune/tasks/a.py", "from ..cli import main", "from ..engine.wrap import prunable"),
    (arrows_run_one_way, "scripts/a.py", "from fairseq_prune.tasks import x", "from .corpus.draw import x"),
    (arrows_run_one_way, "vision_bridge/a.py", "import fairseq_prune.tasks", "import fairseq_prune.engine"),
    (only_the_door_names_vision_bridge, ENGINE, "import_module('vision_bridge')", "vision = None"),
    (files_are_short, ENGINE, "\n" * 301, "\n" * 300),
    (functions_are_short, ENGINE, "def f():" + "\n    x" * 40, "def f():\n    'doc'" + "\n    x" * 39),
    (configs_keep_their_types, OPTIONS, FUTURE.format("a.FairseqDataclass"), FUTURE.format("Module")),
    (configs_keep_their_types, OPTIONS, POSTPONE + (ROOT / OPTIONS).read_text(), (ROOT / OPTIONS).read_text()),
    (public_functions_have_hints, ENGINE, "def f(a: int, *b) -> int: ...", "def f(a: int, *b: int) -> int: ..."),
    (public_functions_have_hints, ENGINE, "def f(a: int): ...", "def _f(a): ..."),
    (public_functions_have_hints, ENGINE, METHOD.format("Own", "b"), METHOD.format("Own", "b: int")),
    (public_functions_have_hints, ENGINE, METHOD.format("Own", "b"), METHOD.format("nn.Module", "b")),
    (plain_rooms_need_no_fairseq, "fairseq_prune/report/a.py", "def f(): from fairseq.data import x", "import torch"),
    (
        rooms_that_need_fairseq_import_it_first,
        "fairseq_prune/checkpoint/a.py",
        "from fairseq.tasks import x",
        "def f(): import fairseq",
    ),
    (rooms_that_need_fairseq_import_it_first, "fairseq_prune/files/a.py", "import fairseq", "import torch"),
    (plain_rooms_need_no_fairseq, "fairseq_prune/families/a.py", "import fairseq", "from ..pruning import fairseq"),
    (references_lead_somewhere, ENGINE, ":class:`~.planned.Plan`", ":class:`~.plan.Plan` :mod:`..compat`"),
    (references_lead_somewhere, ENGINE, ":meth:`.plan.Plan.unheard_of`", ":meth:`~.plan.Plan.asked` :class:`Plan`"),
]
RULES = [*dict.fromkeys(control[0] for control in CONTROLS), names_say_something]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_house(rule):
    paths = [path for top in ("fairseq_prune", "vision_bridge", "scripts") for path in ROOT.glob(f"{top}/**/*.py")]
    named = ((path.relative_to(ROOT).as_posix(), path.read_text()) for path in sorted(paths))
    assert [f"{path}: {fault}" for path, source in named for fault in rule(path, source)] == []


@pytest.mark.parametrize("rule, path, bad, good", CONTROLS)
def test_rule_catches_only_the_bad(rule, path, bad, good):
    assert list(rule(path, bad)) and not list(rule(path, good))


def test_names_are_caught():
    assert list(names_say_something("a/utils.py", "")) and not list(names_say_something("a/masks.py", ""))
    assert list(arrows_run_one_way("fairseq_prune/attic/a.py", ""))  # no such room


def heavy_added(statement, before="pass"):
    """Which heavy packages a statement brings into a fresh Python, beyond those that `before` did."""
    code = f"import sys\n{before}\nhad = set(sys.modules)\n{statement}\nprint(*set(sys.modules) - had)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return HEAVY & set(done.stdout.split())


def test_the_user_dir_loads_nothing_heavy():
    # fairseq itself loads sklearn
    assert heavy_added("import fairseq_prune", before="import fairseq.tasks") == set()


def test_a_heavy_import_is_seen():
    assert heavy_added("sys.modules['foolbox'] = sys; import foolbox") == {"foolbox"}


def test_nothing_ignored_is_tracked():
    """A tracked link called .venv would replace the environment of every checkout that has one."""
    if not (ROOT / ".git").exists():
        pytest.skip("no git checkout")
    command = ["git", "ls-files", "--cached", "--ignored", "--exclude-standard"]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout == ""
