"""Masks as packed bits."""

import io
import itertools
import math

import pytest
import torch

from fairseq_prune.pruning.masks import checksum, pack_mask, unpack_mask

SHAPES = [(), (1,), (7,), (8,), (9,), (0, 3), (3, 5), (2, 3, 4), (4, 1, 2, 5)]


def test_round_trip():
    generator = torch.Generator().manual_seed(1)
    for shape, fraction in itertools.product(SHAPES, (0.0, 0.3, 1.0)):
        keep = torch.rand(shape, generator=generator) < fraction
        packed = pack_mask(keep)
        assert packed["keep"].dtype == torch.uint8 and packed["keep"].numel() == math.ceil(keep.numel() / 8)
        back = unpack_mask(packed)
        assert back.dtype == torch.bool and torch.equal(back, keep)


def test_the_layout_in_memory_does_not_matter():
    keep = torch.arange(12).view(3, 4) % 5 > 1
    assert torch.equal(unpack_mask(pack_mask(keep.t())), keep.t())
    row = keep[:, :1].expand(3, 4)
    assert torch.equal(unpack_mask(pack_mask(row)), row)


def test_packed_masks_are_plain_values():
    file = io.BytesIO()
    torch.save(pack_mask(torch.tensor([[True, False, True]])), file)
    file.seek(0)
    assert unpack_mask(torch.load(file, weights_only=True)).tolist() == [[True, False, True]]


def test_bits_that_do_not_fill_the_shape_are_refused():
    packed = pack_mask(torch.ones(16, dtype=torch.bool))
    for shape in ([17], [8], [3, 3, 3]):
        with pytest.raises(ValueError, match="2 bytes does not fit shape"):
            unpack_mask({**packed, "shape": shape})


def test_checksum_sees_every_bit_and_name():
    a, b = torch.tensor([True, False, True]), torch.tensor([[True], [True]])
    number = checksum({"a": a, "b": b})
    assert number == checksum({"b": b.clone(), "a": unpack_mask(pack_mask(a))})
    assert 0 <= number < 2**32
    others = [checksum({"a": a}), checksum({"a": a, "c": b}), checksum({})]
    for i in range(3):
        flipped = a.clone()
        flipped[i] = ~flipped[i]
        others.append(checksum({"a": flipped, "b": b}))
    assert number not in others and len(set(others)) == len(others)
