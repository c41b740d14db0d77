"""A recurrent language model on ``nn.LSTM``, of the reference's sizes."""

from argparse import Namespace
from dataclasses import dataclass, field

from fairseq.dataclass import FairseqDataclass
from fairseq.models import (
    FairseqIncrementalDecoder,
    FairseqLanguageModel,
    register_model,
    register_model_architecture,
)
from torch import nn

from ..errors import one_line_errors
from ..modules.word_projection import ABSENT, WordProjection


def _option(default, text):
    return field(default=default, metadata={"help": text})


@dataclass
class RnnLmConfig(FairseqDataclass):
    """Sizes; the names are those of fairseq's lstm_lm."""

    decoder_embed_dim: int = _option(200, "width of the embedding")
    decoder_hidden_size: int = _option(200, "width of the LSTM layers")
    decoder_layers: int = _option(2, "LSTM layers")
    dropout: float = _option(0.2, "after the embedding, between the layers and after the last")


class RnnLmDecoder(FairseqIncrementalDecoder):
    """Embedding, dropout, LSTM layers with dropout between them, dropout, linear with bias; untied.

    Tokens that never occur have no rows: ``<s>`` and ``<pad>`` are in every dictionary of fairseq but
    in no stream of text, so the embedding and the output have ``len(dictionary) - 2`` rows, and token
    t has row t - 2. That gives the reference's parameter counts: 4,653,200 for the 10,002 entries of
    a dictionary of the Penn Treebank (``fairseq-preprocess --padding-factor 1``). As inputs the two
    stand for row 0; as outputs they are impossible.

    Source: SiPO (Li et al. 2022), the language model of PyTorch's word_language_model example:
    embedding and output weight uniform in (-0.1, 0.1), output bias 0, LSTM as PyTorch initialises it.

    Args:
        dictionary: fairseq's ``Dictionary``.
        embed_dim: width of the embedding (count).
        hidden_size: width of the LSTM layers (count).
        layers: LSTM layers (count).
        dropout: probability, in [0, 1).

    Raises:
        ValueError: a size below 1, or a dropout outside [0, 1).
    """

    def __init__(self, dictionary, embed_dim=200, hidden_size=200, layers=2, dropout=0.2):
        super().__init__(dictionary)
        _check(embed_dim, hidden_size, layers, dropout)
        rows = len(dictionary) - ABSENT
        self.embed_tokens = nn.Embedding(rows, embed_dim)
        self.dropout = nn.Dropout(dropout)
        self.lstm = nn.LSTM(embed_dim, hidden_size, layers, dropout=dropout if layers > 1 else 0)
        self.output_projection = WordProjection(hidden_size, rows)
        nn.init.uniform_(self.embed_tokens.weight, -0.1, 0.1)
        nn.init.uniform_(self.output_projection.weight, -0.1, 0.1)
        nn.init.zeros_(self.output_projection.bias)

    def forward(self, prev_output_tokens, encoder_out=None, incremental_state=None, carried=None, **kwargs):
        """Predict the next tokens.

        Args:
            prev_output_tokens: int64 [batch, length].
            encoder_out: ignored, as all further arguments.
            incremental_state: fairseq's dict of a generation; from its second step on only the last
                token is read.
            carried: :class:`~fairseq_prune.engine.carried.Carried` to start from and to leave the
                detached end in.

        Returns:
            ``(logits, None)``; logits [batch, length, len(dictionary)].
        """
        state = None if carried is None else carried.state
        cached = self.get_incremental_state(incremental_state, "state")
        if cached is not None:
            prev_output_tokens, state = prev_output_tokens[:, -1:], (cached["h"], cached["c"])
        features, state = self.extract_features(prev_output_tokens, state)
        self.set_incremental_state(incremental_state, "state", dict(zip("hc", state, strict=True)))
        if carried is not None:
            carried.leave(state)
        return self.output_layer(features), None

    def extract_features(self, tokens, state=None):
        """What the output layer reads.

        Args:
            tokens: int64 [batch, length].
            state: ``(h, c)``, each [layers, batch, hidden]; None: zeros.

        Returns:
            ``(features, state)``; features [batch, length, hidden], state as it is after the last token.
        """
        rows = (tokens.t() - ABSENT).clamp(min=0)
        embedded = self.dropout(self.embed_tokens(rows))
        if state is not None:
            state = tuple(part.to(embedded) for part in state)
        features, state = self.lstm(embedded, state)
        return self.dropout(features).transpose(0, 1), state

    def output_layer(self, features, **kwargs):
        """Logits [..., len(dictionary)] of features [..., hidden]; the whole dictionary in its order."""
        return self.output_projection(features)

    def reorder_incremental_state(self, incremental_state, new_order):
        """Have the states follow their hypotheses; ``new_order`` int64 [batch]."""
        cached = self.get_incremental_state(incremental_state, "state")
        if cached is not None:
            cached = {name: part.index_select(1, new_order) for name, part in cached.items()}
            self.set_incremental_state(incremental_state, "state", cached)


def _check(embed_dim, hidden_size, layers, dropout):
    sizes = {"--decoder-embed-dim": embed_dim, "--decoder-hidden-size": hidden_size, "--decoder-layers": layers}
    for option, value in sizes.items():
        if value < 1:
            raise ValueError(f"{option} {value}: give a positive number, e.g. {option} 2")
    if not 0 <= dropout < 1:
        raise ValueError(f"--dropout {dropout}: give a probability in [0, 1), e.g. --dropout 0.2")


@register_model("rnn_lm", dataclass=RnnLmConfig)
class RnnLm(FairseqLanguageModel):
    """The language model around :class:`RnnLmDecoder`."""

    @classmethod
    def build_model(cls, cfg, task):
        sizes = cfg.decoder_embed_dim, cfg.decoder_hidden_size, cfg.decoder_layers
        with one_line_errors():
            return cls(RnnLmDecoder(task.source_dictionary, *sizes, cfg.dropout))


def _sized(args, width):
    args.decoder_embed_dim = getattr(args, "decoder_embed_dim", width)
    args.decoder_hidden_size = getattr(args, "decoder_hidden_size", width)


@register_model_architecture("rnn_lm", "rnn_lm_small")
def rnn_lm_small(args: Namespace) -> None:
    """64 wide, 2 layers: the demo's."""
    _sized(args, 64)


@register_model_architecture("rnn_lm", "rnn_lm_tiny")
def rnn_lm_tiny(args: Namespace) -> None:
    """16 wide, 2 layers, for tests."""
    _sized(args, 16)
