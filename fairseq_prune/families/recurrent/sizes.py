"""What recurrent modules remember of the shapes of their tensors."""

from torch import nn

from ...pruning.surgery.cut import SIZES


@SIZES.add("recurrent")
def follow(layer: nn.Module) -> None:
    """Set the sizes of torch's layers and cells, and of fairseq's encoders and decoders around them."""
    if isinstance(layer, nn.RNNBase):
        layer.input_size, layer.hidden_size = layer.weight_ih_l0.shape[1], layer.weight_hh_l0.shape[1]
        layer.flatten_parameters()
    elif isinstance(layer, nn.RNNCellBase):
        layer.input_size, layer.hidden_size = layer.weight_ih.shape[1], layer.weight_hh.shape[1]
    elif hasattr(layer, "output_units") and isinstance(rnn := getattr(layer, "lstm", None), nn.RNNBase):
        layer.hidden_size = rnn.weight_hh_l0.shape[1]
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
        decoder.hidden_size = last.weight_hh.shape[1]
