"""Reading a fairseq model, whether stock, pruned or cut, into plain layers."""

import torch
from fairseq.models import BaseFairseqModel
from fairseq.models.transformer import (
    TransformerDecoder,
    TransformerDecoderBase,
    TransformerEncoder,
    TransformerEncoderBase,
)
from fairseq.modules.transformer_layer import TransformerDecoderLayerBase, TransformerEncoderLayerBase
from fairseq.tasks import FairseqTask
from torch import nn

from ...checkpoint.load import load_model
from ...families import stacks_of
from ...pruning.masks import stored_masks
from ...pruning.surgery.depth import cut_layers, layers_of, without_anything
from .layers import Attention, FeedForward, Layer, Linear, Norm, Side, Transformer

BLOCKS = (TransformerEncoderLayerBase, TransformerDecoderLayerBase)
READABLE = (TransformerEncoderBase, TransformerEncoder, TransformerDecoderBase, TransformerDecoder)


def load_cut(path: str, task: FairseqTask) -> BaseFairseqModel:
    """The model of a checkpoint as its task builds it, without masked layers and, for SRP, without removed units."""
    model = load_model(path, task)
    if hasattr(model, "cuts_on_load"):
        model.cuts_on_load = True
        model.load_state_dict(model.state_dict())
    masks, names = stored_masks(model.state_dict()), [name for name, _ in model.named_parameters()]
    lengths = {stack: len(layers_of(model, stack)) for stack in stacks_of(model)}
    cut_layers(model, {stack: ~without_anything(names, stack, count, masks) for stack, count in lengths.items()})
    return model


def read_transformer(model: BaseFairseqModel, activation: str) -> Transformer:
    """Read a Transformer: encoder and decoder, or a language model's decoder.

    The connectivity of SRP models is folded into the adjacent weights.

    Args:
        model: fairseq model.
        activation: name of the activation function of its feed-forward blocks.

    Returns:
        :class:`~.layers.Transformer`.

    Raises:
        ValueError: it is not a Transformer, or has something that these layers cannot express.
    """
    sides = {name: getattr(model, name) for name in ("encoder", "decoder") if hasattr(model, name)}
    if "decoder" not in sides or not all(type(side) in READABLE for side in sides.values()):
        raise ValueError(
            f"{type(model).__name__} is not a fairseq Transformer with a decoder, and only those are known"
        )
    reader = _Reader()
    read = {name: reader.side(side, name) for name, side in sides.items()}
    if unread := [name for name, value in model.named_parameters() if id(value) not in reader.taken]:
        raise ValueError(f"{unread[0]} has no place in a plain Transformer (option of its architecture)")
    return Transformer(read.get("encoder"), read["decoder"], activation)


class _Reader:
    """Reads parameters from modules and remembers which (``taken``: their ids), so that none is forgotten."""

    def __init__(self):
        self.taken: set[int] = set()

    def take(self, parameter):
        self.taken.add(id(parameter))
        return parameter.detach().float()

    def side(self, module, name):
        if not isinstance(module.embed_tokens, nn.Embedding):
            raise ValueError(f"{name}: adaptive and character embeddings are not known; only a plain table is")
        if getattr(module, "cross_self_attention", False):
            raise ValueError("--cross-self-attention: joint attention to source and target is not known")
        stream = getattr(module, "embedding_c", None)
        if stream is not None and not (stream == 1).all():
            raise ValueError(f"{name}.embedding_c: dimensions are in the middle of shrinking; let the run finish")
        blocks = [block for _, block in module.layers.named_children()]  # plain iteration applies LayerDrop
        if strange := [block for block in blocks if not isinstance(block, BLOCKS)]:
            raise ValueError(f"{name}.layers: {type(strange[0]).__name__} is not a layer of a plain Transformer")
        into, out_of = (getattr(module, f"project_{way}_dim", None) for way in ("in", "out"))
        output = getattr(module, "output_projection", None)
        if name == "decoder" and output is None:
            raise ValueError("--adaptive-softmax-cutoff: an adaptive softmax is not known")
        return Side(
            words=self.take(module.embed_tokens.weight),
            factor=float(module.embed_scale),
            positions=self.positions(module),
            embedding_norm=self.norm(module.layernorm_embedding),
            layers=list(map(self.layer, blocks)),
            pre_norm=any(block.normalize_before for block in blocks),
            last_norm=self.norm(module.layer_norm),
            project=(into and self.linear(into), out_of and self.linear(out_of)),
            output=None if output is None else self.linear(output),
        )

    def positions(self, side):
        table, longest = side.embed_positions, side.max_positions()
        if table is None:
            width = side.layers[0].fc1.weight.shape[1]
            return torch.zeros(longest, width)
        first = side.padding_idx + 1
        if isinstance(table, nn.Embedding):
            return self.take(table.weight)[first:]
        columns = getattr(side, "pos_emb_mask", slice(None))
        return table.get_embedding(first + longest, table.embedding_dim, side.padding_idx)[first:, columns]

    def layer(self, layer):
        neurons = getattr(layer, "fc_c", None)
        feed_forward = FeedForward(
            self.linear(layer.fc1), self.linear(layer.fc2, into=neurons), self.norm(layer.final_layer_norm)
        )
        return Layer(self.attention(layer, "self_attn"), self.attention(layer, "encoder_attn"), feed_forward)

    def attention(self, layer, name):
        block = getattr(layer, name, None)
        if block is None:
            return None
        qk, vo = (getattr(layer, f"{name}_{pair}_c", None) for pair in ("qk", "vo"))
        return Attention(
            query=self.linear(block.q_proj, out=qk),
            key=self.linear(block.k_proj),
            value=self.linear(block.v_proj),
            output=self.linear(block.out_proj, into=vo),
            heads=block.num_heads,
            factor=float(block.scaling),
            norm=self.norm(getattr(layer, f"{name}_layer_norm")),
        )

    def linear(self, module, out=None, into=None):
        """A linear layer whose outputs and inputs are multiplied by connectivity."""
        weight, bias = self.take(module.weight), None if module.bias is None else self.take(module.bias)
        if out is not None:
            weight, bias = weight * out[:, None], None if bias is None else bias * out
        return Linear(weight if into is None else weight * into, bias)

    def norm(self, module):
        """A layer norm; None for a placeholder without weights."""
        if module is None or not hasattr(module, "weight"):
            return None
        plain = not getattr(module, "weighted", True)
        if plain and module.weight.numel() != module.original_width:
            raise ValueError(
                "--srp-plain-layernorm: this layer norm sees removed dimensions as zeros, which only fairseq_prune "
                "computes; prune with --weighted-layernorm to export"
            )
        return Norm(self.take(module.weight), self.take(module.bias), module.eps)
