"""A split of a corpus as one stream of tokens, and the batches in which its columns are read."""

from collections.abc import Sequence

import torch
from fairseq.data import FairseqDataset
from torch import Tensor

from ..engine.columns import chunk, lay_out, num_chunks


class TokenStream(FairseqDataset):
    """All lines of a split one after the other, each with its end of sentence.

    Args:
        lines: dataset of int64 tensors [length].

    Attributes:
        tokens: int64 tensor [length of the split].
    """

    def __init__(self, lines: Sequence[Tensor]):
        self.tokens = torch.cat([lines[index] for index in range(len(lines))])
        self._in_columns: dict[tuple, ColumnDataset] = {}

    def __len__(self):
        return len(self.tokens)

    def in_columns(self, count: int, length: int, pad: int, drop_remainder: bool) -> "ColumnDataset":
        """The :class:`ColumnDataset` of these columns, always the same object.

        See there, and :func:`~fairseq_prune.engine.columns.lay_out`, for the arguments and errors.
        """
        key = count, length, pad, drop_remainder
        if key not in self._in_columns:
            self._in_columns[key] = ColumnDataset(lay_out(self.tokens, count, pad, drop_remainder), length, pad)
        return self._in_columns[key]


class ColumnDataset(FairseqDataset):
    """The columns of a stream, chunk by chunk; an item is a whole batch.

    Args:
        columns: int64 tensor [count, rows + 1].
        length: rows of a chunk (count).
        pad: index of targets that do not count.
    """

    def __init__(self, columns: Tensor, length: int, pad: int):
        self.columns, self.length, self.pad = columns, length, pad

    def __len__(self):
        return num_chunks(self.columns, self.length)

    def __getitem__(self, index):
        """fairseq's sample, and whether the stream begins or ends here.

        Tokens and targets are [count, at most ``length``]; ``ntokens`` counts true targets.
        """
        inputs, targets = chunk(self.columns, index, self.length)
        count, length = inputs.shape
        return {
            "id": torch.arange(count),
            "nsentences": count,
            "ntokens": int((targets != self.pad).sum()),
            "net_input": {"src_tokens": inputs.contiguous(), "src_lengths": torch.full((count,), length)},
            "target": targets.contiguous(),
            "begins": index == 0,
            "ends": index == len(self) - 1,
        }

    def batch_by_size(self, indices, **limits):
        """One chunk a batch, in order."""
        return [[index] for index in indices]

    def collater(self, samples):
        (sample,) = samples
        return sample
