"""The table of methods. A new method is a row here."""

from .method import Method
from .registry import Registry

METHODS = Registry("method")

METHODS.add("none")(Method("remove nothing; masks that came with the weights stay in force", source=""))

METHODS.add("magnitude")(
    Method(
        "remove the smallest weights",
        source="Han et al. 2015 (arXiv:1506.02626); gradual: Zhu & Gupta 2017 (arXiv:1710.01878)",
        importance="magnitude",
    )
)

METHODS.add("random")(
    Method("remove weights at random: the control for every other method", source="", importance="random")
)

METHODS.add("given")(
    Method(
        "remove the smallest weights of every tensor, or named group, each by its own fraction; what sipo's recipes do",
        source="Li et al., IEEE TNNLS 2022 (SiPO)",
        importance="magnitude",
        scope="layer",
    )
)
