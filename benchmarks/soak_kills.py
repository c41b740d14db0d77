"""Killing a run, resuming it, and comparing what it ends with."""

import os
import random
import shutil
import time
from collections import Counter
from dataclasses import dataclass, field

import soak_children as children
from soak_compare import differences

from fairseq_prune.compat import load_checkpoint

EARLY, PRUNING, LATE, SAVING, TWICE = MOMENTS = (
    "before the first checkpoint", "before or while pruning", "afterwards", "while saving", "twice"
)  # fmt: skip
EQUAL, DIFFERENT, LOST = OUTCOMES = ("equal", "different", "lost")
STARTS = 0.1  # of the kills are before training begins, which is half the life of runs as small as these
SAVES = 0.25
TWICES = 0.15  # of the runs


@dataclass
class Tally:
    """What became of the kills of one run.

    Args:
        kind: of the run.
        counts: Counter of ``kills``, moments and outcomes.
        faults: list of str, each telling of a run that is not equal.
    """

    kind: str
    counts: Counter = field(default_factory=Counter)
    faults: list = field(default_factory=list)


class Reference:
    """A run that is not killed, with a copy of its folder before each of its commands.

    Args:
        run: :class:`~soak_runs.Run`.
        folder: for its files and those of its victims.
        data: folder of the data.

    Raises:
        RuntimeError: it fails.
    """

    def __init__(self, run, folder, data):
        self.run, self.folder, self._data = run, folder, data
        self.starts, self.seconds, self.whole = [], [], folder / "whole"
        self.whole.mkdir(parents=True)
        for number in range(len(run.commands)):
            shutil.copytree(self.whole, self.before(number))
            begun = time.time()
            if children.finish(self.start(number, self.whole, folder / "whole.log")):
                raise RuntimeError(f"{run.kind}, {run.name}: fails without being killed, see {folder}/whole.log")
            self.seconds.append(time.time() - begun)
            notes = [path.stat().st_mtime - begun for path in self.whole.rglob("run.json")]  # as training begins
            self.starts.append(min((seconds for seconds in notes if seconds > 0), default=0))

    def before(self, number):
        """The folder as it was before a command."""
        return self.folder / f"before-{number}"

    def start(self, number, folder, log, first=lambda: None):
        """Start a command of the run in a folder; as :func:`~soak_children.start`."""
        command = self.run.commands[number]
        return children.start(command.program, command.placed(folder, self._data), log, first)


class Victim:
    """A copy of a run that is killed in one of its commands, and resumed.

    Args:
        reference: :class:`Reference`.
        name: of its folder.
        rng: ``random.Random``.
    """

    def __init__(self, reference, name, rng):
        self._reference, self._rng = reference, rng
        self.folder, self.log = reference.folder / name, reference.folder / f"{name}.log"
        (self._at,) = rng.choices(range(len(reference.seconds)), reference.seconds)
        shutil.copytree(reference.before(self._at), self.folder)

    def kill(self, saving):
        """Start the command and kill it.

        Args:
            saving: while it saves, else at any moment.

        Returns:
            True if it was killed, False if it had ended by itself.

        Raises:
            RuntimeError: it failed.
        """
        if saving:
            number, half = self._rng.randint(1, 24), self._rng.random() < 0.5
            status = self._go(lambda: children.die_at_sync(number, half))
            if "stopped with status -9" in self.log.read_text():  # a driver, of the training that it started
                return True
        else:
            start, end = self._reference.starts[self._at], self._reference.seconds[self._at]
            between = (0, start) if self._rng.random() < STARTS else (start, end)
            status = self._go(after=self._rng.uniform(*between))
        if status not in (0, -9):
            raise RuntimeError(f"status {status}")
        return status == -9

    def _go(self, first=lambda: None, after=children.LONGEST):
        return children.finish(self._reference.start(self._at, self.folder, self.log, first), after)

    def moment(self):
        """Where it was killed, by the newest checkpoint of the command."""
        begun = self._reference.before(self._at)
        files = self.folder.rglob("checkpoint_last.pt")
        files = [path for path in files if not (begun / path.relative_to(self.folder)).exists()]
        if not files:
            return EARLY
        extra = load_checkpoint(max(files, key=os.path.getmtime))["extra_state"]
        states = [state for state in extra.values() if isinstance(state, dict) and "events_left" in state]
        pending = any(state["events_left"] or state.get("approach") is not None for state in states)
        return PRUNING if pending else LATE

    def resume(self):
        """Run the command again, and those that follow.

        Raises:
            RuntimeError: one fails.
        """
        while self._at < len(self._reference.run.commands):
            if status := self._go():
                raise RuntimeError(f"status {status} when it is resumed")
            self._at += 1

    def differences(self):
        """How it ended otherwise than the reference, list of str."""
        return differences(self._reference.whole, self.folder)


def kill_often(run, kills, folder, data, seed):
    """Kill one run many times over.

    Args:
        run: :class:`~soak_runs.Run`.
        kills: count.
        folder: for its files.
        data: folder of the data.
        seed: of the moments.

    Returns:
        :class:`Tally`.
    """
    rng, tally, tries = random.Random(f"{seed} {run.kind} {run.name}"), Tally(run.kind), 0
    reference = Reference(run, folder, data)
    while tally.counts["kills"] < kills and tries < 10 * kills:
        tries += 1
        victim = Victim(reference, f"kill-{tries}", rng)
        times = 2 if rng.random() < TWICES and kills - tally.counts["kills"] > 1 else 1
        found, reason = _kill(victim, times, rng.random() < SAVES)
        tally.counts.update(found)
        if reason:
            tally.faults.append(f"{run.kind}, {run.name}: {reason}; see {victim.log}")
        else:
            shutil.rmtree(victim.folder)
    return tally


def _kill(victim, times, saving):
    """Kill so many times (count), resume, compare: Counter for the tally, and what went wrong, if anything."""
    kills, moment = 0, SAVING if saving else EARLY
    try:
        for _ in range(times):
            kills += victim.kill(saving)
        if not kills:
            return Counter(), None
        moment = TWICE if kills == 2 else moment if saving else victim.moment()
        victim.resume()
        found = victim.differences()
        outcome, reason = (DIFFERENT, ", ".join(found[:3])) if found else (EQUAL, None)
    except RuntimeError as error:
        kills, outcome, reason = max(kills, 1), LOST, str(error)
    return Counter({"kills": kills, moment: kills, outcome: kills}), reason
