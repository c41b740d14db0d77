"""Translation with SRP."""

from argparse import Namespace
from dataclasses import dataclass
from typing import Any

from fairseq.dataclass import FairseqDataclass
from fairseq.models import BaseFairseqModel
from fairseq.tasks import register_task

from ..checkpoint.start import PRETRAINED, Start, find_start
from ..compat import load_checkpoint
from ..engine.own_options import whole_config
from ..errors import one_line_errors
from .srp_options import SrpOptions, as_state_of_a_pruner, plan_options
from .stock import PruneTranslationConfig, PruneTranslationTask  # type: ignore[attr-defined]  # made by the loop


@dataclass
class SrpTranslationConfig(SrpOptions, PruneTranslationConfig):
    """Options of translation, of pruning, and of SRP."""


@register_task("srp_translation", dataclass=SrpTranslationConfig)
class SrpTranslationTask(PruneTranslationTask):
    """Translation whose Transformer is shrunk and cut by SRP."""

    @classmethod
    def find_start(cls, cfg: SrpTranslationConfig) -> Start:
        start = find_start(whole_config(cfg).checkpoint, cfg.pretrained_model)
        if cfg.pretrained_model:  # whoever names weights does not mean new ones
            start.check()
        return start

    @classmethod
    def pruning_options(cls, cfg: SrpTranslationConfig) -> dict[str, Any]:
        return plan_options(cfg, super().pruning_options(cfg))

    def build_model(self, cfg: FairseqDataclass | Namespace, from_checkpoint: bool = False) -> BaseFairseqModel:
        insists = from_checkpoint and not self.has_model  # else a teacher, whose layer norm is its own
        model = super().build_model(cfg, from_checkpoint)
        if insists and hasattr(model, "ask_layer_norm"):
            if self.options.weighted_layernorm or self.options.srp_plain_layernorm:
                model.ask_layer_norm(self.options.weighted_layernorm)
        if not from_checkpoint and self.start.option == PRETRAINED:
            with one_line_errors():
                self._start_from(model, self.start.path)
        return model

    def _start_from(self, model, path):
        try:
            model.load_state_dict(load_checkpoint(path)["model"], strict=True)
        except RuntimeError as error:
            reason = " ".join(str(error).split())
            raise ValueError(f"--pretrained-model {path}: does not fit --arch {self.options.arch}: {reason}") from None

    def set_checkpoint_dict(self, state: dict[str, Any]) -> None:
        super().set_checkpoint_dict(as_state_of_a_pruner(state))


@register_task("SRPtranslation", dataclass=SrpTranslationConfig)
class SeedSrpTranslationTask(SrpTranslationTask):
    """The same under the name that SRP's authors gave it."""


SeedSrpTranslationTask.__name__ = SrpTranslationTask.__name__  # so checkpoints of either resume as the other
