"""Updating the sizes that recurrent modules keep as attributes to those of their tensors."""

from typing import Any

from torch import nn

from ...pruning.surgery.cut import SIZES


@SIZES.add("recurrent")
def follow(layer: Any) -> None:
    """Set the sizes of torch's layers and cells, and of fairseq's encoders and decoders around them."""
    if isinstance(layer, nn.RNNBase):
        layer.input_size, layer.hidden_size = _width(layer, "weight_ih_l0"), _width(layer, "weight_hh_l0")
        layer.flatten_parameters()
    elif isinstance(layer, nn.RNNCellBase):
        layer.input_size, layer.hidden_size = _width(layer, "weight_ih"), _width(layer, "weight_hh")
    elif hasattr(layer, "output_units") and isinstance(rnn := getattr(layer, "lstm", None), nn.RNNBase):
        layer.hidden_size = _width(rnn, "weight_hh_l0")
        layer.output_units = layer.hidden_size * (1 + rnn.bidirectional)
    elif hasattr(layer, "encoder_output_units") and hasattr(layer, "hidden_size"):
        _follow_decoder(layer)


def _follow_decoder(decoder):
    """``hidden_size`` is what is fed to the next step: attention's output, or the last cell's."""
    attention = getattr(decoder, "attention", None)
    if attention is not None:
        decoder.hidden_size = attention.output_proj.weight.shape[0]
        decoder.encoder_output_units = attention.input_proj.weight.shape[0]
    elif isinstance(last := decoder.layers[-1], nn.RNNCellBase):
        decoder.hidden_size = _width(last, "weight_hh")


def _width(layer: nn.Module, name: str) -> int:
    return getattr(layer, name).shape[1]
