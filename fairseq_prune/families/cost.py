"""The products that a family of models computes, and which of them each stored weight takes part in."""

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
    positions: str | None
    axis: int | None = None


@dataclass(frozen=True)
class Cost:
    """What architectures that compute alike multiply.

    Args:
        name: how reports call it.
        needs: patterns that must each match some parameter.
        products: rows; a model is one of these only if they cover all its parameters of 2 or more axes.
        tied_output: parameter that also projects to the vocabulary if no name matches ``OUTPUT``.
    """

    name: str
    needs: tuple[str, ...]
    products: tuple[Product, ...]
    tied_output: str | None = None


OUTPUT = r"decoder\.(output_projection\.weight|embed_out|fc_out\.weight|fc3\.weight|adaptive_softmax\..+)"
TO_VOCABULARY = (Product(OUTPUT, "T"),)
DECODER_EMBEDDING = "decoder.embed_tokens.weight"


def embedding(side: str, length: str) -> tuple[Product, ...]:
    """Rows of the embeddings of one side, adaptive ones included."""
    return (
        Product(rf"{side}\.embed_(tokens|positions)\.weight", None),
        Product(rf"{side}\.embed_tokens\.embeddings\.\d+\.0\.weight", None),
        Product(rf"{side}\.embed_tokens\.embeddings\.0\.1\.weight", length),
        Product(rf"{side}\.embed_tokens\.embeddings\.[1-9]\d*\.1\.weight", None),
        Product(rf"{side}\.project_(in|out)_dim\.weight", length),
    )
