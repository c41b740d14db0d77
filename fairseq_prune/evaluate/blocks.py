"""Features and targets of a split, in blocks."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from fairseq.models import BaseFairseqModel
from torch import Tensor

from ..engine.columns import chunk, num_chunks
from .output import output_module

Blocks = Callable[[BaseFairseqModel], Iterator[tuple[Tensor, Tensor]]]  # -> float [n, width], int64 [n]


def column_blocks(columns: Tensor, pad: int, count: int = 20) -> Blocks:
    """Walk the columns of a stream with carried state, from zeros.

    Args:
        columns: int64 [columns, rows + 1], from :func:`~fairseq_prune.engine.columns.lay_out`.
        pad: target that does not count.
        count: blocks to divide the rows into; the result does not depend on it.

    Returns:
        function of a model -> iterator over (features float [n, width], targets int64 [n]).
    """
    length = max(1, -(-(columns.size(1) - 1) // count))

    def walk(model):
        state = None
        for index in range(num_chunks(columns, length)):
            inputs, targets = chunk(columns, index, length)
            features, state = model.decoder.extract_features(inputs, state)
            yield _counted(features, targets, pad)

    return walk


def batch_blocks(samples: Iterable[dict[str, Any]], pad: int) -> Blocks:
    """One block a batch, each from its own start.

    Args:
        samples: list of fairseq batches.
        pad: target that does not count.

    Returns:
        as :func:`column_blocks`.
    """

    def walk(model):
        for sample in samples:
            yield _counted(_features(model, sample["net_input"]), sample["target"], pad)

    return walk


def _features(model, inputs):
    decoder, tokens, encoded = model.decoder, inputs["src_tokens"], None
    if hasattr(model, "encoder"):
        encoded = model.encoder(tokens, src_lengths=inputs["src_lengths"])
        tokens = inputs["prev_output_tokens"]
    try:
        return decoder.extract_features(tokens, encoded)[0]
    except NotImplementedError:  # of convolutional decoders
        return _given(output_module(decoder), lambda: decoder(tokens, encoded))


def _given(layer, run):
    """The input of a layer while a function runs."""
    seen = []
    handle = layer.register_forward_pre_hook(lambda layer, given: seen.extend(given))
    try:
        run()
    finally:
        handle.remove()
    return seen[0]


def _counted(features, targets, pad):
    keep = targets != pad
    return features[keep], targets[keep]
