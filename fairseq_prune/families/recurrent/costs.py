"""The multiply-accumulates of recurrent models."""

from ..cost import DECODER_EMBEDDING, OUTPUT, TO_VOCABULARY, Cost, Product, embedding

_CELL_DECODER = (
    *embedding("decoder", "T"),
    Product(r"decoder\.layers\.\d+\.weight_[ih]h", "T"),
    Product(r"decoder\.additional_fc\.weight", "T"),
    *TO_VOCABULARY,
)
_LSTM_ENCODER = (
    *embedding("encoder", "S"),
    Product(r"encoder\.lstm\.weight_[ih]h_l\d+(_reverse)?", "S"),
    Product(r"decoder\.encoder_(hidden|cell)_proj\.weight", "L"),
    Product(r"decoder\.attention\.(input|output)_proj\.weight", "T"),
    Product(r"decoder\.attention\.input_proj\.weight", "ST", axis=0),  # scores
    Product(r"decoder\.attention\.input_proj\.weight", "ST", axis=0),  # context: as wide
)
_RNN_ENCODER = (
    *embedding("encoder", "S"),
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
_RNN_LM = (*embedding("decoder", "T"), Product(r"decoder\.lstm\.weight_[ih]h_l\d+", "T"), *TO_VOCABULARY)
_MLP_SCORE = r"decoder\.attention\.v\.weight"
_DECODER_CELL = r"decoder\.layers\.\d+\.weight_hh"

COSTS = (
    Cost("lstm_lm", (_DECODER_CELL,), _CELL_DECODER, DECODER_EMBEDDING),
    Cost("lstm", (r"encoder\.lstm\..+", _DECODER_CELL), _LSTM_ENCODER + _CELL_DECODER, DECODER_EMBEDDING),
    Cost("rnn_lm", (r"decoder\.lstm\..+", OUTPUT), _RNN_LM),
    Cost("rnnsearch", (r"encoder\.rnn\..+", _MLP_SCORE), _RNN_ENCODER + _MLP_ATTENTION + _CELL_DECODER),
    Cost("luongnet", (r"encoder\.rnn\..+", _DECODER_CELL), _RNN_ENCODER + _GENERAL_ATTENTION + _CELL_DECODER),
)
