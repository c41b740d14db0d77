"""fairseq tasks that use an outdated attribute, or whose ``setup_task`` returns another class than its own."""

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
    """The task as an instance of the class that was asked for; ``sentence_ranking`` always makes its own.

    Args:
        task: what ``setup_task`` returned: an instance of ``kind`` or of one of its base classes.
        kind: the class whose ``setup_task`` was called.
    """
    if not isinstance(task, kind):
        task.__class__ = kind
    return task  # type: ignore[return-value]  # it is now
