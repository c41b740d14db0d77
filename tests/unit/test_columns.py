"""A stream in columns: every target exactly once, however it is cut into chunks."""

import doctest
from collections import Counter

import pytest
import torch

from fairseq_prune.engine import columns as module
from fairseq_prune.engine.columns import chunk, lay_out, num_chunks

PAD = 1
LAYOUTS = [(17, 1), (17, 4), (17, 5), (18, 4), (100, 20), (21, 20), (5, 4)]  # tokens of the stream, columns


def stream(length):
    """Tokens that are all different, so that a pair (token, next) says where it is from."""
    return torch.arange(10, 10 + length)


def pairs(columns, length):
    """All (input, target) that count, in the order in which chunks of a length give them."""
    for index in range(num_chunks(columns, length)):
        for inputs, targets in zip(*chunk(columns, index, length), strict=True):
            yield from ((a, b) for a, b in zip(inputs.tolist(), targets.tolist(), strict=True) if b != PAD)


@pytest.mark.parametrize(("length", "count"), LAYOUTS)
@pytest.mark.parametrize("rows", [1, 2, 3, 7, 1000])
def test_every_target_exactly_once(length, count, rows):
    found = Counter(pairs(lay_out(stream(length), count, PAD), rows))
    assert found == Counter((t, t + 1) for t in range(10, 10 + length - 1))


@pytest.mark.parametrize(("length", "count"), LAYOUTS)
def test_columns_are_contiguous_and_even(length, count):
    columns = lay_out(stream(length), count, PAD)
    short = columns[:, -1] == PAD
    targets = columns.size(1) - 1 - short.long()
    assert columns.dtype == torch.int64 and len(columns) == count
    assert not (columns[:, :-1] == PAD).any()  # no input is padding
    assert targets.sum() == length - 1 and targets.max() - targets.min() <= 1
    assert targets.tolist() == sorted(targets.tolist(), reverse=True)
    for column, number in zip(columns, targets, strict=True):
        assert column[: number + 1].diff().eq(1).all()
    ends = torch.where(short, columns[:, -2], columns[:, -1])
    assert torch.equal(ends[:-1], columns[1:, 0])  # no target lost between columns


@pytest.mark.parametrize("rows", [1, 3, 1000])
def test_reference_layout(rows):
    """18 tokens in 4 columns of 4: two tokens are dropped, and 4 first tokens are no targets."""
    columns = lay_out(stream(18), 4, PAD, drop_remainder=True)
    assert columns.tolist() == [[10, 11, 12, 13], [14, 15, 16, 17], [18, 19, 20, 21], [22, 23, 24, 25]]
    found = sorted(pairs(columns, rows))
    assert found == [(t, t + 1) for t in range(10, 25) if t not in (13, 17, 21)]
    assert len(found) == (18 // 4 - 1) * 4 != 17


def test_chunks():
    columns = lay_out(stream(18), 2, PAD)  # 9 + 8 targets
    assert [num_chunks(columns, rows) for rows in (1, 4, 8, 9, 10)] == [9, 3, 2, 1, 1]
    pieces = [chunk(columns, index, 4) for index in range(3)]
    assert [inputs.shape for inputs, _ in pieces] == [(2, 4), (2, 4), (2, 1)]
    assert pieces[0][1][0].tolist() == [11, 12, 13, 14] and pieces[1][0][0, 0] == 14  # across the border
    assert pieces[2][1].tolist() == [[19], [PAD]]


@pytest.mark.parametrize(("length", "count", "drop", "most"), [
    (4, 4, False, 3), (4, 3, True, 2), (4, 0, False, 3), (1, 1, False, 1), (0, 1, True, 1),
])  # fmt: skip
def test_too_short(length, count, drop, most):
    with pytest.raises(ValueError, match=f"{count} columns of {length} tokens: give at least 1 and at most {most}"):
        lay_out(stream(length), count, PAD, drop)
    if length > 1:
        assert len(lay_out(stream(length), most, PAD, drop)) == most


def test_examples():
    result = doctest.testmod(module)
    assert result.attempted == 2 and not result.failed
