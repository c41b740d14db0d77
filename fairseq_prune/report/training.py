"""What a checkpoint records about its run: the cost of training, and what was removed since the start."""

from collections.abc import Iterator, Mapping
from typing import Any

from ..checkpoint.tensors import fraction

LABELS = {"params": "parameters", "nodes": "nodes"}


def describe_training(state: Mapping[str, Any], left: Mapping[str, Any]) -> dict[str, float]:
    """Read the account that a pruning run keeps in its checkpoints.

    Args:
        state: the contents of the checkpoint.
        left: dict with what its model has left: ``nonzero`` parameters and, if known, living ``nodes`` (counts).

    Returns:
        {} without an account. Otherwise a dict of ``train_macs`` and ``train_nonzero_macs`` spent so far and
        ``train_speedup`` (how many times as much the same updates would have cost dense), if multiply-accumulates were
        counted; and of ``params_removed`` and ``nodes_removed``, fractions in [0, 1] of what the run began with.
    """
    extra = state.get("extra_state")
    tasks = extra.values() if isinstance(extra, Mapping) else ()
    account = next((task["account"] for task in tasks if isinstance(task, Mapping) and task.get("account")), None)
    if not account:
        return {}
    spent, start = account["spent"], account["start"]
    found = {f"train_{kind}": macs for kind, macs in spent.items() if macs}
    if spent["macs"]:
        found["train_speedup"] = account["dense"] / spent["macs"]
    for name, now in (("params", left["nonzero"]), ("nodes", left.get("nodes"))):
        if start.get(name) and now is not None:
            found[f"{name}_removed"] = fraction(start[name] - now, start[name])
    return found


def render_training(total: Mapping[str, Any]) -> Iterator[str]:
    """Yield lines for what :func:`describe_training` found, given a report's totals that hold it."""
    shares = {label: total.get(f"{name}_removed") for name, label in LABELS.items()}
    if gone := [f"{share:.4f} of {label}" for label, share in shares.items() if share is not None]:
        yield f"since the start     {', '.join(gone)} removed"
    if "train_macs" in total:
        more = f"{total['train_speedup']:.4f}x fewer than dense; {total['train_nonzero_macs']:.4g} non-zero"
        yield f"training MACs       {total['train_macs']:.4g}  ({more})"
