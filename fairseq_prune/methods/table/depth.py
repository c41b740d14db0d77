"""Methods that remove whole layers."""

from ..method import METHODS, Method

METHODS.add("shortgpt", "block_influence", "block-influence")(
    Method(
        "remove the layers that change the direction of the hidden state least",
        source="Men et al. 2024 (arXiv:2403.03853), ShortGPT",
        units="layer",
        importance="cosine",
    )
)

_SHORTENED = "Kim et al. 2024 (arXiv:2402.02834), Shortened LLaMA"

METHODS.add("layer_loss", "layer-loss")(
    Method(
        "remove the layers whose removal increases the loss least",
        source=f"{_SHORTENED}, by perplexity",
        units="layer",
        importance="loss",
    )
)

METHODS.add("layer_gradient", "layer-gradient")(
    Method(
        "remove the layers with the smallest sum of weights times gradients",
        source=f"{_SHORTENED}, Taylor",
        units="layer",
        importance="absolute_sensitivity",
    )
)
