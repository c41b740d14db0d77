"""The right values of runs, counted by hand from their checkpoints."""

import math
import re

from soak_compare import content_of, unlike

from fairseq_prune.compat import load_checkpoint
from fairseq_prune.methods.table import METHODS
from fairseq_prune.pruning.masks import stored_masks
from fairseq_prune.pruning.units import is_coupled, parse_units

FOUND = {"l0", "group_hoyer_square", "group_lasso", "cnip_it", "none"}  # say no fraction, or find it on the way
MOST = 40  # faults of one job that a summary tells
NODES = {  # of 64 neurons and 6 heads, of 112 filters, of 24 hidden units, of a decoder layer: how many are removed
    "neuron": 32, "growing neuron": 32, "head": 3, "l1": 48, "greg1": 48, "greg2": 48, "filter": 56, "snap": 90,
    "snap_it": 90, "taylor": 56, "fisher": 56, "gate_decorators": 56,
    "admm": 56, "hidden": 12, **dict.fromkeys(("shortgpt", "layer_loss", "layer_gradient"), 32 + 2 + 2),
}  # fmt: skip


class Failed(AssertionError):
    """A job did.

    Args:
        what: one line.
        more: all that is known, for the summary.
    """

    def __init__(self, what, more):
        super().__init__(what)
        self.more = more


def faults_of(folder, name, words):
    """What is wrong with a run that has ended.

    Args:
        folder: of its checkpoints, ``Path``.
        name: of its method in the table of jobs.
        words: options of the method, str.

    Returns:
        list of str; empty if all is right.
    """
    end = load_checkpoint(folder / "checkpoint_last.pt")
    (state,) = (value for key, value in end["extra_state"].items() if key.startswith("Prune") and key.endswith("Task"))
    before = load_checkpoint(next(folder.glob("checkpoint_*_20.pt")))
    faults = [f"{state['events_left']} events left"] if state["events_left"] else []
    faults += [f"{key} is not zero where it is masked" for key, keep in _masks(end) if end["model"][key][~keep].any()]
    faults += [f"{key} came back" for key in unlike(stored_masks(before["model"]), stored_masks(end["model"]))]
    if name in FOUND:
        return faults
    row, options = _asked_for(words)
    units = options.get("units", row.units)
    if units != "2:4" and is_coupled(parse_units(units)):
        return faults + _wrong_nodes(state["account"], NODES[name])
    return faults + _wrong_count(dict(_masks(end)), state["whole"], row, options)


def differences(whole, part):
    """How a resumed run ended differently, list of str; empty if in the same bits."""
    ends = (content_of(load_checkpoint(folder / "checkpoint_last.pt")) for folder in (whole, part))
    return [f"resumed, unlike {place}" for place in unlike(*ends)]


def check(faults):
    """Raise :class:`Failed` if there are any."""
    if faults:
        more = f" and {len(faults) - 2} more" if len(faults) > 2 else ""
        raise Failed("; ".join(faults[:2]) + more, "\n".join(faults[:MOST]))


def _masks(checkpoint):
    return stored_masks(checkpoint["model"]).items()


def _asked_for(words):
    """The row of a command's method, and the other ``--prune-`` options as they were typed, dict of str."""
    options = dict(re.findall(r"--prune-(\S+) (?=([^-\s]\S*))", words))
    return METHODS[options.pop("method")], options


def _wrong_nodes(account, asked):
    lost = account["start"]["nodes"] - account["now"]["nodes"]
    return [] if lost == asked else [f"{lost} nodes removed, {asked} asked"]


def _wrong_count(masks, whole, row, options):
    units, target = options.get("units", row.units), options.get("target", row.target)
    shapes = [keep.shape for keep in masks.values()]
    removed, of = sum(int((~keep).sum()) for keep in masks.values()), sum(shape.numel() for shape in shapes)
    exact = "only" not in options  # there: units of several sizes, of some layers
    asked = _asked(row, units, str(target), shapes, whole if exact else of)
    wrong = removed != asked if exact else abs(removed - asked) > 0.02 * of
    return [f"{removed} of {of} weights removed, {asked} asked"] if wrong else []


def _asked(row, units, target, shapes, of):
    """How many weights are to be removed, by hand."""
    if ":" in units + target or units == "n:m":
        kept, group = map(int, (target if ":" in target else units).split(":"))
        return sum(shape.numel() * (group - kept) // group for shape in shapes)
    fraction = float(target)
    if row.scope == "global" and units == "weight":
        return round(fraction * of)
    if units == "row":
        return sum(round(fraction * shape[0]) * math.prod(shape[1:]) for shape in shapes)
    return sum(round(fraction * shape.numel()) for shape in shapes)
