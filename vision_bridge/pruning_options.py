"""Options of structured pruning that only vision models have, in the spelling of GReg's original."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Optional

from fairseq.dataclass import FairseqDataclass
from fairseq.tasks import FairseqTask  # noqa: F401  (fairseq.dataclass is incomplete without it)

from fairseq_prune.engine.read_target import COSTS, budget_options
from fairseq_prune.methods.table import METHODS
from fairseq_prune.needs import Need, refuse_idle_fields, spelt

from .reinit import KINDS


@dataclass(frozen=True)
class _RunDescription:
    """A run as the options' needs see it: all options, and the row of the method."""

    options: Any
    method: Any


_PRUNES = Need(lambda run: run.method.prunes, "--prune-method l1")
_AT_ONCE = Need(lambda run: run.method.prunes and run.method.approach is None, "--prune-method l1")
_STAGES = Need(lambda run: run.options.stage_pr is not None, "--prune-skip '*layer1.0*', or --stage-pr")
_BASE = Need(lambda run: run.options.base_pr_model is not None, "--base-pr-model checkpoints/l1/checkpoint_best.pt")


def _option(text, needs=_PRUNES):
    return field(default=None, metadata={"help": text, "needs": needs})


@dataclass
class VisionPruningOptions(FairseqDataclass):
    """How much of which layer is removed; None: not given."""

    stage_pr: Optional[str] = _option(
        "fraction for each stage of a residual net, stem first, classifier last: [0,0.75,0.75,0.32,0]; "
        "or for ranges of layers: [1-15:0.7]"
    )
    skip_layers: Optional[str] = _option(
        "layers that --stage-pr keeps whole: blocks such as [1.0,2.3], or [0,2]", _STAGES
    )
    wg: Optional[str] = _option("the same as --prune-units: filter, channel or weight")
    pick_pruned: Optional[str] = _option("which units are removed: min (the smallest, default), max or rand")
    base_pr_model: Optional[str] = _option("instead of a fraction: pruned checkpoint of the same --arch to follow")
    inherit_pruned: Optional[str] = _option(
        "of it: index (the same units, default) or pr (as many of every layer; greg2 always)", _BASE
    )
    reinit: Optional[str] = _option(
        "methods without a penalty: train what is left from scratch; orth or kaiming", _AT_ONCE
    )


PICKED = {"min": "magnitude", "max": "smallness", "rand": "random"}
HOW_MUCH = ("stage_pr", "base_pr_model")
INHERITED = ("index", "pr")


def add_vision_options(cfg: VisionPruningOptions, options: Mapping[str, Any]) -> dict[str, Any]:
    """Add the vision options to those of the pruning plan.

    Args:
        cfg: config with the fields of :class:`VisionPruningOptions`.
        options: dict from :func:`~fairseq_prune.engine.options.given_options`.

    Returns:
        dict for :func:`~fairseq_prune.engine.make_plan.make_plan`.

    Raises:
        ValueError: two options say the same thing, or a value is not known.
    """
    options = dict(options)
    refuse_idle_fields(VisionPruningOptions, cfg, _RunDescription(cfg, _method(options)))
    if cfg.pick_pruned is not None and cfg.pick_pruned not in PICKED:
        raise ValueError(f"--pick-pruned {cfg.pick_pruned}: give one of {', '.join(PICKED)}")
    for ours, theirs, value in (
        ("units", "wg", cfg.wg),
        ("importance", "pick_pruned", PICKED.get(cfg.pick_pruned or "")),
    ):
        if value is not None:
            if ours in options:
                raise ValueError(f"--{theirs.replace('_', '-')} and --prune-{ours} say the same; give one of them")
            options[ours] = value
    given = {name: getattr(cfg, name) for name in HOW_MUCH if getattr(cfg, name) is not None}
    by_cost = [name for name in COSTS if name in options]
    if len(said := [*given, *budget_options(options)]) > 1:
        raise ValueError(f"{' and '.join(map(spelt, said))} all say how much is to be removed; give one of them")
    _check_reinit(cfg)
    inherited = _inherited(cfg, options)
    if given:
        more = {"skip_layers": cfg.skip_layers, "inherit_pruned": inherited}
        options["budget"] = given | {name: value for name, value in more.items() if value}
    if given or by_cost:
        options.setdefault("scope", "layer")
    return options


def _inherited(cfg, options):
    """``index`` or ``pr``; None if there is no checkpoint to follow."""
    if cfg.inherit_pruned is not None and cfg.inherit_pruned not in INHERITED:
        raise ValueError(f"--inherit-pruned {cfg.inherit_pruned}: give one of {', '.join(INHERITED)}")
    if cfg.base_pr_model is None:
        return None
    for name in ("rounding", "scope"):
        if name in options:
            raise ValueError(f"--prune-{name} {options[name]}: --base-pr-model counts exactly, by layer; leave it out")
    options["rounding"] = "nearest"
    method = _method(options)
    if getattr(method.approach, "picks", False):
        return "pr"
    inherited = cfg.inherit_pruned or "index"
    if inherited == "index" and options.get("importance", method.importance) != "magnitude":
        raise ValueError(
            "--inherit-pruned index: says which units are removed: it needs --prune-method l1 or greg1, and excludes "
            "--pick-pruned; give e.g. --inherit-pruned pr"
        )
    return inherited


def _check_reinit(cfg):
    reinit = cfg.reinit
    if reinit is not None and reinit not in KINDS:
        raise ValueError(f"--reinit {reinit}: give one of {', '.join(KINDS)}")
    if reinit is not None and cfg.prune_store_ema:
        raise ValueError(f"--reinit {reinit}: averages would keep the old weights; leave out --store-ema")


def _method(options):
    return METHODS[options.get("method", "none")]
