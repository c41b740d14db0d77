"""fairseq's tasks that have moved to dataclasses, and still ask for options by the old name."""


def install() -> None:
    """``--mask-whole-words`` and mBART's fine-tuning read ``self.args``, which only tasks without a dataclass have."""
    from fairseq.tasks.masked_lm import MaskedLMTask
    from fairseq.tasks.translation_from_pretrained_bart import TranslationFromPretrainedBARTTask

    for task in (MaskedLMTask, TranslationFromPretrainedBARTTask):
        if not hasattr(task, "args"):
            task.args = property(lambda self: self.cfg)
