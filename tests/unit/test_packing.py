"""Packed tensors and state dicts: bits and numbers that come back, and files that lie about them."""

import itertools
from collections import OrderedDict

import pytest
import torch
from conftest import same_tensors

from fairseq_prune.compat import load_checkpoint
from fairseq_prune.pruning.masks import METADATA_KEY, store_masks, stored_masks
from fairseq_prune.pruning.packed_state import PACKED, pack_checkpoint, unpack_checkpoint
from fairseq_prune.pruning.packing import pack_tensor, unpack_tensor

DTYPES = [torch.float32, torch.float64, torch.float16, torch.bfloat16]
SHAPES = [(4000,), (37, 111), (7, 1, 600), (8, 5, 10, 10)]


def sparse(shape, left, seed=1, dtype=torch.float32):
    """Random numbers, of which exactly a fraction is not zero."""
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(shape, generator=generator).to(dtype)
    order = torch.randperm(values.numel(), generator=generator)
    values.view(-1)[order[round(left * values.numel()) :]] = 0
    return values


def bits(tensor):
    return tensor.contiguous().view(torch.uint8)


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_bit_comes_back(dtype):
    for shape, left in itertools.product(SHAPES, (0.0, 0.1, 0.6)):
        tensor = sparse(shape, left, dtype=dtype)
        values, note = pack_tensor(tensor)
        assert values.shape == (int(tensor.count_nonzero()),) and values.dtype == dtype
        assert torch.equal(bits(unpack_tensor(values, note)), bits(tensor))


def test_odd_numbers_come_back_and_zeros_lose_their_sign():
    tensor = torch.zeros(50, 100)
    tensor[0, :4] = torch.tensor([float("nan"), float("inf"), -0.0, 1e-45])
    back = unpack_tensor(*pack_tensor(tensor))
    tensor[0, 2] = 0.0
    assert torch.equal(bits(back), bits(tensor)) and not back.signbit()[0, 2]


def test_other_layouts_in_memory():
    tensor = sparse((60, 80), 0.1).t()
    assert torch.equal(unpack_tensor(*pack_tensor(tensor)), tensor)


@pytest.mark.parametrize(
    "tensor", [torch.ones(100, 100), sparse((100, 100), 0.97), torch.zeros(100), torch.zeros(9999).long()]
)
def test_what_would_not_get_smaller_stays(tensor):
    values, note = pack_tensor(tensor)
    assert values is tensor and note is None


class TestHalf:
    def test_numbers_are_rounded(self):
        tensor = sparse((100, 100), 0.1)
        values, note = pack_tensor(tensor, half=True)
        back = unpack_tensor(values, note)
        assert (values.dtype, back.dtype) == (torch.float16, torch.float32)
        assert torch.equal(back, tensor.half().float()) and not torch.equal(back, tensor)

    def test_dense_ones_too_but_no_vectors(self):
        tensor = torch.rand(100, 100)
        values, note = pack_tensor(tensor, half=True)
        assert values.shape == tensor.shape and torch.equal(unpack_tensor(values, note), tensor.half().float())
        assert pack_tensor(torch.rand(10_000), half=True)[1] is None

    def test_a_number_too_large_for_it_stays(self):
        tensor = sparse((100, 100), 0.1)
        tensor[0, 0] = 1e6
        assert torch.equal(unpack_tensor(*pack_tensor(tensor, half=True)), tensor)


def state_of(left=0.1):
    """A state dict with a masked matrix under two names, one with zeros but no mask, and what stays as it is."""
    state = OrderedDict(
        emb=sparse((300, 40), left, 2), bias=torch.arange(40.0), fc=sparse((40, 200), left, 3),
        steps=torch.zeros(5000, dtype=torch.long),
    )  # fmt: skip
    state["out"] = state["emb"]
    state._metadata = OrderedDict({"": {"version": 1}, "fc": {"version": 2}})
    store_masks(state._metadata, {"emb": state["emb"] != 0})
    return state


@pytest.fixture
def saved(tmp_path):
    """Save a checkpoint, and read it as it is stored and as it is used."""

    def save(checkpoint):
        torch.save(checkpoint, tmp_path / "packed.pt")
        return tmp_path / "packed.pt"

    return save


class TestState:
    def test_round_trip_through_a_file(self, saved):
        state = state_of()
        path = saved(pack_checkpoint({"model": state, "extra_state": {"a": 1}}))
        stored, back = load_checkpoint(path, unpack=False), load_checkpoint(path)
        assert list(back) == ["model", "extra_state"] and same_tensors(back["model"], state)
        assert list(back["model"]) == list(state)
        assert back["model"]._metadata[""]["version"] == 1 and back["model"]._metadata["fc"] == {"version": 2}
        assert same_tensors(stored_masks(back["model"]), stored_masks(state))
        assert stored[PACKED].keys() == {"emb", "fc", "out"}

    def test_ties(self, saved):
        path = saved(pack_checkpoint({"model": state_of()}))
        stored, back = load_checkpoint(path, unpack=False)["model"], load_checkpoint(path)["model"]
        assert stored["emb"].data_ptr() == stored["out"].data_ptr() != stored["fc"].data_ptr()
        assert back["emb"].data_ptr() == back["out"].data_ptr() != back["fc"].data_ptr()

    def test_mask_and_tensor_share_their_bits(self, saved):
        stored = load_checkpoint(saved(pack_checkpoint({"model": state_of()})), unpack=False)
        mask = stored["model"]._metadata[""][METADATA_KEY]["emb"]
        assert stored[PACKED]["out"]["keep"].data_ptr() == mask["keep"].data_ptr()

    def test_a_mask_over_numbers_that_are_there_is_not_trusted(self):
        state = state_of()
        state["emb"][0, :] = 1.0
        packed = pack_checkpoint({"model": state})
        assert same_tensors(unpack_checkpoint(packed)["model"], state)
        assert packed[PACKED]["emb"] is not state._metadata[""][METADATA_KEY]["emb"]

    def test_nothing_is_modified(self):
        checkpoint = {"model": state_of()}
        pack_checkpoint(checkpoint)
        assert checkpoint.keys() == {"model"} and same_tensors(checkpoint["model"], state_of())

    @pytest.mark.parametrize(("left", "limit"), [(0.1, 0.16), (0.04, 0.09)])
    def test_size(self, saved, left, limit):
        state = OrderedDict({f"layer{i}.weight": sparse((512, 256), left, i) for i in range(4)}, bias=torch.rand(512))
        state._metadata = OrderedDict({"": {}})
        store_masks(state._metadata, {name: value != 0 for name, value in state.items()})
        dense = 4 * sum(value.numel() for value in state.values())
        packed = saved(pack_checkpoint({"model": state})).stat().st_size
        assert left + 1 / 32 < packed / dense < limit
        half = saved(pack_checkpoint({"model": state}, half=True)).stat().st_size
        assert left / 2 + 1 / 32 < half / dense < limit - left / 2
        assert saved({"model": state}).stat().st_size > dense  # control


def shared_bits(packed):
    """Many tensors of 32 MB, of one megabyte of bits."""
    keep = torch.zeros(1 << 20, dtype=torch.uint8)
    for i in range(24):
        packed["model"][f"x{i}"] = torch.zeros(0)
        packed[PACKED][f"x{i}"] = {"shape": [1 << i, 1 << (23 - i)], "keep": keep}


LIES = {
    "no mapping": (lambda p: p.update({PACKED: 3}), "its packed is not a mapping"),
    "no such tensor": (lambda p: p[PACKED].update(other=p[PACKED]["fc"]), "other is packed in it, but not there"),
    "no note": (lambda p: p[PACKED].update(fc=3), "packed fc is damaged: it does not say how"),
    "empty note": (lambda p: p[PACKED].update(fc={}), "packed fc is damaged: it does not say how"),
    "no bits": (lambda p: p[PACKED].update(fc={"shape": [8], "keep": 1}), "fc is damaged: it does not say how"),
    "dtype": (lambda p: p[PACKED].update(fc={"dtype": "object"}), "packed fc is damaged: it does not say how"),
    "list dtype": (lambda p: p[PACKED].update(fc={"dtype": []}), "packed fc is damaged: it does not say how"),
    "negative": (lambda p: p[PACKED]["fc"].update(shape=[-1, -8000]), "packed fc is damaged: it does not say how"),
    "too few numbers": (lambda p: p["model"].update(fc=p["model"]["fc"][1:]), "799 numbers do not fill 800 places"),
    "too many": (lambda p: p["model"].update(fc=torch.rand(900)), "900 numbers do not fill 800 places"),
    "matrix": (lambda p: p["model"].update(fc=p["model"]["fc"].view(2, 400)), "800 numbers do not fill 800 places"),
    "integers": (lambda p: p["model"].update(fc=torch.ones(800).long()), "numbers do not fill"),
    "another shape": (lambda p: p[PACKED]["fc"].update(shape=[40, 100]), "a mask of 1000 bytes does not fit"),
    "a larger shape": (lambda p: p[PACKED]["fc"].update(shape=[40, 300]), "a mask of 1000 bytes does not fit"),
    "huge": (lambda p: p[PACKED]["fc"].update(shape=[1 << 30, 1 << 30]), "packed bytes cannot stand for 4,611,"),
    "overflow": (lambda p: p[PACKED]["fc"].update(shape=[1 << 70, 0]), "does not fit"),
    "shared": (shared_bits, "packed bytes cannot stand for"),
    "stretched": (lambda p: p["model"].update(fc=torch.ones(1).expand(800)), "without its numbers"),
}


@pytest.mark.parametrize("lie", LIES)
def test_lies(saved, lie):
    change, reason = LIES[lie]
    packed = pack_checkpoint({"model": state_of()})
    packed["model"]["fc"] = packed["model"]["fc"].clone()
    packed[PACKED]["fc"] = dict(packed[PACKED]["fc"])
    load_checkpoint(saved(packed))  # control
    change(packed)
    with pytest.raises(ValueError, match=f"packed.pt: not a readable fairseq checkpoint .*{reason}") as error:
        load_checkpoint(saved(packed))
    assert str(error.value).isprintable()
