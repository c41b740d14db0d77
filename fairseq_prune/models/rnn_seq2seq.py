"""The recurrent translation models that stage-wise pruning was published on (Li et al., TNNLS 35(2), 2024)."""

from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass, field

from fairseq.dataclass import FairseqDataclass
from fairseq.models import FairseqEncoderDecoderModel, register_model, register_model_architecture
from torch import nn

from ..errors import one_line_errors
from ..modules.rnn_attention import GeneralAttention, MlpAttention, RnnAttention
from ..modules.rnn_cells import GruCell, LstmCell
from .rnn_decoder import RnnDecoder
from .rnn_encoder import RnnEncoder


def _option(default, text):
    return field(default=default, metadata={"help": text})


@dataclass
class RnnSearchConfig(FairseqDataclass):
    """Sizes of the model; those published by default."""

    encoder_embed_dim: int = _option(620, "width of the source embedding")
    decoder_embed_dim: int = _option(620, "width of the target embedding")
    hidden_size: int = _option(1000, "width of decoder and attention, and of the encoder's outputs")
    layers: int = _option(2, "recurrent layers on each side")
    dropout: float = _option(0.3, "dropout between recurrent layers and on attentional outputs")


@dataclass
class LuongNetConfig(RnnSearchConfig):
    """The same options with LuongNet's sizes."""

    encoder_embed_dim: int = _option(1000, "width of the source embedding")
    decoder_embed_dim: int = _option(1000, "width of the target embedding")
    layers: int = _option(4, "recurrent layers on each side")


class RnnSeq2Seq(FairseqEncoderDecoderModel):
    """An RNN encoder and a decoder with attention and input feeding, without a bridge between them.

    All tensors, embeddings of padding included, start uniform in (-0.1, 0.1): in a dense model no rows
    of zeros pass for pruned ones.
    """

    rnn: type[nn.RNNBase]
    cell: type[GruCell] | type[LstmCell]
    attention: Callable[[int], RnnAttention]
    directions = 1

    def __init__(self, encoder, decoder):
        super().__init__(encoder, decoder)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -0.1, 0.1)

    @classmethod
    def build_model(cls, cfg, task):
        """Build a model of the widths in ``cfg``; exits with one line if they are impossible."""
        with one_line_errors():
            cls.check_sizes(cfg)
        width = cfg.hidden_size
        rnn = cls.rnn(
            cfg.encoder_embed_dim, width // cls.directions, cfg.layers,
            dropout=cfg.dropout if cfg.layers > 1 else 0.0, bidirectional=cls.directions == 2,
        )  # fmt: skip
        cells = [cls.cell(width if layer else cfg.decoder_embed_dim + width, width) for layer in range(cfg.layers)]
        decoder = RnnDecoder(task.target_dictionary, cells, cls.attention(width), cfg.dropout)
        return cls(RnnEncoder(task.source_dictionary, rnn), decoder)

    @classmethod
    def check_sizes(cls, cfg: RnnSearchConfig) -> None:
        """Refuse sizes that no model can have.

        Raises:
            ValueError: naming the option, the value and a valid example.
        """
        for name in ("encoder_embed_dim", "decoder_embed_dim", "hidden_size", "layers"):
            if (value := getattr(cfg, name)) < 1:
                raise ValueError(f"--{name.replace('_', '-')} {value}: give 1 or more, e.g. 2")
        if cfg.hidden_size % cls.directions:
            raise ValueError(
                f"--hidden-size {cfg.hidden_size}: the encoder's two directions share it evenly; "
                f"give an even number, e.g. {cfg.hidden_size + 1}"
            )
        if not 0 <= cfg.dropout < 1:
            raise ValueError(f"--dropout {cfg.dropout}: give 0 or more and less than 1, e.g. 0.3")


@register_model("rnnsearch", dataclass=RnnSearchConfig)
class RnnSearch(RnnSeq2Seq):
    """Bidirectional GRU encoder, GRU decoder, MLP attention.

    137,804,724 parameters with 50,000 words on each side. This is OpenNMT-py's kin of Bahdanau's
    RNNsearch: no maxout, attention after the cells, input feeding.
    """

    rnn, cell, attention = nn.GRU, GruCell, MlpAttention
    directions = 2


@register_model("luongnet", dataclass=LuongNetConfig)
class LuongNet(RnnSeq2Seq):
    """LSTM encoder of one direction, LSTM decoder, "general" attention.

    221,124,004 parameters with 50,000 words on each side.
    """

    rnn, cell, attention = nn.LSTM, LstmCell, GeneralAttention


def _set_sizes(args, width):
    for name, value in (("encoder_embed_dim", width), ("decoder_embed_dim", width), ("hidden_size", width)):
        setattr(args, name, getattr(args, name, value))
    args.layers = getattr(args, "layers", 2)


@register_model_architecture("rnnsearch", "rnnsearch_small")
@register_model_architecture("luongnet", "luongnet_small")
def small(args: Namespace) -> None:
    """192 wide, 2 layers: 4.5 (rnnsearch) or 4.9 million parameters (luongnet) with 6,000 subwords."""
    _set_sizes(args, 192)


@register_model_architecture("rnnsearch", "rnnsearch_tiny")
@register_model_architecture("luongnet", "luongnet_tiny")
def tiny(args: Namespace) -> None:
    """16 wide, 2 layers: for tests and the demo."""
    _set_sizes(args, 16)
