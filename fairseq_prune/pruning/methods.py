"""The table of methods. A new method is a row here."""

from .growing import Growth
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

_GREG = "Wang et al., ICLR 2021 (arXiv:2012.09243)"

METHODS.add("l1")(
    Method(
        "remove the smallest filters of every layer at once",
        source=f"Li et al., ICLR 2017 (arXiv:1608.08710), as in {_GREG}",
        units="filter",
        importance="magnitude",
        scope="layer",
        rounding="up",
    )
)

METHODS.add("greg1", "greg_1")(
    Method(
        "let a penalty grow on the smallest filters of every layer, then remove them",
        source=f"{_GREG}, GReg-1",
        units="filter",
        importance="magnitude",
        scope="layer",
        schedule="growing",
        rounding="up",
        growth=Growth(),
    )
)

METHODS.add("greg2", "greg_2")(
    Method(
        "let a penalty grow on all filters, pick the smallest, let it grow on those alone, then remove them",
        source=f"{_GREG}, GReg-2",
        units="filter",
        importance="magnitude",
        scope="layer",
        schedule="growing",
        rounding="up",
        growth=Growth(picks=True, stop_scope="layer"),
    )
)
