"""The README's commands and tables are true."""

import json
import re
import runpy
import shlex
from pathlib import Path

import yaml
from conftest import TINY, USER_DIR, run_fairseq

from fairseq_prune.cli.main import main
from fairseq_prune.engine.make_plan import make_plan
from fairseq_prune.engine.options import NAMES
from fairseq_prune.engine.recipe import read_recipe
from fairseq_prune.report.layout import align

ROOT = Path(USER_DIR).parent
README, OPTIONS = ((ROOT / page).read_text() for page in ("README.md", "docs/options.md"))


def block(heading, language, page="README.md"):
    """The first code block under a heading of a page."""
    section = (ROOT / page).read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return re.search(rf"```{language}\n(.*?)```", section, re.DOTALL)[1]


def commands(heading, page="README.md"):
    """The commands of a bash block, each as a list of words."""
    lines = block(heading, "bash", page).replace("\\\n", " ").splitlines()
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


def test_sipo_commands(counting, tmp_path, monkeypatch, capsys, trains_here):
    """As printed, on toy data, with a toy model and fewer rounds."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data-bin").mkdir()
    (tmp_path / "data-bin" / "ptb").symlink_to(counting)
    train, sipo, inspect = commands("Three commands", "docs/sipo.md")
    tiny = ["--arch", "rnn_lm_tiny", "--batch-size", "4", "--batch-size-valid", "2", "--max-epoch", "1", "--cpu"]
    run_fairseq("train", *[USER_DIR if word == "fairseq_prune" else word for word in train[1:]], *tiny)
    at = sipo.index("--train")
    quick = ["--rounds", "1", "--epochs", "1", "--population", "2", "--generations", "2", "--slack", "1"]
    main([*sipo[1:at], *quick, *sipo[at:], *tiny[:-3], "--cpu"])
    assert "dense control, 1 epochs" in capsys.readouterr().out
    main(inspect[1:])
    assert "original" in capsys.readouterr().out


def test_vision_commands(tmp_path, monkeypatch, capsys):
    """As printed, for fewer epochs; scripts/vision/compare.py makes the table."""
    monkeypatch.chdir(tmp_path)
    places = {"fairseq_prune": USER_DIR, "210up": "21up"}
    dense, greg, validate = (
        [places.get(w, w) for w in c] for c in commands("Filters removed for good", "docs/vision.md")
    )
    assert [dense[0], greg[0], validate[0]] == ["fairseq-train", "fairseq-train", "fairseq-validate"]
    quick = ["--cpu", "--num-workers", "0", "--no-epoch-checkpoints"]
    run_fairseq("train", *dense[1:], *quick, "--max-epoch", "1")
    run_fairseq("train", *greg[1:], *quick, "--max-epoch", "2")
    capsys.readouterr()
    run_fairseq("validate", *validate[1:], "--cpu", "--log-format", "json")
    Path("log").write_text("".join(capsys.readouterr()))
    compare = runpy.run_path(str(Path(USER_DIR).parent / "scripts" / "vision" / "compare.py"))
    model = compare["load"](validate[validate.index("--path") + 1])
    assert [model.net.get_submodule(f"layer{i}.0.conv1").out_channels for i in (1, 2, 3)] == [4, 8, 43]  # 16, 32, 64
    _, top1, parameters, _ = cells = compare["describe"]("greg1", "log", model)
    assert float(top1) > 20 and parameters == f"{sum(p.numel() for p in model.parameters()):,}"
    header, row = [*compare["HEADER"], compare["SPEED"]], [*cells, *map(str, compare["speeds"]([model]))]
    shown, _ = align([header, row])
    assert shown.split() == block("Filters removed for good", "text", "docs/vision.md").splitlines()[0].split()


AFTER = "teacher kd_weight kd_temperature kd_hidden amp_bf16 execute".split()


def test_option_table_is_complete():
    rows = [name.replace("-", "_") for name in re.findall(r"^\| `--prune-([\w-]+)` \|", OPTIONS, re.MULTILINE)]
    assert rows == [*NAMES, "permute", "recipe", "pack", *AFTER]


def test_recipe(tmp_path):
    text = block("Recipes", "yaml", "docs/options.md")
    (tmp_path / "recipe.yaml").write_text(text)
    plan = make_plan(read_recipe(tmp_path / "recipe.yaml", NAMES))
    assert plan.target == {"*": 0.9}
    assert plan.skip == tuple(yaml.safe_load(text)["prune-skip"])


def test_nothing_is_left_to_fill_in():
    for page in [ROOT / "README.md", *ROOT.glob("docs/**/*.md")]:
        assert not re.search("DEMO_OUTPUT|TODO", page.read_text()), page.name


def test_deploy_commands(new_run, parallel, tmp_path, capsys):
    """As printed, on a model pruned as above; the exported one translates alike before it is written."""
    new_run("pruned").train("--prune-method", "magnitude", "--prune-target", "0.8")
    places = {
        "checkpoints/pruned/checkpoint_best.pt": tmp_path / "pruned" / "checkpoint_last.pt",
        "pruned-ct2": tmp_path / "ct2", "packed.pt": tmp_path / "packed.pt", "data-bin/mine": parallel,
    }  # fmt: skip
    export, pack = ([str(places.get(word, word)) for word in c] for c in commands("Deploy in two commands"))
    assert export[0] == pack[0] == "fairseq-prune"
    main(export[1:])
    main(pack[1:])
    capsys.readouterr()
    assert (tmp_path / "ct2" / "model.bin").is_file()
    assert (tmp_path / "packed.pt").stat().st_size < places["checkpoints/pruned/checkpoint_best.pt"].stat().st_size / 2


def test_short_enough_to_be_read():
    assert len(README.split()) < 1050


def test_user_dir(capsys):
    main(["user-dir"])
    assert capsys.readouterr().out == f"{USER_DIR}\n"
