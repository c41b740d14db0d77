"""Methods that prune a trained model by what its layers are given, layer after layer; no training is needed."""

from ..method import METHODS, Method

METHODS.add("wanda")(
    Method(
        "remove the weights of every output that are smallest times the norm of their input, layer after layer",
        source="Sun et al., ICLR 2024 (arXiv:2306.11695)",
        importance="wanda",
        scope="output",
    )
)

METHODS.add("ria")(
    Method(
        "the same of every layer, by the share that a weight has of its row and its column",
        source="Zhang et al., ICLR 2024, Plug-and-Play (openreview.net/forum?id=Tr0lPx9woF)",
        importance="ria",
        scope="layer",
    )
)

METHODS.add("sparsegpt")(
    Method(
        "remove the weights of every layer that can be made up for, and change the others so that they do",
        source="Frantar & Alistarh, ICML 2023 (arXiv:2301.00774)",
        importance="obs",
        scope="layer",
    )
)
