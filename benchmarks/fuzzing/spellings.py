"""Cases of text: grammars of single options, recipes, command lines."""

import dataclasses
from typing import Optional
from unittest import mock

from fairseq import options, tasks
from fairseq.dataclass.utils import convert_namespace_to_omegaconf
from omegaconf import open_dict

from fairseq_prune.cli.main import main
from fairseq_prune.engine.make_plan import make_plan
from fairseq_prune.engine.options import NAMES, PruneOptions
from fairseq_prune.engine.recipe import read_patterns, read_recipe, read_stages
from fairseq_prune.methods.table import METHODS
from fairseq_prune.optim.phased import parse_rates
from fairseq_prune.pruning.budget import parse_target
from fairseq_prune.pruning.times import When
from fairseq_prune.pruning.units import parse_units
from fairseq_prune.report.cost import parse_lengths
from fairseq_prune.tasks.srp_options import SrpOptions
from vision_bridge.attack.settings import read_attacks, read_epsilons
from vision_bridge.pruning_options import VisionPruningOptions
from vision_bridge.ratios.stage_pr import parse_skip_layers, parse_stage_pr

from . import words
from .judge import Reached
from .shop import IMAGES, TRANSLATION, USER_DIR, run_fairseq, trains_here

GRAMMARS = [
    parse_target, When.parse, parse_units, read_stages, read_patterns, parse_lengths, parse_stage_pr, parse_skip_layers,
    parse_rates, lambda text: read_attacks(text, None), lambda text: read_attacks("all", text),
    lambda text: read_epsilons(text, ["linf", "l2"], 192),
]  # fmt: skip


def grammars(rng, shop, canary):
    """A word for one of the grammars, or options for a plan."""
    if rng.random() < 0.5:
        text, read = words.word(rng, canary), rng.choice(GRAMMARS)
        return f"{getattr(read, '__qualname__', read)}({text!r})", lambda: read(text), ValueError
    given = {name: words.word(rng, canary, name) for name in rng.sample(NAMES, rng.randint(0, 4))}
    given = {"method": rng.choice([*METHODS]), "target": "0.5"} | given
    return f"make_plan({given})", lambda: make_plan(given), ValueError


def recipes(rng, shop, canary):
    """A file of YAML, or nearly."""
    path = shop.scratch / "recipe.yaml"
    path.write_bytes(_recipe(rng, canary))

    def read():
        make_plan(read_recipe(str(path), NAMES))

    return path.read_bytes()[:300], read, ValueError


STRANGE = [
    "- a", "a: b: c", "&a [*a, *a]", "prune-target: 2024-01-01", "? [a]\n: b", "prune-skip: !!binary aGk=", "--- 1",
    "prune-target: .nan", "[" * 10_000, "a: " * 5000, "prune-target: " + "9" * 5000, "prune-skip: [[a]]",
    "prune-target: {a: {b: 1}}", "prune-target: {1: 0.5}",
]  # fmt: skip


def _recipe(rng, canary):
    lines = ["prune-method: magnitude", "prune-target: 0.5"]
    for _ in range(rng.randint(0, 3)):
        key = rng.choice([f"prune-{rng.choice(NAMES)}", "prune_ratio", words.word(rng, canary)])
        value = words.word(rng, canary)
        lines.append(
            rng.choice([f"{key}: {value}", f"{key}: {value!r}", f"{key}: [{value}]", f"{key}: {{a: {value}}}"])
        )
    if rng.random() < 0.5:
        lines.append(rng.choice([*STRANGE, f"x: !!python/object/apply:os.system ['touch {canary}']"]))
    content = bytearray("\n".join(lines).encode(errors="surrogatepass"))
    for _ in range(rng.choice([0, 0, 1, 5])):
        content[rng.randrange(len(content))] = rng.randrange(256)
    return bytes(content)


def _flags(*kinds):
    """Options of config dataclasses, as typed, with the names of their fields."""
    fields = [field for kind in kinds for field in dataclasses.fields(kind) if not str(field.default).startswith("${")]
    return {f"--{field.name.replace('_', '-')}": field for field in fields if not field.name.startswith("_")}


SRP = TRANSLATION.replace("prune_translation --arch transformer", "srp_translation --arch srp_transformer")
TASKS = {  # words of a training, and the options that its task understands
    "translation": (TRANSLATION, _flags(PruneOptions)),
    "srp": (SRP, _flags(PruneOptions, SrpOptions)),
    "images": (IMAGES, _flags(PruneOptions, VisionPruningOptions)),
}
MASKING = """--prune-method magnitude --prune-target 0.5
--prune-method greg1 --prune-target 0.5 --prune-units filter --reg-fit --prune-end 2up --max-update 9
--prune-method l0 --prune-target 0.5 --prune-end 2up --max-update 9
--prune-method magnitude --prune-target 0.5 --prune-schedule cubic --prune-end 3up --max-update 9
--prune-method n:m --prune-units 2:4""".splitlines()
VALID = {"srp": ["--srp --pruning-period 1", "--compression-rate 0.5"], "translation": MASKING, "images": MASKING}


NUMBERS = (int, float, Optional[int], Optional[float])


def _hostile(rng, canary, flags):
    """Some options, each with a word."""
    drawn, weights = [], [1 if flag.type in NUMBERS else 4 for flag in flags.values()]  # argparse reads numbers
    for name in rng.choices([*flags], weights, k=rng.choice([1, 1, 1, 2, 3])):
        drawn += [name] if flags[name].type is bool else [name, words.word(rng, canary, flags[name].name)]
    return drawn


class Options:
    """Command lines of trainings: to the plan and the pruned model, and a few of them on, into the training."""

    def __init__(self, shop):
        self._data = {"translation": shop.parallel, "srp": shop.parallel, "images": "synthetic"}
        self._configs = {name: convert_namespace_to_omegaconf(self._parse(name, [])) for name in TASKS}

    def _parse(self, name, typed):
        fixed = [self._data[name], "--user-dir", USER_DIR, *TASKS[name][0].split()]
        return options.parse_args_and_arch(options.get_training_parser(), input_args=[*fixed, *typed])

    def __call__(self, rng, shop, canary):
        name = rng.choice([*TASKS])
        typed = rng.choice(VALID[name]).split() + _hostile(rng, canary, TASKS[name][1])
        if rng.random() < 0.04:
            fixed = [self._data[name], "--user-dir", USER_DIR, *TASKS[name][0].split()]
            run = lambda: run_fairseq("train", *fixed, *typed, "--save-dir", shop.scratch / f"run{rng.random()}")  # noqa: E731
        else:
            run = lambda: self._start(name, typed)  # noqa: E731
        return f"{name}: {typed}", run, ()

    def _start(self, name, typed):
        args, config = self._parse(name, typed), self._configs[name].copy()
        with open_dict(config):
            for field in TASKS[name][1].values():
                if hasattr(args, field.name):
                    config.task[field.name] = getattr(args, field.name)
        tasks.setup_task(config.task).build_model(config.model)


COMMANDS = {  # command: valid words, options
    "sipo": ("", """--group --search --max-drop --max-ppl-increase --accuracy --rounds --epochs --recover-metric --slack
        --workers --population --generations --start --low --high --sigma --seed --checkpoint --save-dir --train
        --tensorboard-logdir --reference --dense-control"""),
    "imp": ("", "--target --fraction --rewind --checkpoint --scope --stages --include --skip --only --save-dir"),
    "inspect": ("", "--lengths --original --data --legacy-flops --reference --json"),
    "compact": ("--batches 1", "--data --batches --overwrite --json"),
    "prune": ("--target 0.5", """--method --target --units --importance --scope --stages --include --skip --only
        --rounding --seed --data --quality --overwrite --json"""),
    "export": ("--to onnx --batches 1", "--to --quantization --data --bpe-codes --batches --overwrite --json"),
    "attack": ("--attacks fgsm --batches 1 --batch-size 2 --cpu",
               "--data --attacks --eps --steps --batches --batch-size --split --seed --plot --json"),
    "plot": ("--scores scores.png --batches 1 --cpu",
             "--confusion --saliency --scores --data --split --images --batches --batch-size --seed"),
    "plot-growth": ("", ""),
    "sweep": ("", "--save-dir --table --json"),
}  # fmt: skip
SWITCHES = {"--legacy-flops", "--reference", "--json", "--overwrite", "--dense-control", "--quality", "--table"}


def commands(rng, shop, canary):
    """``fairseq-prune`` with some words; searches and trainings are not begun."""
    command = rng.choice([*COMMANDS])
    valid, names = COMMANDS[command]
    typed = [*_subject(rng, command, shop, canary), *valid.split()]
    for name in rng.sample(names.split(), min(len(names.split()), rng.randint(0, 3))):
        typed += [name] if name in SWITCHES else [name, words.word(rng, canary, name.replace("-", "_"))]

    def run():
        with mock.patch("fairseq_prune.drivers.sipo.run.SipoRun", side_effect=Reached), \
             mock.patch("fairseq_prune.drivers.imp.rounds.ImpRun", side_effect=Reached), trains_here():  # fmt: skip
            main(typed)

    return typed, run, ()


def _subject(rng, command, shop, canary):
    """The command and what it is about: most often what it can work with."""
    if rng.random() < 0.02:
        return [words.word(rng, canary)]
    about = [shop.translation, shop.language_model, shop.classifier, words.word(rng, canary)]
    if command in ("attack", "plot"):
        return [command, shop.classifier]
    if command == "plot-growth":
        return [command, rng.choice([str(shop.folder), words.word(rng, canary)]), words.word(rng, canary)]
    if command == "sweep":
        return [command, rng.choice([*about, str(shop.folder)]), "--save-dir", str(shop.scratch / "driver")]
    if command in ("sipo", "imp"):
        return [command, rng.choice([shop.words, words.word(rng, canary)]), "--save-dir", str(shop.scratch / "driver"),
                *(["--checkpoint", shop.language_model] if command == "sipo" else ["--target", "0.5"])]  # fmt: skip
    out = [] if command == "inspect" else [str(shop.scratch / f"out{rng.random()}.pt")]
    return [command, rng.choice(about), *out]
