"""Dynamic sparse training: methods with constant sparsity from the start."""

from ..drop_and_grow import DropAndGrow
from ..method import METHODS, Method

METHODS.add("set")(
    Method(
        "train sparse from the start: at intervals, drop the smallest weights and grow others at random",
        source="Mocanu et al., Nature Communications 2018 (arXiv:1707.04780)",
        importance="random",
        scope="layer",
        schedule="reselect",
        approach=DropAndGrow("random"),
        every=100,
    )
)

METHODS.add("rigl")(
    Method(
        "the same, growing the weights with the largest gradients",
        source="Evci et al., ICML 2020 (arXiv:1911.11134)",
        importance="random",
        scope="layer",
        schedule="reselect",
        approach=DropAndGrow("gradient"),
        every=100,
    )
)
