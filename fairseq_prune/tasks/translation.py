"""Translation with pruning."""

from fairseq.tasks.translation import TranslationConfig, TranslationTask

from ..engine.wrap import prunable

PruneTranslationConfig, PruneTranslationTask = prunable(
    __name__, "prune_translation", TranslationConfig, TranslationTask
)
