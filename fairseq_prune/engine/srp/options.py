"""The options of SRP, in the spelling of its authors.

See :mod:`fairseq_prune.engine.options` for what fairseq demands of such a dataclass.
"""

from dataclasses import dataclass, field
from typing import Optional

from fairseq.dataclass import FairseqDataclass
from fairseq.tasks import FairseqTask  # noqa: F401  (fairseq.dataclass is incomplete without it)
from omegaconf import II

from ...needs import Need


def _option(default, text, needs=None):
    return field(default=default, metadata={"help": text} | ({"needs": needs} if needs else {}))


_PRUNES = Need(lambda cfg: cfg.srp or cfg.compression_rate is not None, "--srp --compression-rate 0.2")
_SHRINKS = Need(lambda cfg: cfg.srp, "--srp")
_EPOCHS = Need(lambda cfg: cfg.srp and cfg.srp_pruning_updates is None, "--srp without --srp-pruning-updates")


@dataclass
class SrpOptions(FairseqDataclass):
    """What every SRP task understands."""

    srp: bool = _option(False, "shrink, then cut; without it, --compression-rate cuts at once")
    compression_rate: Optional[float] = _option(
        None, "parameters that remain, in (0, 1); default: 0.2 with --srp, else nothing is pruned"
    )
    pruning_stage: int = _option(0, "0 all units, 1 residual widths, 2 attention dimensions and neurons", _PRUNES)
    pruning_iter: int = _option(1, "rounds of scoring, shrinking and cutting", _SHRINKS)
    pruning_period: int = _option(15, "epochs in a round", _EPOCHS)
    srp_pruning_updates: Optional[int] = _option(None, "updates in a round, instead of --pruning-period", _SHRINKS)
    decreasing: str = _option(
        "sa", "shrink by step (s) or epoch (e), arithmetically (a) or geometrically (g): sa, sg, ea, eg", _SHRINKS
    )
    warming_up: int = _option(0, "epochs of plain training before the first scoring", _PRUNES)
    pretrained_model: Optional[str] = _option(None, "checkpoint to start from, stock or SRP, of any widths")
    srp_score_batches: int = _option(16, "training batches that score the units", _PRUNES)
    srp_score: str = _option("signed", "of a unit: signed, the authors'; or squared, better near convergence", _PRUNES)
    srp_budget: str = _option("exact", "exact, or legacy: the widths of the authors' formula", _PRUNES)
    weighted_layernorm: bool = _option(False, "see the SRP architectures")
    srp_plain_layernorm: bool = _option(False, "see the SRP architectures")
    arch: Optional[str] = _option(None, "for training; fairseq-generate takes it from the checkpoint")

    srp_continue_once: Optional[str] = II("checkpoint.continue_once")
