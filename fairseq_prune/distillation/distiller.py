"""Adds the distance between student and teacher to a criterion's loss."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from fairseq.logging import metrics
from torch import nn

from ..errors import errors_named, one_line_errors
from .divergence import divergence
from .hidden import Place, States, check_stacks, compared_stacks, hidden_distance, matched, watched
from .logits import reader_of
from .options import Distillation
from .teacher import Teacher, check_kind

if TYPE_CHECKING:
    from fairseq.criterions import FairseqCriterion

LOGGED = "kd_loss", "kd_hidden"


class _Call(NamedTuple):
    """A criterion's call of its model: arguments and output."""

    args: tuple[Any, ...]
    named: dict[str, Any]
    output: Any


class Distiller:
    """Lets a student learn from a teacher, through hooks of its criterion and of the model that this calls.

    The teacher is called with what the criterion calls the model with, so both see one input, whatever the task, but
    for what a model leaves in it for its next call. What is added is a sum over positions, as the criterion's loss is,
    and fairseq divides both by the sample size.

    Args:
        asked: how much.
        teacher: what from.
        criterion: the run's.
        student: the model that it trains.
        instead: function of the named arguments that the student got -> those for the teacher.

    Raises:
        ValueError: the teacher is of another kind, the criterion has no logits, or hidden states cannot be compared.
    """

    def __init__(
        self,
        asked: Distillation,
        teacher: Teacher,
        criterion: FairseqCriterion,
        student: nn.Module,
        instead: Callable[[dict[str, Any]], dict[str, Any]] = dict,
    ):
        self.asked, self.teacher, self._student, self._instead = asked, teacher, student, instead
        self._watching = contextlib.ExitStack()
        self._calls: list[_Call] = []
        self._states: dict[Place, States] = {}
        with errors_named(asked.asked):
            check_kind(student, teacher.model)
            self._read = reader_of(criterion, student)
        if asked.hidden:
            with errors_named(f"--prune-kd-hidden {asked.hidden}"):
                check_stacks(student, teacher.model)

    @contextlib.contextmanager
    def beside(self, criterion: FairseqCriterion) -> Iterator[None]:
        """Add to the losses of a criterion meanwhile, where it is called with a model in training mode."""
        with self._watching, contextlib.ExitStack() as hooks:
            hooks.callback(criterion.register_forward_pre_hook(self._watch).remove)
            hooks.callback(criterion.register_forward_hook(self._add).remove)
            yield

    def _watch(self, criterion, given):
        model = given[0]
        if model.training:
            see = model.register_forward_hook(lambda _, *call: self._calls.append(_Call(*call)), with_kwargs=True)
            self._watching.callback(see.remove)
            self._watching.callback(self._calls.clear)
            if self.asked.hidden:
                self._states = self._watching.enter_context(watched(self._student))

    def _add(self, criterion, given, result):
        if not self._calls:
            return None
        call, (loss, sample_size, log) = self._calls[-1], result
        self._watching.close()
        with one_line_errors(), errors_named(self.asked.asked):
            terms = self._compare(criterion, given[0], given[1], call)
        self._states = {}
        return sum(terms.values(), loss), sample_size, log | {name: term.detach() for name, term in terms.items()}

    def _compare(self, criterion, model, sample, call):
        """What is added to the loss, dict of name -> tensor []."""
        teacher, terms, asked = self._counterpart(model), {}, self.asked
        with torch.no_grad(), contextlib.ExitStack() as watching:
            theirs = watching.enter_context(watched(self.teacher.model)) if asked.hidden else {}
            expected = teacher(*call.args, **self._instead(call.named))
        if asked.weight:
            logits, keep = self._read(criterion, model, sample, call.output)
            wanted, _ = self._read(criterion, teacher, sample, expected)
            terms["kd_loss"] = asked.weight * divergence(logits, wanted, keep, asked.temperature)
        if asked.hidden:
            terms["kd_hidden"] = asked.hidden * hidden_distance(self._states, theirs, self._matched())
        return terms

    def _counterpart(self, model):
        """The teacher, or the part of it where a task trains a part of the student."""
        teacher = self.teacher.beside(self._student)
        names = (name for name, module in self._student.named_modules() if module is model)
        return teacher.get_submodule(next(names, ""))

    def _matched(self):
        theirs = compared_stacks(self.teacher.model)
        mine = compared_stacks(self._student)
        return {name: matched(len(mine[name]), len(theirs[name])) for name in mine.keys() & theirs.keys()}


def log_distilled(logging_outputs: Sequence[Mapping[str, Any]]) -> None:
    """Log what was added to the loss, in bits a token, or whatever the sample size counts."""
    for name in LOGGED:
        losses = [log[name] for log in logging_outputs if name in log]
        if losses:
            sample_size = sum(log["sample_size"] for log in logging_outputs)
            metrics.log_scalar(name, sum(losses) / sample_size / math.log(2), sample_size, round=3)
