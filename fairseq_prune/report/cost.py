r"""Multiply-accumulates of one sentence, from the tensor shapes of a stored model.

Counted are the products of activations with weights, and the two products of every attention block:
``width * queries * keys`` for the scores (width of the query projection), and the same for the context
(width of the value projection). A cut model is thus counted at its real widths. Not counted are lookups,
positions, biases, norms, activations and softmax. A multiplication and its addition are one MAC.

Decoding caches keys and values: each of the T target positions is computed once and attends to itself
and those before it, T (T + 1) / 2 pairs in each decoder self-attention (a teacher-forced pass computes
T x T); keys and values of the source are computed once. A single hypothesis is counted: a beam multiplies
the decoder's share. Vocabulary projections count every word; with adaptive inputs, each token is counted
as a frequent word (first band). The T positions of a causal convolution count, but not the k - 1 that
fairseq computes and throws away. Zeros count like any other weight: only smaller shapes cost less.
"""

import re
from collections.abc import Mapping
from math import prod
from typing import Any

from ..checkpoint.tensors import direction_name, parameters, scale_name
from ..families.macs import find_cost, terms_of

LENGTHS_HELP = "give two whole numbers above 0, source and target tokens, e.g. --lengths 25,25"


def parse_lengths(text: str) -> tuple[int, int]:
    """Read ``"25,25"``.

    Returns:
        (source tokens, target tokens), both > 0.

    Raises:
        ValueError: the text is anything else; the message names the option, the value and an example.
    """
    found = re.fullmatch(r"\s*(\d+)\s*,\s*(\d+)\s*", text)
    if not found or not int(found[1]) or not int(found[2]):
        raise ValueError(f"--lengths {text!r}: {LENGTHS_HELP}")
    return int(found[1]), int(found[2])


def matrix_shapes(model_state: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Shapes of the parameters with two or more axes, one entry for each product that a model computes.

    A weight-normalised pair becomes one plain weight, and a packed ``in_proj_weight`` [3d, d] of old
    checkpoints becomes its query, key and value thirds. Tied names stay: each is a separate product.

    Args:
        model_state: mapping of names to tensors, as in ``checkpoint["model"]``.

    Returns:
        dict of names to shapes.
    """
    tensors = parameters(model_state)
    shapes: dict[str, tuple[int, ...]] = {}
    for name, tensor in tensors.items():
        if tensor.dim() < 2 or direction_name(name) in tensors:
            continue
        if name.endswith(".in_proj_weight"):
            for part in "qkv":
                part_name = name.replace("in_proj_weight", f"{part}_proj.weight")
                shapes[part_name] = (tensor.shape[0] // 3, tensor.shape[1])
        else:
            shapes[name[:-2] if scale_name(name) in tensors else name] = tuple(tensor.shape)
    return shapes


def count_macs(
    model_state: Mapping[str, Any], source_tokens: int, target_tokens: int, sizes: Mapping[str, int] | None = None
) -> tuple[str, int] | tuple[None, None]:
    """Count the multiply-accumulates of one sentence (or sentence pair).

    Decoder-only models read only ``target_tokens``, encoder-only models only ``source_tokens``.

    Args:
        model_state: mapping of names to tensors, as in ``checkpoint["model"]``.
        source_tokens: length of the source (count).
        target_tokens: length of the target (count).
        sizes: dict of name -> elements that are multiplied (count), if not all are; None: all elements of all tensors.

    Returns:
        ``(family name, MACs)``, or ``(None, None)`` for a model of an unknown family.
    """
    shapes = matrix_shapes(model_state)
    cost = find_cost(shapes)
    if cost is None:
        return None, None
    left = sizes or {}
    terms = terms_of(cost, shapes, source_tokens, target_tokens)
    return cost.name, int(
        sum(n * (left.get(name, prod(shapes[name])) if axis is None else shapes[name][axis]) for name, n, axis in terms)
    )
