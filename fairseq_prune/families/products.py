"""Which product each stored weight takes part in, a table of rows per family of architectures."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Product:
    """How often tensors of one kind are multiplied.

    Args:
        pattern: regular expression that a whole parameter name matches.
        positions: letters whose values multiply: S source tokens, T target tokens, L decoder layers,
            P pairs of a target token with itself or one before it; "" is once a sentence, None never
            (a lookup).
        axis: None = all elements are used at each position; else only as many as this axis is long
            (a product of activations whose width the weight tells).
    """

    pattern: str
    positions: str
    axis: int = None


@dataclass(frozen=True)
class Family:
    """Architectures that compute alike.

    Args:
        name: how reports call it.
        needs: patterns that must each match some parameter.
        products: rows; a model is of the family only if they cover all its parameters of 2 or more axes.
        tied_output: parameter that also projects to the vocabulary if no name matches ``OUTPUT``.
    """

    name: str
    needs: tuple
    products: tuple
    tied_output: str = None


OUTPUT = r"decoder\.(output_projection\.weight|embed_out|fc_out\.weight|fc3\.weight|adaptive_softmax\..+)"


def _embedding(side, length):
    """Rows of the embeddings of one side, adaptive ones included."""
    return (
        Product(rf"{side}\.embed_(tokens|positions)\.weight", None),
        Product(rf"{side}\.embed_tokens\.embeddings\.\d+\.0\.weight", None),
        Product(rf"{side}\.embed_tokens\.embeddings\.0\.1\.weight", length),
        Product(rf"{side}\.embed_tokens\.embeddings\.[1-9]\d*\.1\.weight", None),
        Product(rf"{side}\.project_(in|out)_dim\.weight", length),
    )


def _transformer(side, length, pairs):
    """Rows of Transformer layers over ``length`` positions attending to ``pairs``, without cross-attention."""
    layer = rf"{side}\.layers\.\d+\."
    return (
        *_embedding(side, length),
        Product(layer + r"(fc1|fc2|self_attn\.(q|k|v|out)_proj)\.weight", length),
        Product(layer + r"self_attn\.[qv]_proj\.weight", pairs, axis=0),
    )


def _convolutions(side, length):
    """Rows of a gated convolutional stack; convolution weights are [kernel, in, out]."""
    return (
        *_embedding(side, length),
        Product(rf"{side}\.(fc1|fc2|(projections|convolutions)\.\d+)\.weight", length),
    )


_DECODER_LAYERS = _transformer("decoder", "T", "P")
_TO_VOCABULARY = (Product(OUTPUT, "T"),)
_CROSS_ATTENTION = (
    Product(r"decoder\.layers\.\d+\.encoder_attn\.(q|out)_proj\.weight", "T"),
    Product(r"decoder\.layers\.\d+\.encoder_attn\.[kv]_proj\.weight", "S"),
    Product(r"decoder\.layers\.\d+\.encoder_attn\.[qv]_proj\.weight", "ST", axis=0),
)
_CELL_DECODER = (
    *_embedding("decoder", "T"),
    Product(r"decoder\.layers\.\d+\.weight_[ih]h", "T"),
    Product(r"decoder\.additional_fc\.weight", "T"),
    *_TO_VOCABULARY,
)
_LSTM_ENCODER = (
    *_embedding("encoder", "S"),
    Product(r"encoder\.lstm\.weight_[ih]h_l\d+(_reverse)?", "S"),
    Product(r"decoder\.encoder_(hidden|cell)_proj\.weight", "L"),
    Product(r"decoder\.attention\.(input|output)_proj\.weight", "T"),
    Product(r"decoder\.attention\.input_proj\.weight", "ST", axis=0),  # scores
    Product(r"decoder\.attention\.input_proj\.weight", "ST", axis=0),  # context: as wide
)
_RNN_ENCODER = (
    *_embedding("encoder", "S"),
    Product(r"encoder\.rnn\.weight_[ih]h_l\d+(_reverse)?", "S"),
    Product(r"decoder\.attention\.(query|output)_proj\.weight", "T"),
)
_MLP_ATTENTION = (
    Product(r"decoder\.attention\.context_proj\.weight", "S"),
    Product(r"decoder\.attention\.v\.weight", "ST"),  # scores
    Product(r"decoder\.attention\.context_proj\.weight", "ST", axis=1),  # context
)
_GENERAL_ATTENTION = (
    Product(r"decoder\.attention\.query_proj\.weight", "ST", axis=0),  # scores
    Product(r"decoder\.attention\.query_proj\.weight", "ST", axis=0),  # context: as wide
)
_RNN_LM = (*_embedding("decoder", "T"), Product(r"decoder\.lstm\.weight_[ih]h_l\d+", "T"), *_TO_VOCABULARY)
_FCONV_ATTENTION = (
    Product(r"decoder\.attention\.\d+\.(in|out)_projection\.weight", "T"),
    Product(r"decoder\.attention\.\d+\.in_projection\.weight", "ST", axis=0),
    Product(r"decoder\.attention\.\d+\.out_projection\.weight", "ST", axis=1),
)

_MLP_SCORE = r"decoder\.attention\.v\.weight"
_DECODER_FFN, _DECODER_CELL = r"decoder\.layers\.\d+\.fc1\.weight", r"decoder\.layers\.\d+\.weight_hh"
_DECODER_CONV, _DECODER_EMBEDDING = r"decoder\.convolutions\.\d+\.weight", "decoder.embed_tokens.weight"
_SENTENCE_ENCODER = r"(encoder|decoder)\.sentence_encoder"  # "decoder" in files before fairseq 0.10
_MASKED_OUTPUT = r"(encoder|decoder)\.lm_head\.(dense\.)?weight"

FAMILIES = (
    Family("transformer_lm", (_DECODER_FFN,), _DECODER_LAYERS + _TO_VOCABULARY, _DECODER_EMBEDDING),
    Family(
        "transformer",
        (r"encoder\.layers\.\d+\.fc1\.weight", r"decoder\.layers\.\d+\.encoder_attn\.q_proj\.weight"),
        _transformer("encoder", "S", "SS") + _DECODER_LAYERS + _CROSS_ATTENTION + _TO_VOCABULARY,
        _DECODER_EMBEDDING,
    ),
    Family(
        "roberta",
        (rf"{_SENTENCE_ENCODER}\.layers\.\d+\.fc1\.weight", _MASKED_OUTPUT),
        (*_transformer(_SENTENCE_ENCODER, "S", "SS"), Product(_MASKED_OUTPUT, "S")),
    ),
    Family("lstm_lm", (_DECODER_CELL,), _CELL_DECODER, _DECODER_EMBEDDING),
    Family("lstm", (r"encoder\.lstm\..+", _DECODER_CELL), _LSTM_ENCODER + _CELL_DECODER, _DECODER_EMBEDDING),
    Family("rnn_lm", (r"decoder\.lstm\..+", OUTPUT), _RNN_LM),
    Family("rnnsearch", (r"encoder\.rnn\..+", _MLP_SCORE), _RNN_ENCODER + _MLP_ATTENTION + _CELL_DECODER),
    Family("luongnet", (r"encoder\.rnn\..+", _DECODER_CELL), _RNN_ENCODER + _GENERAL_ATTENTION + _CELL_DECODER),
    Family("fconv_lm", (_DECODER_CONV, OUTPUT), _convolutions("decoder", "T") + _TO_VOCABULARY),
    Family(
        "fconv",
        (r"encoder\.convolutions\.\d+\.weight", _DECODER_CONV, OUTPUT),
        _convolutions("encoder", "S") + _convolutions("decoder", "T") + _FCONV_ATTENTION + _TO_VOCABULARY,
    ),
)
