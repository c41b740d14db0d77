"""Methods that prune a trained model layer by layer, from the inputs of its layers; they need no training."""

from ..method import METHODS, Method

METHODS.add("wanda")(
    Method(
        "layer after layer, remove the weights of every output whose size times input norm is smallest",
        source="Sun et al., ICLR 2024 (arXiv:2306.11695)",
        importance="wanda",
        scope="output",
    )
)

METHODS.add("ria")(
    Method(
        "the same for every layer, by each weight's share of its row and its column",
        source="Zhang et al., ICLR 2024, Plug-and-Play (openreview.net/forum?id=Tr0lPx9woF)",
        importance="ria",
        scope="layer",
    )
)

METHODS.add("sparsegpt")(
    Method(
        "layer after layer, remove the weights that the others can best compensate for, and update the others to do so",
        source="Frantar & Alistarh, ICML 2023 (arXiv:2301.00774)",
        importance="obs",
        scope="layer",
    )
)
