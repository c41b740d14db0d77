"""Channel permutation of structures written by hand: what may be permuted, and how tensors follow."""

import pytest
import torch
from permutations import permute_state, search, uniform
from torch import nn

from fairseq_prune.pruning.permute.apply import permute_tensor, permuted
from fairseq_prune.pruning.permute.search import kept
from fairseq_prune.pruning.permute.stack import stack
from fairseq_prune.pruning.surgery.cut import entries
from fairseq_prune.pruning.surgery.structure import Coupled, Structure
from fairseq_prune.pruning.surgery.table import Owner


def table_of(vectors, **table):
    return Structure({entry: tuple(owners) for entry, owners in table.items()}, {v.name: v for v in vectors})


def vector(name, length, *readers):
    return Coupled(name, "channel", length, (), readers)


def elements(*units):
    return torch.tensor(units)


def test_units_that_own_several_places():
    """A flattened map moves as a whole; two copies one after the other move alike."""
    tensor = torch.arange(6)
    flat = Owner(0, "v", elements(0, 0, 1, 1, 2, 2))
    assert permute_tensor(tensor, [flat], {"v": elements(2, 0, 1)}).tolist() == [4, 5, 0, 1, 2, 3]
    copies = Owner(0, "v", elements(0, 1, -1, 0, 1, -1))
    assert permute_tensor(tensor, [copies], {"v": elements(1, 0)}).tolist() == [1, 0, 2, 4, 3, 5]
    assert permute_tensor(tensor, [copies], {"w": elements(1, 0)}) is tensor


GROUPS = {  # elements of a reader's axis under 2:4 -> whether eight units may be permuted, rows of a row
    "plain": (None, 1),
    "beside others": (torch.cat([torch.full((4,), -1), torch.arange(8)]), 1),
    "astride others": (torch.cat([torch.full((2,), -1), torch.arange(8), torch.full((2,), -1)]), None),
    "twice": (torch.arange(8).repeat(2), 2),
    "flat, one unit to a group": (torch.arange(8).repeat_interleave(4), None),
    "flat, two units to a group": (torch.arange(8).repeat_interleave(2), None),
    "no multiple": (torch.cat([torch.arange(8), torch.full((1,), -1)]), None),
    "two of some": (torch.cat([torch.arange(8), torch.arange(4)]), None),
}


@pytest.mark.parametrize("name", GROUPS)
def test_groups(name):
    of_each, rows = GROUPS[name]
    size = 8 if of_each is None else len(of_each)
    model = nn.Module()
    model.weight = nn.Parameter(uniform(6, size))
    structure = table_of([vector("v", 8, "weight")], weight=[Owner(1, "v", of_each)])
    orders = permuted(model, structure, 2, 4, torch.Generator())
    assert len(orders) == (rows is not None)
    if rows:
        matrix = stack(structure, "v", entries(model), 4)
        assert matrix.shape == (6 * rows, 8)
        after = permute_state({"weight": model.weight.detach()}, structure, orders)["weight"]
        assert kept(after, 2, 4) > kept(model.weight, 2, 4)


def test_only_sparse_readers_have_a_say():
    model = nn.Module()
    model.first, model.second = (nn.Parameter(uniform(6, 8, seed)) for seed in (1, 2))
    structure = table_of([vector("v", 8, "first", "second")], first=[Owner(1, "v")], second=[Owner(1, "v")])
    orders = {}
    for sparse in (("first",), ("second",), None, ()):
        orders[sparse] = permuted(model, structure, 2, 4, torch.Generator(), sparse).get("v")
    assert torch.equal(orders["first",], search(model.first, 2, 4)) and orders[()] is None
    assert torch.equal(orders[None], search(torch.cat([model.first, model.second]), 2, 4))


def test_convolutions_have_a_row_for_each_tap():
    model = nn.Module()
    model.weight = nn.Parameter(uniform(3, 8 * 9).view(3, 8, 3, 3))
    structure = table_of([vector("v", 8, "weight")], weight=[Owner(1, "v")])
    matrix = stack(structure, "v", entries(model), 4)
    rows = model.weight.permute(2, 3, 0, 1).reshape(27, 8)
    assert matrix.shape == rows.shape and {*map(tuple, matrix.tolist())} == {*map(tuple, rows.tolist())}


def test_a_tensor_with_another_name_stays():
    """What the table knows by one name only would be permuted in one place and not in the other."""
    model = nn.ModuleDict({"a": nn.Linear(8, 8), "b": nn.Linear(8, 8)})
    structure = table_of([vector("v", 8, "b.weight")], **{"a.weight": [Owner(0, "v")], "b.weight": [Owner(1, "v")]})
    assert permuted(model, structure, 2, 4, torch.Generator())
    model["c"] = model["a"]
    assert not permuted(model, structure, 2, 4, torch.Generator())
