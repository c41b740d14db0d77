"""A step of a recurrent language model, which continues from a given state, as a module for ONNX."""

import torch
from fairseq.models import BaseFairseqModel
from torch import Tensor, nn
from torch.nn import functional as F


def is_recurrent_lm(model: BaseFairseqModel) -> bool:
    """True for language models of an ``nn.LSTM`` or of LSTM cells."""
    decoder = getattr(model, "decoder", None)
    return decoder is not None and not hasattr(model, "encoder") and bool(_weights(decoder))


def _weights(decoder):
    """For each layer: input weight, recurrent weight, and their biases."""
    if isinstance(lstm := getattr(decoder, "lstm", None), nn.LSTM):
        return lstm.all_weights if lstm.bias and not lstm.proj_size else []
    cells = list(getattr(decoder, "layers", ()))
    if all(isinstance(cell, nn.LSTMCell) for cell in cells):
        return [[cell.weight_ih, cell.weight_hh, cell.bias_ih, cell.bias_hh] for cell in cells]
    return []


class RecurrentStep(nn.Module):
    """Log-probabilities after each new token, given the state after the tokens before.

    Args:
        model: a recurrent language model.

    Attributes:
        widths: state width of each layer (counts).

    Raises:
        ValueError: the model has residual connections between layers or an adaptive softmax.
    """

    def __init__(self, model: BaseFairseqModel):
        super().__init__()
        decoder = model.decoder
        if getattr(decoder, "residuals", False) or getattr(decoder, "adaptive_softmax", None) is not None:
            raise ValueError("--decoder-residuals, --adaptive-softmax-cutoff: not written as ONNX")
        self.words, self.decoder = decoder.embed_tokens.weight, decoder
        self.first = len(decoder.dictionary) - len(self.words)  # words that come before the first row
        self.lstms = nn.ModuleList(map(_layer, _weights(decoder)))
        self.widths = [lstm.hidden_size for lstm in self.lstms]

    def forward(self, tokens: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        """Run one step.

        Args:
            tokens: int64 [batch, new].
            states: hidden and cell state of each layer [1, batch, width].

        Returns:
            (log-probabilities [batch, new, vocabulary], states after the last token).
        """
        x, ends = F.embedding((tokens - self.first).clamp(min=0).t(), self.words), []
        for index, lstm in enumerate(self.lstms):
            x, end = lstm(x, states[2 * index : 2 * index + 2])
            ends.extend(end)
        x = x.transpose(0, 1)
        if hasattr(self.decoder, "additional_fc"):
            x = self.decoder.additional_fc(x)
        return F.log_softmax(self.decoder.output_layer(x), 2), *ends


def _layer(weights):
    into, recurrent, *_ = weights
    lstm = nn.LSTM(into.shape[1], recurrent.shape[1])
    with torch.no_grad():
        for mine, given in zip(lstm.all_weights[0], weights, strict=True):
            mine.copy_(given)
    return lstm
