"""Plain layers as a CTranslate2 model.

Its C++ code (as of version 4.8.5) demands: the same number of heads in all layers of a side; the same width
of queries, keys and values in all heads of a block, and the width of the stream if there is only one head;
no layer of width 0. What is missing is padded with zeros, which is exact: a score, a value or a neuron that
is 0 adds nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from .layers import Linear, Transformer

if TYPE_CHECKING:
    from ctranslate2.specs.transformer_spec import TransformerDecoderModelSpec, TransformerSpec


ACTIVATIONS = {  # fairseq's name -> CTranslate2's
    "relu": "RELU",
    "gelu": "GELU",
    "gelu_accurate": "GELUTanh",
    "gelu_fast": "GELUTanh",
    "tanh": "Tanh",
}


def specification(transformer: Transformer) -> TransformerSpec | TransformerDecoderModelSpec:
    """CTranslate2's specification of a model, without vocabularies.

    Args:
        transformer: the model as plain layers.

    Returns:
        ``TransformerSpec``, or ``TransformerDecoderModelSpec`` for a language model.

    Raises:
        ValueError: CTranslate2 has no such layer.
    """
    from ctranslate2.specs import transformer_spec as specs

    encoder, decoder = transformer.encoder, transformer.decoder
    if encoder and not all(layer.source for layer in decoder.layers):
        raise ValueError("--no-cross-attention: CTranslate2 has no decoder that is blind to its encoder")
    target = specs.TransformerDecoderSpec(
        with_encoder_attention=encoder is not None,
        project_in_out=any(decoder.project),
        **_options(decoder, transformer.activation),
    )
    _fill_decoder(target, decoder)
    if encoder is None:
        spec = specs.TransformerDecoderModelSpec(target)
    else:
        source = specs.TransformerEncoderSpec(**_options(encoder, transformer.activation))
        _fill(source, encoder)
        source.embeddings[0].weight = encoder.words.numpy()
        spec = specs.TransformerSpec(source, target)
    spec.config.layer_norm_epsilon = decoder.layers[0].neurons.norm.eps
    return spec


def _options(side, activation):
    from ctranslate2.specs.common_spec import Activation

    if activation not in ACTIVATIONS:
        raise ValueError(f"--activation-fn {activation}: CTranslate2 has none such; it has {', '.join(ACTIVATIONS)}")
    if side.last_norm and not side.pre_norm:
        raise ValueError("a layer norm after post-norm layers has no place in CTranslate2")
    return {
        "num_layers": len(side.layers),
        "num_heads": _heads(side),
        "pre_norm": side.pre_norm,
        "no_final_norm": side.last_norm is None,
        "activation": Activation[ACTIVATIONS[activation]],
        "layernorm_embedding": side.embedding_norm is not None,
    }


def _heads(side):
    """Number of heads for all blocks of a side: at least two if a block is narrower than the stream, since
    CTranslate2 assumes that a single head is as wide as the stream."""
    blocks = [block for layer in side.layers for block in (layer.itself, layer.source) if block]
    narrow = any(max(len(b.query.weight), len(b.value.weight)) < len(b.output.weight) for b in blocks)
    return max(1 + narrow, *(block.heads for block in blocks))


def _fill_decoder(spec, side):
    _fill(spec, side)
    spec.embeddings.weight = side.words.numpy()
    _linear(spec.projection, side.output)
    for into, way in zip(("project_in", "project_out"), side.project, strict=True):
        if any(side.project):
            _linear(getattr(spec, into), way or Linear(torch.eye(side.positions.shape[1])))


def _fill(spec, side):
    spec.scale_embeddings = side.factor
    spec.position_encodings.encodings = side.positions.numpy()
    for norm, name in ((side.embedding_norm, "layernorm_embedding"), (side.last_norm, "layer_norm")):
        if norm:
            _norm(getattr(spec, name), norm)
    for into, layer in zip(spec.layer, side.layers, strict=True):
        _attention(into.self_attention, layer.itself, _heads(side))
        if layer.source:
            _attention(into.attention, layer.source, _heads(side))
        _norm(into.ffn.layer_norm, layer.neurons.norm)
        neurons = max(1, len(layer.neurons.inner.weight))
        _linear(into.ffn.linear_0, _padded_rows(layer.neurons.inner, 1, neurons, 1))
        _linear(into.ffn.linear_1, _padded_columns(layer.neurons.outer, 1, neurons, 1))


def _attention(spec, block, heads):
    _norm(spec.layer_norm, block.norm)
    spec.queries_scale = block.factor
    width = max(1, *(len(part.weight) // block.heads for part in (block.query, block.value)))
    parts = [_padded_rows(part, block.heads, width, heads) for part in (block.query, block.key, block.value)]
    if len(spec.linear) == 3:  # attention to the encoder, which may have another width
        _linear(spec.linear[0], parts.pop(0))
    _linear(spec.linear[-2], _joined(parts))
    _linear(spec.linear[-1], _padded_columns(block.output, block.heads, width, heads))


def _padded_rows(linear, heads, width, all_heads):
    """Pad with zeros until ``all_heads`` heads have ``width`` outputs each."""
    bias = None if linear.bias is None else _by_head(linear.bias, heads, width, all_heads)
    return Linear(_by_head(linear.weight, heads, width, all_heads), bias)


def _padded_columns(linear, heads, width, all_heads):
    """Pad with zeros until ``all_heads`` heads have ``width`` inputs each."""
    return Linear(_by_head(linear.weight.T, heads, width, all_heads).T.contiguous(), linear.bias)


def _by_head(tensor, heads, width, all_heads):
    split = tensor.reshape(heads, len(tensor) // heads, *tensor.shape[1:])
    grown = split.new_zeros(all_heads, width, *split.shape[2:])
    grown[:heads, : split.shape[1]] = split
    return grown.flatten(0, 1)


def _joined(parts):
    biases = [part.weight.new_zeros(len(part.weight)) if part.bias is None else part.bias for part in parts]
    return Linear(torch.cat([part.weight for part in parts]), torch.cat(biases))


def _linear(spec, linear):
    spec.weight = linear.weight.numpy()
    if linear.bias is not None:
        spec.bias = linear.bias.numpy()


def _norm(spec, norm):
    spec.gamma, spec.beta = norm.scale.numpy(), norm.shift.numpy()
