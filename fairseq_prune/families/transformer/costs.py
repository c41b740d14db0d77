"""The multiply-accumulates of Transformers."""

from ..cost import DECODER_EMBEDDING, TO_VOCABULARY, Cost, Product, embedding


def _transformer(side, length, pairs):
    """Rows of Transformer layers over ``length`` positions attending to ``pairs``, without cross-attention."""
    layer = rf"{side}\.layers\.\d+\."
    return (
        *embedding(side, length),
        Product(layer + r"(fc1|fc2|self_attn\.(q|k|v|out)_proj)\.weight", length),
        Product(layer + r"self_attn\.[qv]_proj\.weight", pairs, axis=0),
    )


_DECODER_LAYERS = _transformer("decoder", "T", "P")
_CROSS_ATTENTION = (
    Product(r"decoder\.layers\.\d+\.encoder_attn\.(q|out)_proj\.weight", "T"),
    Product(r"decoder\.layers\.\d+\.encoder_attn\.[kv]_proj\.weight", "S"),
    Product(r"decoder\.layers\.\d+\.encoder_attn\.[qv]_proj\.weight", "ST", axis=0),
)
_SENTENCE_ENCODER = r"(encoder|decoder)\.sentence_encoder"  # "decoder" in files before fairseq 0.10
_MASKED_OUTPUT = r"(encoder|decoder)\.lm_head\.(dense\.)?weight"
_DECODER_FFN = r"decoder\.layers\.\d+\.fc1\.weight"

COSTS = (
    Cost("transformer_lm", (_DECODER_FFN,), _DECODER_LAYERS + TO_VOCABULARY, DECODER_EMBEDDING),
    Cost(
        "transformer",
        (r"encoder\.layers\.\d+\.fc1\.weight", r"decoder\.layers\.\d+\.encoder_attn\.q_proj\.weight"),
        _transformer("encoder", "S", "SS") + _DECODER_LAYERS + _CROSS_ATTENTION + TO_VOCABULARY,
        DECODER_EMBEDDING,
    ),
    Cost(
        "roberta",
        (rf"{_SENTENCE_ENCODER}\.layers\.\d+\.fc1\.weight", _MASKED_OUTPUT),
        (*_transformer(_SENTENCE_ENCODER, "S", "SS"), Product(_MASKED_OUTPUT, "S")),
    ),
)
