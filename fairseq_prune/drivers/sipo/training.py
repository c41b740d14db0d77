"""The training inside a round: fairseq-train in a folder of its own, which a killed driver resumes."""

import argparse
import subprocess
import sys
from pathlib import Path

import yaml
from fairseq.tasks import TASK_REGISTRY

from ... import register
from ...engine.mixin import PruneMixin

USER_DIR = Path(__file__).resolve().parents[2]
_OURS = ("--save-dir", "--max-epoch", "--finetune-from-model", "--restore-file", "--no-epoch-checkpoints", "--user-dir")
_LOSE_EPOCHS = """--max-update --patience --stop-min-lr --stop-time-hours --no-save --save-interval --keep-last-epochs
    --checkpoint-suffix""".split()


def check_words(words):
    """Refuse options of fairseq-train that the driver sets itself or that lose epochs, and what cannot be retrained.

    Raises:
        ValueError: naming the option.
    """
    for word in words:
        option = word.partition("=")[0]
        if option in _OURS or option.startswith("--prune-"):
            raise ValueError(f"{option}: is set by fairseq-prune sipo itself; leave it out after --train")
        if option in _LOSE_EPOCHS:
            raise ValueError(f"{option}: each epoch must run and be saved; leave it out, give e.g. --epochs 8")
    for option, example in (("--arch", "rnn_lm"), ("--task", "prune_stateful_language_modeling")):
        if not any(word.partition("=")[0] == option for word in words):
            raise ValueError(
                f"{option}: options of fairseq-train are needed to retrain; add e.g. --train {option} {example}"
            )
    _check_task(words)


def _check_task(words):
    """Hours of search come before the training: it should not end at a task that cannot keep masks."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--task")
    task = parser.parse_known_args(list(words))[0].task
    register()
    if not issubclass(TASK_REGISTRY.get(task, object), PruneMixin):
        known = sorted(name for name, kind in TASK_REGISTRY.items() if issubclass(kind, PruneMixin))
        raise ValueError(f"--task {task}: does not keep weights removed; give one of {', '.join(known)}")


def write_recipe(path, groups, fractions):
    """Write the recipe of ``--prune-method given``.

    Args:
        path: of the YAML file.
        groups: dict of group name -> list of parameter names.
        fractions: dict of group name -> fraction removed; of 1, which no target may be, all but 1e-12 is written:
            it counts as the whole group still.
    """
    fractions = {name: min(fraction, 1 - 1e-12) for name, fraction in fractions.items()}
    content = {"prune-include": ["*"], "prune-scope": "stage", "prune-stages": groups, "prune-target": fractions}
    Path(f"{path}.tmp").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    Path(f"{path}.tmp").replace(path)


def train(data, folder, start, epochs, words, seed, recipe=None):
    """Run or resume a training to its end.

    Args:
        data: the DATA argument.
        folder: of its checkpoints; holds ``checkpoint{n}.pt`` of every epoch afterwards.
        start: checkpoint whose weights it starts from.
        epochs: in all (count).
        words: further options, list.
        seed: of the training.
        recipe: path from :func:`write_recipe`; None trains without pruning.

    Raises:
        ValueError: the training failed; its own message is on the terminal.
    """
    pruning = ["--prune-method", "given", "--prune-recipe", recipe] if recipe else ["--prune-method", "none"]
    command = [
        sys.executable, "-m", "fairseq_cli.train", data, "--user-dir", USER_DIR, "--save-dir", folder,
        "--finetune-from-model", start, "--max-epoch", epochs, "--seed", seed, *pruning, *words,
    ]  # fmt: skip
    code = subprocess.run([str(word) for word in command], check=False).returncode
    if code:
        raise ValueError(f"fairseq-train stopped with status {code} in {folder}; see its message above")
