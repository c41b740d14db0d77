"""The README's commands and tables are true."""

import json
import re
import shlex
from pathlib import Path

import yaml
from conftest import TINY, USER_DIR, run_fairseq

from fairseq_prune.cli.main import main
from fairseq_prune.engine.options import NAMES
from fairseq_prune.engine.plan import make_plan
from fairseq_prune.engine.recipe import read_recipe

README = (Path(USER_DIR).parent / "README.md").read_text()


def block(heading, language):
    """The first code block under a heading."""
    section = README.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return re.search(rf"```{language}\n(.*?)```", section, re.DOTALL)[1]


def commands(heading):
    """The commands of a bash block, each as a list of words."""
    lines = block(heading, "bash").replace("\\\n", " ").splitlines()
    return [shlex.split(line) for line in lines if line.strip() and not line.startswith("source")]


def test_three_commands(new_run, parallel, tmp_path, capsys):
    """As printed, on toy data and with a toy model."""
    new_run("dense", arch=f"--arch transformer_iwslt_de_en --share-decoder-input-output-embed {TINY}").train()
    places = {
        "data-bin/mine": parallel,
        "fairseq_prune": USER_DIR,
        "checkpoints/dense/checkpoint_best.pt": tmp_path / "dense" / "checkpoint_best.pt",
        "checkpoints/pruned": tmp_path / "pruned",
        "checkpoints/pruned/checkpoint_best.pt": tmp_path / "pruned" / "checkpoint_best.pt",
        "2000up": "3up",
        "6000": "6",
    }
    train, generate, inspect = (
        [str(places.get(w, w)) for w in c] for c in commands("Prune your own model in three commands")
    )
    run_fairseq("train", *train[1:], *TINY.split(), "--cpu", "--num-workers", "0")
    run_fairseq("generate", *generate[1:], "--cpu", "--max-tokens", "200", "--max-len-b", "5")
    assert capsys.readouterr().out.count("\nH-") + 1 >= 8
    assert [train[0], generate[0], inspect[0]] == ["fairseq-train", "fairseq-generate", "fairseq-prune"]
    main([*inspect[1:], "--json"])
    total = json.loads(capsys.readouterr().out)["total"]
    assert abs(total["prunable_fraction_removed"] - 0.8) < 1e-3


def test_option_table_is_complete():
    rows = re.findall(r"^\| `--prune-(\w+)` \|", README, re.MULTILINE)
    assert rows == [*NAMES, "recipe"]


def test_recipe(tmp_path):
    text = block("Options", "yaml")
    (tmp_path / "recipe.yaml").write_text(text)
    plan = make_plan(read_recipe(tmp_path / "recipe.yaml", NAMES))
    assert plan.target == {"*": 0.9}
    assert plan.skip == tuple(yaml.safe_load(text)["prune-skip"])


def test_links_lead_somewhere_and_nothing_is_left_to_fill_in():
    pages = [README, *(page.read_text() for page in (Path(USER_DIR).parent / "docs").glob("*.md"))]
    for link in re.findall(r"\]\((docs/[^)#]+)\)", README):
        assert (Path(USER_DIR).parent / link).is_file(), link
    assert not any("DEMO_OUTPUT" in page or "TODO" in page for page in pages)
