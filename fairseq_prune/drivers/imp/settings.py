"""The settings of an IMP run."""

import math
from argparse import Namespace
from dataclasses import dataclass
from typing import Any, Self

from fairseq import checkpoint_utils

from ...engine.make_plan import make_plan
from ...engine.plan import Plan
from ...files.folder import require_elsewhere
from ...pruning.times import When
from ..training import check_words
from .reach import check_by_options

_OWN = """--save-dir --restore-file --finetune-from-model --no-epoch-checkpoints --user-dir --save-interval
    --save-interval-updates""".split()
_LOSE = """--no-save --no-last-checkpoints --no-save-optimizer-state --keep-last-epochs --keep-interval-updates
    --checkpoint-suffix --reset-optimizer --reset-lr-scheduler --reset-dataloader --reset-meters""".split()
_WHY = "rounds continue from saved checkpoints as they are; leave it out"
_SELECTING = ("scope", "stages", "include", "skip", "only")


@dataclass(frozen=True)
class ImpSettings:
    """A run of IMP.

    Args:
        target: fraction removed in the end, in (0, 1).
        fraction: of what is left, removed after each training, in (0, 1).
        rewind: what later trainings start from: the first one after so many epochs or updates, with its optimizer
            and its schedules.
        checkpoint: whose weights the first training starts from; None: an initialisation.
        selecting: dict of --prune-* option -> value, what is pruned and compared with what.
        train: options of fairseq-train, list of words.
    """

    target: float
    fraction: float
    rewind: When
    checkpoint: str | None
    selecting: dict[str, Any]
    train: list[str]

    @classmethod
    def read(cls, options: Namespace) -> Self:
        """Check the options of ``fairseq-prune imp``, given with their names as attributes.

        Raises:
            ValueError: naming the option, the value and a valid example.
        """
        for name, example in (("target", 0.9), ("fraction", 0.2)):
            if not 0 < getattr(options, name) < 1:
                value = getattr(options, name)
                raise ValueError(f"--{name} {value}: give a fraction in (0, 1), e.g. --{name} {example}")
        try:
            rewind = When.parse(options.rewind)
        except ValueError as error:
            raise ValueError(f"--rewind {options.rewind}: {error}") from None
        needed = {"--task": "prune_image_classification", "--arch": "resnet20"}
        check_words(options.train, "imp", _OWN, dict.fromkeys(_LOSE, _WHY), needed)
        check_by_options(rewind, options.train)
        selecting = {name: getattr(options, name) for name in _SELECTING if getattr(options, name) is not None}
        settings = cls(options.target, options.fraction, rewind, options.checkpoint, selecting, options.train)
        settings.plan(options.target)
        if options.checkpoint:
            require_elsewhere(options.save_dir, "--checkpoint", options.checkpoint)
            # what the first training could not read ends here, in a line
            checkpoint_utils.load_checkpoint_to_cpu(options.checkpoint)
        return settings

    def plan(self, fraction: float) -> Plan:
        """The :class:`~fairseq_prune.engine.plan.Plan` that removes a fraction of all by magnitude.

        Raises:
            ValueError: an option out of its range.
        """
        try:
            return make_plan({"method": "magnitude", "target": fraction, **self.selecting})
        except ValueError as error:
            raise ValueError(str(error).replace("--prune-", "--")) from None


def fractions(target: float, each: float) -> list[float]:
    """Fractions removed in the rounds, the first of which is dense.

    Args:
        target: of the last round.
        each: fraction of what is left that every round removes.

    Returns:
        list of floats, 1 - (1 - each)^round until that would exceed the target, which is last.

    Example:
        >>> [round(removed, 4) for removed in fractions(0.5, 0.2)]
        [0.0, 0.2, 0.36, 0.488, 0.5]
    """
    rounds = math.ceil(math.log(1 - target) / math.log(1 - each) - 1e-9)
    return [1 - (1 - each) ** number for number in range(rounds)] + [target]
