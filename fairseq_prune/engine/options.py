"""The ``--prune-*`` options.

fairseq turns this dataclass into a parser by reading its annotations: write ``Optional[...]`` and
``List[...]``, no postponed annotations, and no switch that is true by default. A switch of another
group is ``Any``: as a bool, fairseq would take the text of the interpolation for True.
"""

from dataclasses import dataclass, field
from typing import Any, List, Optional

from fairseq.tasks import FairseqTask  # noqa: F401  (fairseq.dataclass is incomplete without it)
from omegaconf import II

from ..distillation.options import DistillationOptions
from ..methods.options import ApproachOptions, given_approach
from ..methods.table import names_of_methods
from ..needs import Need
from ..pruning.importance import IMPORTANCES
from ..pruning.scope import SCOPES
from ..pruning.units import UNITS, CoupledUnits
from .recipe import read_recipe

_WHEN = "'4ep' after 4 epochs, '500up' after 500 updates"


def _option(text, default=None, needs=None):
    return field(default=default, metadata={"help": text} | ({"needs": needs} if needs else {}))


def _names_of_units(coupled):
    return ", ".join(name for name, kind in UNITS.items() if issubclass(kind, CoupledUnits) == coupled)


_SCORES = Need(lambda run: run.plan.evidence, "--prune-method snip")
_NM = Need(lambda run: run.plan.units == "n:m", "--prune-units 2:4")
_AMP = Need(lambda run: run.options.prune_amp, "--amp --prune-amp-bf16")
_EVALUATES = Need(lambda run: run.options.prune_evaluated, "fairseq-eval-lm instead of fairseq-train")
_COUNTS = Need(lambda run: run.plan.prunes and run.plan.counts, "a fraction, as --prune-target 0.8")


@dataclass
class PruneOptions(DistillationOptions, ApproachOptions):
    """Options that every pruning task has; None means not given."""

    prune_method: Optional[str] = _option(
        f"none (default: keep what is removed), {', '.join(name for name in names_of_methods() if name != 'none')}; "
        "'fairseq-prune methods NAME' says more"
    )
    prune_target: Optional[str] = _option(
        "fraction of the prunable weights to remove by the end, in [0, 1), or 2:4, or 0.001abs: all whose score is at "
        "most that; by group: 'ih=0.9,hh=0.5'"
    )
    prune_params_left: Optional[float] = _option(
        "instead of a fraction to remove: part of the parameters to leave, in (0, 1), counted as if units were cut"
    )
    prune_macs_left: Optional[float] = _option(
        "instead of a fraction to remove: part of the multiply-accumulates to leave, in (0, 1)"
    )
    prune_units: Optional[str] = _option(
        f"what is removed together: {_names_of_units(False)}; coupled over several tensors: {_names_of_units(True)}; "
        "some take an argument, e.g. block:4x4, 2:4, width:residual"
    )
    prune_importance: Optional[str] = _option(
        f"score by which units are ranked; the lowest are removed: {', '.join(IMPORTANCES)}"
    )
    prune_scope: Optional[str] = _option(f"what a unit is compared with: {', '.join(SCOPES)}")
    prune_stages: Optional[str] = _option("groups of --prune-scope stage: 'embed=*embed*;ffn=*fc1*,*fc2*'")
    prune_schedule: Optional[str] = _option(
        "once (default, at --prune-start), or linear, cubic, exponential or halving from --prune-start to --prune-end; "
        "reselect: the full target at every event, but nothing permanently until --prune-freeze"
    )
    prune_start: Optional[str] = _option(f"first pruning event, default 0up: {_WHEN}")
    prune_end: Optional[str] = _option(f"last pruning event of gradual schedules: {_WHEN}")
    prune_freeze: Optional[str] = _option(f"reselect: time of the last selection, which is final: {_WHEN}")
    prune_every: Optional[str] = _option("interval between events (default: a tenth of the schedule), e.g. 100up")
    prune_include: Optional[str] = _option("comma-separated name patterns to prune as well, e.g. '*.bias'")
    prune_skip: Optional[str] = _option("comma-separated name patterns to leave dense, e.g. '*embed*'")
    prune_permute: bool = _option(
        "n:m: first reorder channels so that larger weights are kept; the model computes the same function", False, _NM
    )
    prune_only: Optional[str] = _option("comma-separated name patterns; only these are pruned, e.g. '*conv*'")
    prune_rounding: Optional[str] = _option(
        "how a fraction becomes a count: nearest, up, or reference (keeps one unit fewer)", needs=_COUNTS
    )
    prune_batches: Optional[int] = _option(
        "training batches from which derivatives or inputs are gathered (5)", needs=_SCORES
    )
    prune_steps: Optional[int] = _option("events of a gradual schedule, all at --prune-start: before training, at 0up")
    prune_rewind: Optional[str] = _option(f"after every removal, rewind the weights to their values at: {_WHEN}")
    prune_pack: bool = _option(
        "save packed checkpoints, which store tensors with zeros as a bit mask and the other values", False
    )
    prune_amp_bf16: bool = _option("--amp computes in bfloat16 instead of float16", False, _AMP)
    prune_execute: Optional[str] = _option(
        "evaluation on a CPU: run layers dense (default), as sparse matrices (csr), or whichever is faster (auto)",
        needs=_EVALUATES,
    )
    prune_recipe: Optional[str] = _option("YAML file with these options; the command line takes precedence")

    prune_evaluated: Optional[str] = II("common_eval.path")
    prune_cpu: Any = II("common.cpu")
    prune_seed: int = II("common.seed")
    prune_max_epoch: int = II("optimization.max_epoch")
    prune_max_update: int = II("optimization.max_update")
    prune_log_interval: int = II("common.log_interval")
    prune_update_freq: List[int] = II("optimization.update_freq")
    prune_train_subset: str = II("dataset.train_subset")
    prune_store_ema: Any = II("ema.store_ema")
    prune_save_dir: str = II("checkpoint.save_dir")
    prune_skip_remainder: Any = II("optimization.skip_remainder_batch")
    prune_max_tokens: Optional[int] = II("dataset.max_tokens")
    prune_batch_size: Optional[int] = II("dataset.batch_size")
    prune_batch_multiple: int = II("dataset.required_batch_size_multiple")
    prune_fp16: Any = II("common.fp16")
    prune_bf16: Any = II("common.bf16")
    prune_amp: Any = II("common.amp")
    prune_maximize_best: Any = II("checkpoint.maximize_best_checkpoint_metric")
    prune_ddp_backend: str = II("distributed_training.ddp_backend")


NAMES = """method target params_left macs_left units importance scope stages schedule start end every freeze
    steps rewind include skip only rounding batches""".split()


def given_options(cfg: PruneOptions) -> dict[str, Any]:
    """The options a run was given, on the command line or by its recipe.

    Args:
        cfg: config with the fields of :class:`PruneOptions`.

    Returns:
        dict of option name without ``prune_`` -> value; ``approach`` holds those of an approach.

    Raises:
        ValueError: the recipe is unreadable or has an unknown key.
    """
    options = read_recipe(cfg.prune_recipe, NAMES) if cfg.prune_recipe else {}
    approach = given_approach(cfg)
    typed = {name: getattr(cfg, f"prune_{name}") for name in NAMES}
    options.update({name: value for name, value in typed.items() if value is not None})
    if getattr(cfg, "prune_permute", False):
        options["permute"] = True
    return {**options, "approach": approach} if approach else options
