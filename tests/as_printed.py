"""Whether a printed command is taken: parsed, planned and checked, as far as that needs neither data nor weights."""

import math
import re
from itertools import takewhile
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import USER_DIR
from fairseq import options
from fairseq.tasks import TASK_REGISTRY
from pages import ROOT

from fairseq_prune.checkpoint.start import Start
from fairseq_prune.cli import main as cli
from fairseq_prune.drivers.sweep.recipe import SweepRecipe
from fairseq_prune.engine.checks import check_run
from fairseq_prune.engine.make_plan import make_plan
from fairseq_prune.engine.mixin import PruneMixin
from fairseq_prune.engine.options import PruneOptions
from fairseq_prune.engine.own_options import give_defaults
from fairseq_prune.engine.reachable import RunLength, check_long_enough

TRAINING_IMAGES = {"cifar10": 50_000, "cifar100": 50_000, "mnist": 60_000, "imagenet": 1_281_167, "imagenette": 9_469}
EVALUATES = {
    "fairseq-generate": options.get_generation_parser,
    "fairseq-validate": options.get_validation_parser,
    "fairseq-eval-lm": options.get_eval_lm_parser,
}
TRAIN = """--arch transformer --task prune_translation --criterion cross_entropy --optimizer adam --lr 1e-3
    --max-tokens 4000 --max-update 6000""".split()
ELLIPSES = {"...", "…"}


def complete(words):
    """What a page leaves out, "…" or "... as in the README": options of a training that are not given."""
    at = min((words.index(dots) for dots in ELLIPSES & {*words}), default=None)
    if at is None:
        return words
    rest = words[at + 1 :]
    while rest and not rest[0].startswith("-"):
        rest = rest[1:]
    return [*words[:at], *_absent(TRAIN, words), *rest]


def _absent(pairs, words):
    taken = zip(pairs[::2], pairs[1::2], strict=True)
    return [word for option, value in taken if option not in words for word in (option, value)]


def take(name, words):
    """Do what a program does before it reads anything.

    Raises:
        SystemExit, ValueError, AssertionError: where the program would refuse.
    """
    words = [USER_DIR if Path(word).name == "fairseq_prune" else word for word in complete(words)]
    if name in EVALUATES:
        options.parse_args_and_arch(EVALUATES[name](), words)
    else:
        TAKERS[name](words)


def _train(words):
    args = options.parse_args_and_arch(options.get_training_parser(), words)
    task = TASK_REGISTRY[args.task]
    if issubclass(task, PruneMixin):
        give_defaults(args, PruneOptions)  # takes what it needs of the other groups from the same namespace
        plan = make_plan(task.pruning_options(args))
        check_run(args, plan, Start())
        task.check_model(plan, SimpleNamespace(task=args, model=args))
        if plan.prunes:
            check_long_enough(plan, _length(args))


def _length(args):
    """How long the run is; of images also in updates, as printed sets have so many."""
    batches = None
    if images := TRAINING_IMAGES.get(Path(args.data or "").name):
        left = round(images * (1 - args.holdout))
        batches = math.ceil(min(left, args.max_train_images or left) / args.batch_size)
    return RunLength(args.max_epoch or 0, args.max_update or 0, batches, args.update_freq)


def _preprocess(words):
    options.get_preprocessing_parser().parse_args(words)


def _prune(words):
    """The command line's own parser; what follows --train is a training."""
    given = []

    def load(name):
        module, about = whole(name)
        return SimpleNamespace(__doc__=about, add_arguments=module.add_arguments, run=given.append), about

    whole = cli._load
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cli, "_load", load)
        cli.main(words)
    if train := getattr(given[0], "train", None):
        _train([given[0].data, "--user-dir", USER_DIR, *train])
    if words[0] == "sweep":
        SweepRecipe.read(given[0].recipe)


def _python(words):
    """A script that is there and compiles."""
    compile((ROOT / words[0]).read_text(), words[0], "exec")


def _make(words):
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert {*words} <= {*targets}, words


def _hydra(words):
    """A config of a page, and changes of options that there are (tests/run/test_entry_points.py runs it)."""
    assert words[::2][:2] == ["--config-dir", "--config-name"], words
    for change in words[4:]:
        group, name = change.lstrip("+").partition("=")[0].split(".")
        assert group == "task" and hasattr(PruneOptions(), name), change


TAKERS = {
    "fairseq-hydra-train": _hydra,
    "fairseq-train": _train,
    "fairseq-preprocess": _preprocess,
    "fairseq-prune": _prune,
    "python3": _python,
    "make": _make,
}

STARTS = "finetune-from-model pretrained-model prune-teacher base-pr-model net-weights path checkpoint original".split()


def files_read(name, words):
    """Checkpoints that a command starts from or looks at."""
    named = [word for option, word in zip(words, words[1:], strict=False) if option.lstrip("-") in STARTS]
    if name == "fairseq-prune" and words[0] not in ("sipo", "imp", "sweep"):
        given = list(takewhile(lambda word: not word.startswith("-"), words[1:]))
        named += {"bench": given, "average": given[:-1]}.get(words[0], given[:1])
    paths = [path for names in named for path in names.rpartition("=")[2].split(":")]
    return [path for path in paths if path != "self"]
