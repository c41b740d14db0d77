"""Translation with SRP."""

from dataclasses import dataclass

from fairseq.tasks import register_task

from ..engine.srp.mixin import SrpMixin
from ..engine.srp.options import SrpOptions
from .stock import PruneTranslationConfig, PruneTranslationTask  # made by the loop


@dataclass
class SrpTranslationConfig(SrpOptions, PruneTranslationConfig):
    """Options of translation, of masks, and of SRP."""


@register_task("srp_translation", dataclass=SrpTranslationConfig)
class SrpTranslationTask(SrpMixin, PruneTranslationTask):
    """Translation whose Transformer is shrunk and cut by SRP."""


@register_task("SRPtranslation", dataclass=SrpTranslationConfig)
class SeedSrpTranslationTask(SrpTranslationTask):
    """The same under the name that SRP's authors gave it."""


SeedSrpTranslationTask.__name__ = SrpTranslationTask.__name__  # so checkpoints of either resume as the other
