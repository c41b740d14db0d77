"""Every bash block of README and docs is run: bash says its commands, and the programs take them."""

import logging
import os
import re
from pathlib import Path

import pytest
from as_printed import EVALUATES, complete, files_read, take
from bound import Binder
from miniature import Miniature, once
from pages import ROOT, World, blocks, pages
from short_runs import ShortRuns, removed
from shortened import kinds, one_of_each

ELSEWHERE = {  # pages whose blocks another test runs, with what a reader has to fill in
    "docs/distributed.md": "tests/run/test_distributed_docs.py",
    "docs/extending.md": "tests/run/test_extending.py",
}
PAGES = [page for page in pages() if blocks(page) and page not in ELSEWHERE]
GIVEN = """.venv/bin/activate checkpoints/dense/checkpoint_best.pt dense.pt masked.pt srp.pt run.log
    checkpoints/demo/dense/checkpoint_best.pt data-bin/mine/dict.de.txt data-bin/demo/dict.de.txt
    checkpoints/cut/checkpoint_last.pt checkpoints/pruned/checkpoint8.pt checkpoints/pruned/checkpoint9.pt
    ../shared/data/cifar10/train.npz ORIGINAL PRUNED""".split()
TEXTS = "../shared/data/multi30k-de-en ptb wmt14".split()
REFUSALS = SystemExit, ValueError, AssertionError, KeyError, OSError


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Where all pages are spoken; a reader has texts, images, a dense model and its data."""
    return World(tmp_path_factory.mktemp("world"), GIVEN, TEXTS)


def commands_of(page, world):
    """All commands of a page, or why bash could not say them."""
    try:
        return [command for block in blocks(page) for command in world.commands(block)]
    except AssertionError as error:
        return error


@pytest.fixture(scope="module")
def spoken(world):
    """All commands of all pages, by page."""
    return {page: commands_of(page, world) for page in PAGES}


@pytest.fixture(scope="module")
def binder():
    return Binder()


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Folder of what trainings leave for the programs that evaluate."""
    return tmp_path_factory.mktemp("trained")


@pytest.mark.parametrize("page", PAGES)
def test_programs_take_the_commands_of(page, world, spoken, binder, monkeypatch):
    monkeypatch.chdir(world.folder)
    if isinstance(spoken[page], AssertionError):
        pytest.fail(f"{page}: {spoken[page]}")
    for name, *words in spoken[page]:
        for file in files_read(name, words):
            assert os.path.exists(file), f"{page}: no page writes {file}, which {name} reads"
        try:
            take(name, words)
            binder.bind(name, complete(words))
        except REFUSALS as error:
            pytest.fail(f"{page}: {name} {' '.join(words)}\n{error}")


def test_commands_run(spoken, monkeypatch, tmp_path, parallel, counting):
    """What `fairseq-prune` does without training, on models of a few weights."""
    monkeypatch.chdir(tmp_path)
    reader = Miniature(tmp_path, {"transformer": parallel, "recurrent": parallel, "language": counting})
    commands = once(command for said in spoken.values() for command in said)
    assert {words[0] for words in commands} >= {
        *"inspect prune export pack unpack plot sensitivity sipo attack average".split()
    }
    assert {" ".join(words): ended for words in commands if (ended := reader.run(words))} == {}


def test_trainings_run(spoken, monkeypatch, trained, parallel, counting):
    """One by every method and task of the pages, on a few sentences or images; what prunes has removed something."""
    printed = [complete(words) for said in spoken.values() for name, *words in said if name == "fairseq-train"]
    chosen = one_of_each(printed)
    assert len(chosen) > 30
    runs = ShortRuns(trained, printed, {"parallel": parallel, "language": counting}, monkeypatch)
    assert [" ".join(words) for words in chosen if not removed(runs.train(words)) > 0] == []


EVALUATED = r"^H-\d+\t-|Perplexity: \d|top1\W+\d"  # a translation, or what is said of a whole text or set of images


def test_evaluations_run(spoken, monkeypatch, trained, parallel, counting, capsys, caplog):
    """One by every program, task and set of options of the pages; all print what they found."""
    caplog.set_level(logging.INFO)
    commands = [command for said in spoken.values() for command in said]
    chosen = kinds(command for command in commands if command[0] in EVALUATES)
    assert {name for name, _ in chosen} == {*EVALUATES} and len(chosen) > 8
    printed = [complete(words) for name, *words in commands if name == "fairseq-train"]
    runs = ShortRuns(trained, printed, {"parallel": parallel, "language": counting}, monkeypatch)
    for name, words in chosen:
        program = runs.evaluation(name.removeprefix("fairseq-"), words)
        capsys.readouterr(), caplog.clear()  # of trainings, which tell it too
        program()
        assert re.search(EVALUATED, capsys.readouterr().out + caplog.text, re.MULTILINE), f"{name} {' '.join(words)}"


def test_other_tests_run_the_other_pages():
    for page, test in ELSEWHERE.items():
        assert Path(page).name in (ROOT / test).read_text()
    assert len(PAGES) > 15


IMAGES = (
    "fairseq-train cifar10 --user-dir fairseq_prune --task prune_image_classification --batch-size 128 --arch resnet56"
)
FAULTS = {  # a block -> what is said of it
    "fairseq-trian data-bin/mine": "fairseq-trian: command not found",
    f"{IMAGES} --prune-method l1 --stage-rp [0,0.5,0.5,0.5,0]": "2",  # argparse's status
    "scripts/sipo/train_ml.sh": "No such file",
    "scripts/sipo/lm.sh stage twice": "twice: usage: ",
    "scripts/prune.sh data-bin/mine checkpoints/dense/checkpoint_best.pt out 0.8 few": "UPDATES few: give a count",
    "fairseq-prune inspect dense.pt --orginal masked.pt": "2",
    "fairseq-prune sipo data-bin/mine --checkpoint dense.pt --save-dir x --epochs 3": "--epochs 3: has no effect",
    f"{IMAGES} --prune-method greg1 --stage-pr [0,0.5,0.5,0.5,0] --max-epoch 120": "may take until update 89,996",
    f"{IMAGES} --prune-method magnitude": "--prune-target",
    f"{IMAGES} --prune-method l1 --stage-pr [0,0.5,0.5,0]": "--stage-pr [0,0.5,0.5,0]",
    f"{IMAGES} --prune-recipe recipes/ddp/vgg16_cifar10_filter.yaml": "block0.3.weight",
    "make demos": "demos",
    f"{IMAGES} --finetune-from-model dens.pt": "no page writes dens.pt",
}


@pytest.mark.parametrize("block", FAULTS, ids=range(len(FAULTS)))
def test_a_fault_is_seen(block, world, spoken, binder, monkeypatch):
    """As the message of the test above."""
    with pytest.raises((AssertionError, pytest.fail.Exception), match=re.escape(FAULTS[block])):
        monkeypatch.setitem(spoken, "faulty", [])
        monkeypatch.setitem(spoken, "faulty", world.commands(block))
        test_programs_take_the_commands_of("faulty", world, spoken, binder, monkeypatch)
