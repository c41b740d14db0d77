"""Whether two folders hold the same checkpoints."""

import torch

from fairseq_prune.compat import load_checkpoint
from fairseq_prune.pruning.masks import stored_masks

CLOCKS = ("metrics", "previous_training_time")  # of the extra state: meters, some of them of seconds
PLACES = ("cfg", "args")  # what was typed, folders among it


def differences(whole, resumed):
    """How the checkpoints below two folders differ, by names and content.

    Args:
        whole: folder of a run that was not interrupted, ``Path``.
        resumed: folder of one that was.

    Returns:
        list of str; empty if they are the same to the last bit.
    """
    names, others = ({str(path.relative_to(top)) for path in top.rglob("*.pt*")} for top in (whole, resumed))
    found = [f"only one has {name}" for name in sorted(names ^ others)]
    for name in sorted(names & others):
        a, b = (content_of(load_checkpoint(top / name)) for top in (whole, resumed))
        found += [f"{name}: {place}" for place in unlike(a, b)]
    return found


def content_of(checkpoint):
    """What has to be the same: weights, masks, moments, schedulers, and the state of the task and the search."""
    extra = {name: value for name, value in checkpoint["extra_state"].items() if name not in CLOCKS}
    content = {name: value for name, value in checkpoint.items() if name not in PLACES}
    last = _without_epoch(checkpoint["optimizer_history"][-1])  # each start adds one
    return {**content, "extra_state": extra, "masks": stored_masks(checkpoint["model"]), "optimizer_history": last}


def _without_epoch(entry):
    """reduce_lr_on_plateau counts epochs in a number that is used for nothing."""
    state = {name: value for name, value in entry["lr_scheduler_state"].items() if name != "last_epoch"}
    return {**entry, "lr_scheduler_state": state}


def unlike(a, b, place=""):
    """Places of two nested structures that hold other tensors or other plain values, and by how much, list of str."""
    if isinstance(a, dict) and isinstance(b, dict):
        found = [f"{place}.{name}" for name in a.keys() ^ b.keys()]
        return found + [p for name in a.keys() & b.keys() for p in unlike(a[name], b[name], f"{place}.{name}")]
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)) and len(a) == len(b):
        return [p for number, pair in enumerate(zip(a, b, strict=True)) for p in unlike(*pair, f"{place}.{number}")]
    if torch.is_tensor(a) and torch.is_tensor(b):
        same = a.shape == b.shape and a.dtype == b.dtype and torch.equal(a.nan_to_num(), b.nan_to_num())
    else:
        same = type(a) is type(b) and (a == b or a != a and b != b)
    return [] if same else [place + _by(a, b)]


def _by(a, b):
    """How much numbers differ at most; empty for what has no such measure."""
    if not torch.is_tensor(a) or not a.is_floating_point() or getattr(b, "shape", None) != a.shape:
        return ""
    return f" by {(a.double() - b.double()).abs().max():.2g}"
