"""What a method is: a set of answers to the questions of the vocabulary."""

from dataclasses import dataclass

from ..pruning.calibration.scores import INPUT_SCORES
from ..pruning.registry import Registry
from .approach import ApproachSettings


@dataclass(frozen=True)
class Method:
    """A row of :data:`~fairseq_prune.methods.METHODS`.

    Every answer names an entry of a table in ``pruning/`` or ``methods/``. It is the default; the option of the same
    name overrides it.

    Args:
        summary: what it does, in one line.
        source: paper.
        units: what is removed together, e.g. ``"weight"`` or ``"block:4x4"``.
        importance: how units are scored; "" if nothing is removed.
        scope: which units are ranked together.
        schedule: when, and how much by then.
        rounding: how a fraction becomes a count.
        approach: what happens between the first selection and the removal, settings of a class
            in :data:`~.approach.APPROACHES`; None: selected units are removed at once.
        target: default for how much is removed; None: the user has to say it.
        steps: events of a gradual schedule that all happen at its start, unless the user gives an end (count).
        every: interval between events in the schedule's unit (count); None: a tenth of the way.
    """

    summary: str
    source: str
    units: str = "weight"
    importance: str = ""
    scope: str = "global"
    schedule: str = "once"
    rounding: str = "nearest"
    approach: ApproachSettings | None = None
    target: str | None = None
    every: int | None = None
    steps: int | None = None

    def scope_of(self, units: str, by_layer: bool) -> str:
        """The scope if the user gives none.

        Args:
            units: of the run; only single weights can be compared within an output.
            by_layer: True if every layer has a fraction of its own.
        """
        scoring = INPUT_SCORES.get(self.importance)  # by which layers are pruned one after the other
        within = self.scope == "output" and (units != "weight" or scoring and scoring.compensates)
        alone = self.scope == "global" and (by_layer or scoring)
        return "layer" if within or alone else self.scope

    @property
    def prunes(self) -> bool:
        """True if the method removes anything; False if it only keeps removed weights at zero."""
        return bool(self.importance)


METHODS: Registry[Method] = Registry("method")  # its rows: :mod:`~.table`
