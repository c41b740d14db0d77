"""The page docs/extending.md, run: a user's own folder adds to every table, and training does what it says."""

import re
import shutil
import sys
from pathlib import Path

import pytest
import torch
from conftest import USER_DIR, masks_of, run_fairseq, same_tensors, words_of

from fairseq_prune.cli.main import main
from fairseq_prune.compat import load_checkpoint
from fairseq_prune.deploy.export.exporters import EXPORTERS
from fairseq_prune.families import FAMILIES
from fairseq_prune.methods import APPROACHES, METHODS
from fairseq_prune.pruning.importance import IMPORTANCES
from fairseq_prune.pruning.units import UNITS
from fairseq_prune.report.cost import count_macs

PAGE = (Path(USER_DIR).parent / "docs/extending.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
COMMAND = re.search(r"```bash\nfairseq-train DATA (.*?)```", PAGE, re.DOTALL)[1].replace("\\\n", " ")
HERE = "--lr 0 --cpu --num-workers 0 --no-epoch-checkpoints --save-interval-updates 5 --tokens-per-sample 16"
MATRICES = {"decoder.embed_tokens.weight", "decoder.inner.weight", "decoder.outer.weight"}


@pytest.fixture(scope="module")
def runs(tmp_path_factory, monolingual):
    """Make runs of the page's command at a learning rate of 0: weights stay what they were, unless pruned.

    A run is (its checkpoint after update 5, its last one).
    """
    folder = tmp_path_factory.mktemp("user")
    (folder / "my_pruning").mkdir()
    (folder / "my_pruning/__init__.py").write_text("\n".join(BLOCKS))
    words = COMMAND.replace("my_pruning", str(folder / "my_pruning")) + HERE
    tables = IMPORTANCES, UNITS, APPROACHES, METHODS, FAMILIES, EXPORTERS
    before, path = [dict(table) for table in tables], list(sys.path)

    def train(name, prune=None, resumed=None):
        if resumed:
            (folder / name).mkdir()
            shutil.copy(next((folder / resumed).glob("checkpoint_*_5.pt")), folder / name / "checkpoint_last.pt")
            shutil.copy(folder / name / "checkpoint_last.pt", folder / name / "checkpoint_1_5.pt")
        pruned = words if prune is None else re.sub(r"--prune-\S+ \S+", "", words) + prune
        run_fairseq("train", monolingual, *words_of(pruned), "--save-dir", folder / name)
        return [load_checkpoint(next((folder / name).glob(f"checkpoint_{which}.pt"))) for which in ("*_5", "last")]

    yield train
    sys.path[:] = path
    del sys.modules["my_pruning"]
    for table, old in zip(tables, before, strict=True):
        for name in set(table) - set(old):
            del table[name]


@pytest.fixture(scope="module")
def dense(runs):
    """The weights of every run, by name; of matrices only."""
    _, last = runs("dense", "")
    matrices = {name: weight for name, weight in last["model"].items() if weight.dim() > 1}
    assert matrices.keys() == MATRICES
    return matrices


def test_the_approach_fades_and_the_method_removes(runs, dense):
    """After update 5 what is selected was halved up to 5 times, and nothing is gone; in the end exactly half is."""
    during, last = runs("mine")
    for name, weight in dense.items():
        known = weight != 0  # the padding's embedding is zero from the start
        halved = (weight / during["model"][name]).log2()[known]
        assert torch.allclose(halved, halved.round(), atol=1e-4)
        assert 0.2 < (halved > 0.5).float().mean() <= 0.5 and 1 < halved.max().round() <= 5
        keep = masks_of(last)[name]
        assert int(keep.sum()) == round(0.5 * keep.numel())
        assert not last["model"][name][~keep].any()
    assert not any((~keep).any() for keep in masks_of(during).values())


def test_the_importance_says_what_is_removed(runs, dense):
    """With a stock method; by magnitude other weights would be removed."""
    how = " --prune-method magnitude --prune-importance unusual --prune-scope layer --prune-target 0.4"
    _, last = runs("unusual", how)
    differs = False
    for name, weight in dense.items():
        keep = masks_of(last)[name]
        distance, size = (weight - weight.mean()).abs(), weight.abs()
        assert int((~keep).sum()) == round(0.4 * keep.numel())
        assert distance[~keep].max() <= distance[keep].min()
        differs |= bool(size[~keep].max() > size[keep].min())
    assert differs


def test_units_of_the_family_are_removed_whole(runs, dense):
    """A quarter of the hidden units: their rows, biases and columns alike."""
    _, last = runs("units", " --prune-method magnitude --prune-units neuron --prune-target 0.25")
    model = last["model"]
    rows, bias = model["decoder.inner.weight"].any(1), model["decoder.inner.bias"] != 0
    columns = model["decoder.outer.weight"].any(0)
    assert int((~rows).sum()) == 8
    assert torch.equal(rows, columns) and torch.equal(rows, bias)
    assert model["decoder.embed_tokens.weight"].any(1).sum() == dense["decoder.embed_tokens.weight"].any(1).sum()


def test_the_family_is_counted(dense):
    """What is multiplied for each of 10 target tokens; embeddings are looked up."""
    outer = dense["decoder.outer.weight"].numel()
    assert count_macs(dense, 7, 10) == ("my_lm", 10 * (16 * 32 + outer))


def test_the_approach_resumes(runs):
    """An interrupted run goes on fading what it faded."""
    _, whole = runs("whole")
    _, resumed = runs("resumed", resumed="whole")
    assert same_tensors(whole["model"], resumed["model"])
    assert same_tensors(masks_of(whole), masks_of(resumed))


def test_commands_take_the_folder(runs, dense, tmp_path, capsys):
    """What it registers is there for them: a method to tell of, a family to count, importance, units and exporter."""
    runs("checkpoint", "")
    folder = Path(sys.modules["my_pruning"].__file__).parent
    (checkpoint,) = folder.parent.glob("checkpoint/checkpoint_last.pt")
    for command in (["methods", "mine"], ["inspect", str(checkpoint)]):
        main([*command, "--user-dir", str(folder)])
    printed = capsys.readouterr().out
    assert "let the most typical weights fade" in printed and "my_lm" in printed
    how = f"--importance unusual --scope layer --target 0.4 --user-dir {folder}"
    main(["prune", str(checkpoint), str(tmp_path / "out.pt"), *words_of(how)])
    for name, keep in masks_of(load_checkpoint(tmp_path / "out.pt")).items():
        distance = (dense[name] - dense[name].mean()).abs()
        assert distance[~keep].max() <= distance[keep].min()
    how = f"--units half_row --scope layer --skip *embed* --target 0.25 --user-dir {folder}"
    main(["prune", str(checkpoint), str(tmp_path / "halves.pt"), *words_of(how)])
    for keep in masks_of(load_checkpoint(tmp_path / "halves.pt")).values():
        halves = keep.unflatten(1, (2, -1))
        assert torch.equal(halves.any(2), halves.all(2)) and int((~keep).sum()) == round(0.25 * keep.numel())
    main(["export", str(checkpoint), str(tmp_path / "w.pt"), "--to", "weights", "--user-dir", str(folder)])
    assert same_tensors(torch.load(tmp_path / "w.pt"), load_checkpoint(checkpoint)["model"])
    with pytest.raises(SystemExit, match="^--user-dir nowhere: no such folder"):
        main(["methods", "--user-dir", "nowhere"])
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken/__init__.py").write_text("import no_such_package")
    with pytest.raises(SystemExit, match="broken.* it cannot be imported .*no_such_package"):
        main(["methods", "--user-dir", str(tmp_path / "broken")])


def test_a_taken_name_is_refused():
    with pytest.raises(ValueError, match="importance 'magnitude' is already registered"):
        IMPORTANCES.add("magnitude")(len)
    settings, behaviour = next(iter(APPROACHES.items()))
    APPROACHES.add(settings)(behaviour)  # the same again, as of a module that is imported twice
    with pytest.raises(ValueError, match=f"approach .*{settings.__name__}.* is already registered"):
        APPROACHES.add(settings)(object)
