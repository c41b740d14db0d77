"""SRP runs on toy data, and a diary of what happens in their updates."""

from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
import torch
from conftest import TINY, Run

from fairseq_prune.checkpoint.tensors import parameters
from fairseq_prune.engine import removal
from fairseq_prune.engine.pruner import Pruner
from fairseq_prune.pruning.masks import unpack_mask
from fairseq_prune.pruning.surgery.cut import entries

ARCHS = {
    "separate": f"--arch srp_transformer --share-decoder-input-output-embed {TINY}",
    "shared": f"--arch srp_transformer --share-all-embeddings {TINY}",
}
QUIET = ["--disable-validation"]


def srp_run(folder, data, sharing="separate", task="srp_translation"):
    """A run that prunes nothing unless told to; 12 batches make an epoch."""
    return Run(folder, data, task, ARCHS[sharing])


def copies(tensors):
    return {name: value.detach().clone() for name, value in tensors.items()}


def moments_of(model, optimizer):
    """What the torch optimizer keeps of each parameter, dict of name -> dict."""
    state = optimizer.optimizer.state
    return {
        name: {key: value.clone() if torch.is_tensor(value) else value for key, value in state[parameter].items()}
        for name, parameter in model.named_parameters()
        if parameter in state
    }


@dataclass
class Page:
    """One update: what was selected, the connectivity of each forward pass, and the weights around the step."""

    epochs: int
    updates: int
    selected: dict
    before: dict
    connectivity: list = field(default_factory=list)
    after: dict = None


@dataclass
class Cut:
    """A cut: all entries and moments before and after."""

    updates: int
    keep: dict
    before: dict
    after: dict
    moments_before: dict
    moments_after: dict
    table: dict


class Diary:
    """Written by :func:`keeping_a_diary`.

    Attributes:
        pages: list of :class:`Page`, one for each update.
        cuts: list of :class:`Cut`.
    """

    def __init__(self):
        self.pages, self.cuts, self.model = [], [], None

    def selected(self):
        """Pages of updates with a round in progress."""
        return [page for page in self.pages if page.selected]

    def values(self):
        """The connectivity of the selected units in each such update; the same for all, in all forward passes."""
        found = []
        for page in self.selected():
            values = {v.item() for c in page.connectivity for name, s in page.selected.items() for v in c[name][s]}
            assert len(values) == 1
            found.append(values.pop())
        return found


def _on_page(diary, pruner, at):
    if not diary.pages or diary.pages[-1].after is not None:
        diary.pages.append(Page(at.epochs, at.updates, {}, copies(pruner.masked.parameters)))
    return diary.pages[-1]


def selected_of(pruner):
    """What is removed in the round in progress, dict of vector name -> bool; empty between rounds."""
    selected = (pruner.state()["approach"] or {}).get("selected", {})
    return {name: unpack_mask(units) for name, units in selected.items()}


@contextmanager
def keeping_a_diary():
    """Note what every SRP run does meanwhile."""
    diary, cut_in_run = Diary(), removal.cut_in_run
    before_update, after_backward, after_step = Pruner.before_update, Pruner.after_backward, Pruner.after_step

    def begin(self, optimizer, at, *args):
        page = _on_page(diary, self, at)
        before_update(self, optimizer, at, *args)
        page.selected = selected_of(self)

    def backward(self):
        connectivity = self._model.connectivity
        diary.pages[-1].connectivity.append(copies({n: c.vector for n, c in connectivity.items()}))
        after_backward(self)

    def step(self, optimizer, at, *args):
        after_step(self, optimizer, at, *args)
        diary.pages[-1].after = copies(self.masked.parameters)
        diary.model = self._model

    def cut(model, table, keep, optimizer, masked):
        before = copies(entries(model)), moments_of(model, optimizer)
        cut_in_run(model, table, keep, optimizer, masked)
        after = copies(entries(model)), moments_of(model, optimizer)
        both = zip(before, after, strict=True)
        (b, a), (mb, ma) = both
        diary.cuts.append(Cut(diary.pages[-1].updates, copies(keep), b, a, mb, ma, model.table))

    with pytest.MonkeyPatch.context() as patch:
        for name, method in (("before_update", begin), ("after_backward", backward), ("after_step", step)):
            patch.setattr(Pruner, name, method)
        patch.setattr(removal, "cut_in_run", cut)
        yield diary


def owned(table, name, shape, selected):
    """The elements of one tensor that belong to selected units, straight from the table (bool tensor)."""
    where = torch.zeros(shape, dtype=torch.bool)
    for axis, vector, *_ in table.get(name, ()):
        if vector in selected:
            where.movedim(axis, 0)[selected[vector]] = True
    return where


def widths(checkpoint):
    """Lengths of the connectivity vectors in a checkpoint."""
    return {name: len(value) for name, value in checkpoint["model"].items() if name.endswith("_c")}


def size(checkpoint):
    """Parameters in a checkpoint, tied ones once."""
    return sum({value.data_ptr(): value.numel() for value in parameters(checkpoint["model"]).values()}.values())
