"""Language modelling with pruning."""

from fairseq.tasks.language_modeling import LanguageModelingConfig, LanguageModelingTask

from ..engine.wrap import prunable

PruneLanguageModelingConfig, PruneLanguageModelingTask = prunable(
    __name__, "prune_language_modeling", LanguageModelingConfig, LanguageModelingTask
)
