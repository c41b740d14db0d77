"""The retraining within a round."""

from collections.abc import Mapping, Sequence

import yaml

from ...files.atomic import write_text
from .. import training

_OWN = ("--save-dir", "--max-epoch", "--finetune-from-model", "--restore-file", "--no-epoch-checkpoints", "--user-dir")
_LOSE_EPOCHS = """--max-update --patience --stop-min-lr --stop-time-hours --no-save --save-interval --keep-last-epochs
    --checkpoint-suffix""".split()
_NEEDED = {"--arch": "rnn_lm", "--task": "prune_stateful_language_modeling"}


def check_words(words: Sequence[str]) -> None:
    """Refuse options of fairseq-train that the driver sets itself or that lose epochs, and what cannot be retrained.

    Raises:
        ValueError: naming the option.
    """
    lost = dict.fromkeys(_LOSE_EPOCHS, "each epoch must run and be saved; leave it out, give e.g. --epochs 8")
    training.check_words(words, "sipo", _OWN, lost, _NEEDED)


def write_recipe(path: str, groups: Mapping[str, Sequence[str]], fractions: Mapping[str, float]) -> None:
    """Write the recipe of ``--prune-method given``.

    Args:
        path: of the YAML file.
        groups: dict of group name -> list of parameter names.
        fractions: dict of group name -> fraction removed; of 1, which no target may be, all but 1e-12 is written:
            it counts as the whole group still.
    """
    fractions = {name: min(fraction, 1 - 1e-12) for name, fraction in fractions.items()}
    content = {"prune-include": ["*"], "prune-scope": "stage", "prune-stages": groups, "prune-target": fractions}
    write_text(path, yaml.safe_dump(content, sort_keys=False))


def train(
    data: str, folder: str, start: str, epochs: int, words: Sequence[str], seed: int, recipe: str | None = None
) -> None:
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
        ValueError: as :func:`fairseq_prune.drivers.training.train`.
    """
    pruning = ["--prune-method", "given", "--prune-recipe", recipe] if recipe else ["--prune-method", "none"]
    fixed = ["--finetune-from-model", start, "--max-epoch", epochs, "--seed", seed]
    training.train(data, folder, [*fixed, *pruning, *words])
