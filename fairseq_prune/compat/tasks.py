"""fairseq tasks that use an old option name, or return another class than the one they were asked for."""

from typing import TypeVar

Task = TypeVar("Task")


def install() -> None:
    """``--mask-whole-words`` and mBART's fine-tuning read ``self.args``, which only tasks without a dataclass have."""
    from fairseq.tasks.masked_lm import MaskedLMTask
    from fairseq.tasks.translation_from_pretrained_bart import TranslationFromPretrainedBARTTask

    for task in (MaskedLMTask, TranslationFromPretrainedBARTTask):
        if not hasattr(task, "args"):
            task.args = property(lambda self: self.cfg)


def of_class(task: object, kind: type[Task]) -> Task:
    """A task of the class whose ``setup_task`` made it; that of ``sentence_ranking`` makes one of its own.

    Args:
        task: what was made; of ``kind``, or of a class that it derives from.
        kind: of the task.
    """
    if not isinstance(task, kind):
        task.__class__ = kind
    return task  # type: ignore[return-value]  # it is now
