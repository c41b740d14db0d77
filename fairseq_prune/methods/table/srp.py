"""SRP and its control."""

from ..method import METHODS, Method
from ..shrinking import Shrink

_SRP = "Jeon, Park & Kang (SRP, selectively regularised pruning)"

METHODS.add("srp")(
    Method(
        "freeze the units of a Transformer that matter least to the loss, shrink their connectivity to 0, cut them out",
        source=_SRP,
        units="width",
        importance="connectivity",
        schedule="rounds",
        steps=1,
        approach=Shrink(),
    )
)

METHODS.add("srp_once", "srp-once")(
    Method(
        "cut the same units out at once: the control for srp",
        source=_SRP,
        units="width",
        importance="connectivity",
    )
)
