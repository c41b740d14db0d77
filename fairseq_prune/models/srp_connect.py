"""Turning a stock Transformer into an SRP one, layer by layer."""

import torch
from fairseq.models.transformer import TransformerModel

from ..modules.attention import ConnectedAttention
from ..modules.connectivity import ConnectedLinear, Connectivity, InputScaledLinear, ScaledFeatures
from ..modules.layer_norm import ConnectedLayerNorm
from ..modules.positions import SelectedPositions


def connect(model: TransformerModel, shared: bool) -> tuple[dict[str, Connectivity], dict[str, int]]:
    """Replace layers of a stock Transformer by ones that read connectivity vectors.

    Args:
        model: a fairseq ``TransformerModel``; changed in place, parameters stay.
        shared: True if both sides share their embeddings and so their residual width.

    Returns:
        (dict of vector name -> :class:`~fairseq_prune.modules.connectivity.Connectivity`,
        dict of vector name -> heads, for those of attention blocks).
    """
    vectors, heads = {}, {}
    for side in ("encoder", "decoder"):
        module = getattr(model, side)
        width = module.embed_tokens.embedding_dim
        module.register_buffer("pos_emb_mask", torch.arange(width))
        if side == "encoder" or not shared:
            stream = vectors[f"{side}.embedding_c"] = Connectivity(module, "embedding_c", width)
        module.layernorm_embedding = ScaledFeatures(stream)  # fairseq's place for what follows the embedding
        if module.embed_positions is not None:
            module.embed_positions = SelectedPositions(module.embed_positions, module)
        for i, layer in module.layers.named_children():  # iterating draws lots where there is LayerDrop
            _connect_layer(layer, f"{side}.layers.{i}", stream, vectors, heads)
    return vectors, heads


def _connect_layer(layer, name, stream, vectors, heads):
    for attention in ("self_attn", "encoder_attn"):
        block = getattr(layer, attention, None)
        if block is not None:
            pair = [f"{attention}_qk_c", f"{attention}_vo_c"]
            readers = [Connectivity(layer, c, block.embed_dim) for c in pair]
            setattr(layer, attention, ConnectedAttention(block, *readers))
            for c, reader in zip(pair, readers, strict=True):
                vectors[f"{name}.{c}"], heads[f"{name}.{c}"] = reader, block.num_heads
    for norm in ("self_attn_layer_norm", "encoder_attn_layer_norm", "final_layer_norm"):
        if hasattr(layer, norm):
            setattr(layer, norm, ConnectedLayerNorm(getattr(layer, norm), stream))
    neurons = vectors[f"{name}.fc_c"] = Connectivity(layer, "fc_c", layer.fc2.in_features)
    layer.fc1, layer.fc2 = ConnectedLinear(layer.fc1), InputScaledLinear(layer.fc2, neurons)
