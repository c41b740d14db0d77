"""A pruning plan: what a run removes and when, from options that have been read and checked."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..methods.approach import ApproachSettings
from ..pruning.budget import Outliers, Threshold
from ..pruning.calibration.scores import INPUT_SCORES
from ..pruning.importance import EVIDENCE
from ..pruning.schedule import NEVER, Schedule
from ..pruning.times import When


@dataclass(frozen=True)
class Plan:
    """What a run removes and when. Built by :func:`~.make_plan.make_plan`.

    Args:
        method: name in :data:`~fairseq_prune.methods.METHODS`.
        units: e.g. ``"weight"``.
        importance: name in the table of importances; "" where nothing is removed.
        scope: name in the table of scopes.
        target: dict of group pattern -> fraction removed, in [0, 1), or an object that gives it later, such as a
            :class:`~fairseq_prune.pruning.budget.Threshold`; or dict of option name -> value if other options say it.
        stages: dict of stage name -> patterns.
        schedule: when.
        include: patterns added to the prunable set.
        skip: patterns left dense.
        only: patterns outside which everything stays dense; empty: no such limit.
        seed: of random choices.
        batches: training batches from which evidence is gathered (count).
        rounding: name in the table of roundings, from a fraction to a count.
        rewind: time to which every removal rewinds weights and moments; None: no rewinding.
        permute: reorder channels before the first selection.
        asked_by: the option that gave the target, for messages.
        spelling: dict of option name -> what the user typed, where it was not an option of that name.
        approach: settings of what happens between the first selection and the removal, of a class in
            :data:`~fairseq_prune.methods.APPROACHES`; None: selected units are removed at once.
    """

    method: str = "none"
    units: str = "weight"
    importance: str = ""
    scope: str = "global"
    target: Mapping[str, Any] = field(default_factory=dict)
    stages: dict[str, tuple[str, ...]] = field(default_factory=dict)
    schedule: Schedule = NEVER
    include: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    seed: int = 1
    batches: int = 5
    rounding: str = "nearest"
    rewind: When | None = None
    permute: bool = False
    asked_by: str = "--prune-target"
    spelling: dict[str, str] = field(default_factory=dict)
    approach: ApproachSettings | None = None

    @property
    def prunes(self) -> bool:
        """True if the run removes anything."""
        return self.schedule != NEVER

    @property
    def layerwise(self) -> bool:
        """True if layers are pruned one after the other, each given the outputs of the pruned layers before it."""
        return self.importance in INPUT_SCORES

    @property
    def counts(self) -> bool:
        """True if some fraction becomes a count of units."""
        return self.units != "n:m" and not all(isinstance(target, Threshold) for target in self.target.values())

    @property
    def evidence(self) -> tuple[str, ...]:
        """Kinds of evidence gathered over training batches at its events, names in :data:`~.evidence.KINDS`."""
        by_outliers = "inputs" if any(isinstance(goal, Outliers) for goal in self.target.values()) else None
        kinds = EVIDENCE.get(self.importance), self.approach and self.approach.evidence, by_outliers
        return tuple(kind for kind in kinds if kind)

    @property
    def updates_needed(self) -> int:
        """Maximum updates from the first event to the removal, if the schedule has no end (count)."""
        return self._rounds * self.approach.updates_needed if self.approach else 0

    @property
    def epochs_needed(self) -> int:
        """The same in epochs, for approaches whose time is counted in epochs."""
        return self._rounds * self.approach.epochs_needed if self.approach else 0

    @property
    def _rounds(self):
        """How often the approach runs its full time, if the schedule has no end to limit it (count)."""
        if self.schedule.end:
            return 0
        return self.schedule.num_events if self.schedule.in_rounds else 1

    def asked(self, name: str) -> str:
        """An answer as the user gave it, e.g. ``"--prune-units row"``."""
        value = self.schedule.start if name == "start" else getattr(self, name)
        return self.spelling.get(name) or f"--prune-{name} {value}"

    def plain(self) -> dict[str, Any]:
        """The plan as plain values, to store in a checkpoint and compare on a resume."""
        return {
            "method": self.method,
            "units": self.units,
            "importance": self.importance,
            "scope": self.scope,
            "target": _joined(self.target),
            "stages": _joined(self.stages),
            "schedule": str(self.schedule),
            "include": ",".join(self.include),
            "skip": ",".join(self.skip),
            "only": ",".join(self.only),
            "rounding": self.rounding,
            "permute": self.permute,
            "rewind": self.rewind and str(self.rewind),
            "approach": self.approach and str(self.approach),
        }


def _joined(mapping):
    return ";".join(f"{key}={value}" for key, value in mapping.items())
