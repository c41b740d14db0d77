"""Methods that are as sparse from the start as in the end: dynamic sparse training."""

from ..drop_and_grow import DropAndGrow
from ..method import METHODS, Method

METHODS.add("set")(
    Method(
        "train as sparse from the start: now and then the smallest weights are dropped, others grow at random",
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
        "the same; those grow whose gradient is largest",
        source="Evci et al., ICML 2020 (arXiv:1911.11134)",
        importance="random",
        scope="layer",
        schedule="reselect",
        approach=DropAndGrow("gradient"),
        every=100,
    )
)
