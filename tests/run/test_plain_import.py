"""``import fairseq_prune`` is enough, in whatever order, and costs nothing."""

import subprocess
import sys

import pytest

REGISTERED = """
from fairseq.tasks import TASK_REGISTRY
assert {"prune_translation", "prune_image_classification"} <= TASK_REGISTRY.keys()
"""
PARTS = f"""
import importlib, multiprocessing, torch
def check(part):
    importlib.import_module(part)
    exec({REGISTERED!r})
for part in ("fairseq_prune.methods.options", "fairseq_prune.optim.phased", "vision_bridge.task"):
    fresh = multiprocessing.get_context("fork").Process(target=check, args=(part,))  # but for torch
    fresh.start()
    fresh.join()
    assert fresh.exitcode == 0, part
"""


@pytest.mark.parametrize(
    "code",
    [
        "import sys, fairseq_prune\nassert not {'torch', 'numpy', 'fairseq'} & sys.modules.keys()",
        "import sys, fairseq_prune.report.cost, fairseq_prune.compat\nassert 'fairseq' not in sys.modules",
        "import sys, fairseq_prune, torch\ntorch.load(sys.argv[1], weights_only=True)",
        "import fairseq_prune" + REGISTERED,
        PARTS,
    ],
    ids=["costs nothing", "reading costs no fairseq", "files load", "registers", "parts"],
)
def test_in_a_fresh_python(code, module_run):
    run = module_run("run")
    path = run.folder / "checkpoint_last.pt"
    if not path.exists():
        run.train("--max-update", "1")
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
