"""Gated convolutional models, ``fconv``: their weights are masked one by one, none of their units is coupled."""

from .cost import OUTPUT, TO_VOCABULARY, Cost, Product, embedding
from .family import FAMILIES, Family


def _convolutions(side, length):
    """Rows of a gated convolutional stack; convolution weights are [kernel, in, out]."""
    return (
        *embedding(side, length),
        Product(rf"{side}\.(fc1|fc2|(projections|convolutions)\.\d+)\.weight", length),
    )


_FCONV_ATTENTION = (
    Product(r"decoder\.attention\.\d+\.(in|out)_projection\.weight", "T"),
    Product(r"decoder\.attention\.\d+\.in_projection\.weight", "ST", axis=0),
    Product(r"decoder\.attention\.\d+\.out_projection\.weight", "ST", axis=1),
)

_DECODER_CONV = r"decoder\.convolutions\.\d+\.weight"

FAMILIES.add("fconv")(
    Family(
        costs=(
            Cost("fconv_lm", (_DECODER_CONV, OUTPUT), _convolutions("decoder", "T") + TO_VOCABULARY),
            Cost(
                "fconv",
                (r"encoder\.convolutions\.\d+\.weight", _DECODER_CONV, OUTPUT),
                _convolutions("encoder", "S") + _convolutions("decoder", "T") + _FCONV_ATTENTION + TO_VOCABULARY,
            ),
        )
    )
)
