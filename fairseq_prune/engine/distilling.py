"""The part of a task that adds distillation to its loss."""

from contextlib import nullcontext
from typing import Any

from fairseq.tasks import FairseqTask
from torch import nn

from ..checkpoint.start import Start
from ..distillation.distiller import Distiller, log_distilled
from ..distillation.options import Distillation, read_distillation
from ..distillation.teacher import load_teacher
from ..errors import one_line_errors


class DistillingMixin(FairseqTask):
    """The part of :class:`~.mixin.PruneMixin` that learns from a teacher; the attributes declared here are set there.

    Attributes:
        distiller: adds the teacher to the loss; None: there is no teacher.
    """

    options: Any = None
    start: Start = Start()
    only_evaluates = False
    distiller: Distiller | None = None
    _model: nn.Module

    def build_criterion(self, *given, **named):
        """As the wrapped task's; then load the teacher, before any data is loaded."""
        criterion = super().build_criterion(*given, **named)
        if not self.only_evaluates:
            with one_line_errors():
                if asked := self._asked_distillation(criterion):
                    teacher = load_teacher(asked, self.start, self)
                    self.distiller = Distiller(asked, teacher, criterion, self._model, self.instead_for_teacher)
        return criterion

    def _asked_distillation(self, criterion):
        """What distillation is asked for, by the options of every task or by a criterion's own; None: none."""
        ours: Distillation | None = read_distillation(self.options)
        own: Distillation | None = getattr(criterion, "distillation", None)
        if ours and own:
            raise ValueError(f"{own.asked}: {ours.asked} names a teacher, too; give one of them")
        return ours or own

    def instead_for_teacher(self, named: dict[str, Any]) -> dict[str, Any]:
        """The named arguments of the teacher's call, from those of the model's; others where models leave a state."""
        return named

    def train_step(self, sample, model, criterion, *given, **named):
        """As the wrapped task's, beside the teacher."""
        with self.distiller.beside(criterion) if self.distiller else nullcontext():
            return super().train_step(sample, model, criterion, *given, **named)

    def teacher_state(self) -> dict[str, Any]:
        """What a checkpoint says of the teacher; its weights are not in it."""
        distiller = self.distiller
        return {"teacher": distiller.teacher.checksum, "distillation": distiller.asked.plain()} if distiller else {}

    def reduce_metrics(self, logging_outputs, criterion):
        super().reduce_metrics(logging_outputs, criterion)
        log_distilled(logging_outputs)
