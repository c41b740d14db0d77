"""The FLOPs formula of the original SRP code, faults included, for comparison with its published numbers.

A multiplication and its addition are two FLOPs; per element, dropout costs 4, a norm 5, activation and
softmax 8. Its faults are kept: each decoder layer counts at full length for every target position (no
cache), cross-attention has the widths of self-attention, the context and output products have the width
of the embedding, the norm after attention costs 5 in all, and the output projection has a bias. It takes
one length for both sides. :func:`~.cost.count_macs` counts what is really multiplied. Source: the formula
of the original SRP code, ``src/flops_counter.py`` of snudm-starlab/SRP.
"""

import re
from collections.abc import Mapping
from typing import Any

from ..families.macs import find_cost
from .cost import matrix_shapes

OUTPUTS = ("decoder.output_projection.weight", "decoder.embed_tokens.weight")


def attention_flops(width: int, qk: int, vo: int, heads: int, tokens: int) -> int:
    """FLOPs of one attention block with its norm.

    Args:
        width: embedding width.
        qk: width of queries and keys, all heads together.
        vo: width of values, all heads together.
        heads: attention heads (count).
        tokens: length of the sentence (count).

    Returns:
        FLOPs for one sentence (count).
    """
    projections = 2 * (2 * width * qk + qk) + (2 * width * vo + vo) + (2 * width * width + width)
    products = 2 * qk * tokens + 2 * width * tokens
    softmax = (8 + 4 + 1) * tokens * heads  # with dropout and scaling
    return tokens * (projections + products + softmax + 4 * width + width + 5)


def feed_forward_flops(width: int, hidden: int, tokens: int) -> int:
    """FLOPs of one feed-forward block of ``hidden`` units with its norm, for one sentence (count)."""
    return tokens * ((2 * width * hidden + hidden) + 8 * hidden + (2 * hidden * width + width) + 10 * width)


def _stack(side, blocks, shapes, heads, tokens):
    """FLOPs of the layers of one side, each with ``blocks`` attention blocks as wide as its self-attention."""
    flops = 0
    for name, shape in shapes.items():
        if layer := re.fullmatch(rf"({side}\.layers\.\d+\.)fc1\.weight", name):
            hidden, width = shape
            qk, vo = (shapes[f"{layer[1]}self_attn.{part}_proj.weight"][0] for part in "qv")
            flops += blocks * attention_flops(width, qk, vo, heads, tokens) + feed_forward_flops(width, hidden, tokens)
    return flops


def legacy_flops(model_state: Mapping[str, Any], heads: int | None, tokens: int) -> int:
    """FLOPs of one sentence by the original formula, at the widths of each stored layer.

    Args:
        model_state: mapping of names to tensors, as in ``checkpoint["model"]``.
        heads: attention heads of the encoder, assumed for all blocks (count).
        tokens: length of source and target (count).

    Returns:
        FLOPs (count); 99,518,469,500 for ``srp_iwslt_de_en`` with 4 heads, 50 tokens and 6632 words.

    Raises:
        ValueError: the model is not an encoder-decoder Transformer with one output matrix, or ``heads`` is unknown.
    """
    shapes = matrix_shapes(model_state)
    cost, output = find_cost(shapes), next((shapes[name] for name in OUTPUTS if name in shapes), None)
    if cost is None or cost.name != "transformer" or output is None:
        found = cost.name if cost else "unknown"
        raise ValueError(f"--legacy-flops: family {found!r} has none, only encoder-decoder ones, e.g. 'transformer'")
    if not heads:
        raise ValueError(f"--legacy-flops: the checkpoint says encoder_attention_heads is {heads!r}, not e.g. 4")
    words, width = output
    encoder, decoder = _stack("encoder", 1, shapes, heads, tokens), _stack("decoder", 2, shapes, heads, tokens)
    return encoder + tokens * decoder + tokens * (2 * width * words + words)
