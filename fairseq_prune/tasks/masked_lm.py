"""Masked language modelling with pruning."""

from fairseq.tasks.masked_lm import MaskedLMConfig, MaskedLMTask

from ..engine.wrap import prunable

PruneMaskedLMConfig, PruneMaskedLMTask = prunable(__name__, "prune_masked_lm", MaskedLMConfig, MaskedLMTask)
