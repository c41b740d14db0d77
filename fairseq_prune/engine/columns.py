"""A stream of tokens as contiguous columns, which a recurrent model reads side by side."""

import torch
from torch import Tensor


def lay_out(stream: Tensor, count: int, pad: int, drop_remainder: bool = False) -> Tensor:
    """Divide a stream into columns, so that no target is lost and none counts twice.

    The stream's ``len - 1`` pairs (token, next token) are split into ``count`` runs, whose lengths
    differ by at most 1; the longer ones come first. A column is a run's first token and its targets,
    so its last target is also the first input of the next column. What is missing at the end of the
    shorter columns is a ``pad`` target. All tokens but the stream's first are a target exactly once.

    Source: the reference layout of SiPO's language model, as in PyTorch's word_language_model, drops
    ``len % count`` tokens and has no target for the first token of any column; ``drop_remainder``.

    Args:
        stream: int64 tensor [length], lines one after the other with their ends.
        count: columns (count).
        pad: index that the criterion ignores.
        drop_remainder: use the reference layout.

    Returns:
        int64 tensor [count, rows + 1]; inputs are ``[:, :-1]``, targets ``[:, 1:]``.

    Raises:
        ValueError: the stream is too short for each column to have a target.

    Example:
        >>> lay_out(torch.arange(10, 18), 3, pad=1).tolist()
        [[10, 11, 12, 13], [13, 14, 15, 1], [15, 16, 17, 1]]
        >>> lay_out(torch.arange(10, 18), 3, pad=1, drop_remainder=True).tolist()
        [[10, 11], [12, 13], [14, 15]]
    """
    pairs = len(stream) - 1
    most = len(stream) // 2 if drop_remainder else pairs
    if count < 1 or count > most:
        raise ValueError(f"{count} columns of {len(stream)} tokens: give at least 1 and at most {max(most, 1)}")
    if drop_remainder:
        return stream[: len(stream) // count * count].view(count, -1)
    lengths = pairs // count + (torch.arange(count, device=stream.device) < pairs % count).long()
    starts = lengths.cumsum(0) - lengths
    offsets = torch.arange(int(lengths[0]) + 1, device=stream.device)
    positions = (starts[:, None] + offsets).clamp(max=pairs)
    return stream[positions].masked_fill(offsets > lengths[:, None], pad)


def num_chunks(columns: Tensor, length: int) -> int:
    """Chunks of at most ``length`` rows that columns [count, rows + 1] are walked in (count)."""
    return -(-(columns.size(1) - 1) // length)


def chunk(columns: Tensor, index: int, length: int) -> tuple[Tensor, Tensor]:
    """One step of the walk down the columns.

    Args:
        columns: from :func:`lay_out`.
        index: of the chunk, from 0.
        length: rows of a chunk (count); the last one may be shorter.

    Returns:
        ``(inputs, targets)``, each int64 [count, at most length]. The last target of a chunk is the
        first input of the next.
    """
    piece = columns[:, index * length : (index + 1) * length + 1]
    return piece[:, :-1], piece[:, 1:]
