"""Options of structured pruning that only vision models have, in the spelling of GReg's original."""

from dataclasses import dataclass, field
from typing import Optional

from fairseq.dataclass import FairseqDataclass
from fairseq.tasks import FairseqTask  # noqa: F401  (fairseq.dataclass is incomplete without it)


def _option(text):
    return field(default=None, metadata={"help": text})


@dataclass
class VisionPruningOptions(FairseqDataclass):
    """How much of which layer leaves; None means not given."""

    stage_pr: Optional[str] = _option(
        "fraction for each stage of a residual net, stem first, classifier last: [0,0.75,0.75,0.32,0]; "
        "or for ranges of layers: [1-15:0.7]"
    )
    skip_layers: Optional[str] = _option("layers that --stage-pr leaves whole: blocks such as [1.0,2.3], or [0,2]")
    wg: Optional[str] = _option("the same as --prune-units: filter, channel or weight")
    pick_pruned: Optional[str] = _option("which units leave: min (the smallest, default), max or rand")
    prune_macs_left: Optional[float] = _option("instead of a fraction: multiply-accumulates left, in (0, 1)")
    prune_params_left: Optional[float] = _option("instead of a fraction: parameters left, in (0, 1)")


PICKED = {"min": "magnitude", "max": "smallness", "rand": "random"}
HOW_MUCH = ("stage_pr", "prune_macs_left", "prune_params_left")


def add_vision_options(cfg, options):
    """Add what vision's options say to those of the pruning plan.

    Args:
        cfg: config with the fields of :class:`VisionPruningOptions`.
        options: dict from :func:`~fairseq_prune.engine.options.given_options`.

    Returns:
        dict for :func:`~fairseq_prune.engine.plan.make_plan`.

    Raises:
        ValueError: two options say the same, or a value is none of those known.
    """
    options = dict(options)
    if cfg.pick_pruned is not None and cfg.pick_pruned not in PICKED:
        raise ValueError(f"--pick-pruned {cfg.pick_pruned}: give one of {', '.join(PICKED)}")
    for ours, theirs, value in (("units", "wg", cfg.wg), ("importance", "pick_pruned", PICKED.get(cfg.pick_pruned))):
        if value is not None:
            if ours in options:
                raise ValueError(f"--{theirs.replace('_', '-')} and --prune-{ours} say the same; give one of them")
            options[ours] = value
    given = {name: getattr(cfg, name) for name in HOW_MUCH if getattr(cfg, name) is not None}
    if len(given) + ("target" in options) > 1:
        both = [*given, *(["prune_target"] if "target" in options else [])]
        spelt = " and ".join(f"--{name.replace('_', '-')}" for name in both)
        raise ValueError(f"{spelt} all say how much is to leave; give one of them")
    for name in ("prune_macs_left", "prune_params_left"):
        if name in given and not 0 < given[name] < 1:
            raise ValueError(f"--{name.replace('_', '-')} {given[name]}: give a fraction in (0, 1), e.g. 0.4")
    if cfg.skip_layers and "stage_pr" not in given:
        raise ValueError(
            f"--skip-layers {cfg.skip_layers}: goes with --stage-pr; else use e.g. --prune-skip '*layer1.0*'"
        )
    if given:
        options["budget"] = {**given, **({"skip_layers": cfg.skip_layers} if cfg.skip_layers else {})}
        options.setdefault("scope", "layer")
    return options
