"""Printed trainings in miniature: the same options, six updates, a model of a few weights."""

import math
import re
from pathlib import Path

from as_printed import TRAINING_IMAGES, complete
from conftest import USER_DIR
from pages import ROOT

UPDATES = 6  # of a run, one an epoch: all that the stand-ins for data hold is one batch
LASTS = "--max-epoch", "--max-update"
TIMES = [f"--prune-{name}" for name in "start end every freeze rewind".split()]
COUNTS = ["--warmup-updates", "--total-num-update"]
ONE_AT_LEAST = {"--prune-every", *COUNTS, *LASTS}
SMALL = {  # architecture -> one of its family
    "rnn_lm": "rnn_lm_tiny", "srp_iwslt_de_en": "srp_tiny",
    **{f"{net}{size}": f"{net}_tiny" for net in ("rnnsearch", "luongnet") for size in ("", "_small")},
}  # fmt: skip
NARROW = {  # what an architecture begins with -> options of its width
    "transformer": "encoder-embed decoder-embed encoder-ffn-embed decoder-ffn-embed".split(),
    "srp": "encoder-embed decoder-embed encoder-ffn-embed decoder-ffn-embed".split(),
    "lstm_lm": "decoder-embed decoder-out-embed".split(),
}
QUICK = {  # methods that count updates of their own -> the fewest
    "greg": "--update-reg-interval 1 --stabilize-reg-interval 1 --reg-granularity-prune 1 --reg-upper-limit 1",
    "greg2": "--reg-granularity-pick 0.5 --reg-upper-limit-pick 0.5",
    "gate_decorators": "--prune-ticks 1 --prune-tocks 1",
    "l0": "--prune-lambda 1e5",
    "group_hoyer_square": "--prune-lambda 10",
}
SAME = "--cpu --num-workers 0 --no-epoch-checkpoints --log-format simple"
SAME += f" --save-interval {UPDATES} --validate-interval {UPDATES}"
ABOUT_PRUNING = tuple(
    f"--{start}"
    for start in """prune pruning srp compression decreasing weighted reg- update-reg stabilize stage-pr skip-layers wg
    pick-pruned finetune-from pretrained""".split()
)
QUICKEST = "resnet8", "mlp", "rnn", "vgg16_bias"
WEIGHTS = "--torchvision-weights"  # which would be downloaded


def value(words, option, default=""):
    """The last value of an option, as a program takes it."""
    given = [after for word, after in zip(words, words[1:], strict=False) if word == option]
    return given[-1] if given else default


def here(words):
    """The words with the folder of this copy after --user-dir."""
    return [USER_DIR if Path(word).name == "fairseq_prune" else word for word in words]


def shortened(words):
    """A training's words, with those added, or put in their place, that make it short."""
    words = complete(words)
    if WEIGHTS in words:
        words = words[: (at := words.index(WEIGHTS))] + words[at + 2 :]
    words = here(words)
    method, arch = value(words, "--prune-method"), value(words, "--arch", "transformer")
    more = [*_times(words), *SAME.split()]
    for start, quick in QUICK.items():
        bound = start.startswith("greg") and "--prune-end" in words  # which says how long it takes
        more += quick.split() if method.startswith(start) and not bound else []
    more += ["--update-reg-interval", "1"] if "--reg-fit" in words else []
    more += ["--pruning-period", "1"] if "--pruning-period" in words else []
    for start, options in NARROW.items():
        more += [word for option in options if arch.startswith(start) for word in (f"--{option}-dim", "16")]
    if arch in SMALL:
        more += ["--arch", SMALL[arch]]
    if "language" in value(words, "--task"):
        more += ["--tokens-per-sample", "35", "--required-batch-size-multiple", "1"]
    if words[0] == "digits":
        more += ["--max-train-images", "32"]
    if "imagenet" in words[0]:
        more += ["--image-size", "64"]
    return [*words, *more]


def _times(words):
    """All times, at the same part of the run."""
    length = {option: int(value(words, option, "0")) for option in LASTS}
    if length["--max-epoch"] and not length["--max-update"]:
        length["--max-update"] = length["--max-epoch"] * _updates_an_epoch(words)
    recipe = value(words, "--prune-recipe")
    text = (ROOT / recipe).read_text() if recipe.startswith("recipes") else ""
    times = re.findall(r"^(prune-\w+): (\d+(?:up|ep))$", text, re.MULTILINE)
    given = {f"--{name}": time for name, time in times}
    given |= {option: value(words, option) for option in (*TIMES, *COUNTS, *LASTS) if option in words}
    for option, time in given.items():
        unit = time.lstrip("0123456789")
        whole = length["--max-epoch" if unit == "ep" or option == "--max-epoch" else "--max-update"]
        yield from (option, f"{_scaled(option, int(time.removesuffix(unit)), whole)}{unit}")


def _scaled(option, time, whole):
    scaled = math.floor(time * UPDATES / whole)
    return max(scaled, 1) if option in ONE_AT_LEAST or time else scaled


def _updates_an_epoch(words):
    images = {"digits": 1437, **TRAINING_IMAGES}.get(Path(words[0]).name)
    if not images:
        return 100
    left = min(int(value(words, "--max-train-images", images)), images * (1 - float(value(words, "--holdout", "0.1"))))
    return math.ceil(left / int(value(words, "--batch-size")))


def started_dense(words):
    """The words without all that is about pruning."""
    kept, skips = words[:1], False
    for word in words[1:]:
        skips = word.startswith(ABOUT_PRUNING) if word.startswith("--") else skips
        kept += [] if skips else [word]
    return kept


def prunes(words):
    """Whether a training removes anything."""
    return value(words, "--prune-target") != "0" and bool({"--prune-method", "--prune-recipe", "--srp"} & {*words})


def one_of_each(printed):
    """Of trainings as few, and those of the smallest models, as meet all tasks and methods of them."""
    met, chosen = set(), []
    for words in sorted(printed, key=lambda words: not value(words, "--arch").startswith(QUICKEST)):
        asked = {(option, value(words, option)) for option in ("--task", "--prune-method") if option in words}
        if prunes(words) and not asked <= met:
            met |= asked
            chosen.append(words)
    return chosen


def kinds(commands):
    """Of commands the first of every program, task and set of options."""
    kept = {}
    for name, *words in commands:
        options = frozenset(word for word in words if word.startswith("--"))
        kept.setdefault((name, value(words, "--task"), options), (name, words))
    return list(kept.values())
