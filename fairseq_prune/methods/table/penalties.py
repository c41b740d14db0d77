"""Methods that drive weights to zero before they are removed."""

from ...pruning.growing import Growth
from ..admm import Lagrangian
from ..group_lasso import GroupLasso
from ..method import METHODS, Method
from ..regularised import Hoyer

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
        "penalise the smallest filters of every layer more and more, then remove them",
        source=f"{_GREG}, GReg-1",
        units="filter",
        importance="magnitude",
        scope="layer",
        schedule="growing",
        rounding="up",
        approach=Growth(),
    )
)

METHODS.add("greg2", "greg_2")(
    Method(
        "penalise all filters more and more, pick the smallest, penalise only those further, then remove them",
        source=f"{_GREG}, GReg-2",
        units="filter",
        importance="magnitude",
        scope="layer",
        schedule="growing",
        rounding="up",
        approach=Growth(picks=True, stop_scope="layer"),
    )
)

METHODS.add("admm")(
    Method(
        "pull the weights towards the nearest sparse ones, then remove what is not among those; any units",
        source="Zhang et al., ECCV 2018 (arXiv:1804.03294)",
        importance="magnitude_l2",
        scope="layer",
        schedule="reselect",
        approach=Lagrangian(),
    )
)

_HOYER = "Yang et al., ICLR 2020 (arXiv:1908.09979), DeepHoyer"

METHODS.add("hoyer_square", "hoyer-square")(
    Method(
        "drive small weights to zero with the Hoyer-square regulariser, remove those of 0.001 or less",
        source=_HOYER,
        importance="magnitude",
        scope="layer",
        schedule="growing",
        target="0.001abs",
        approach=Hoyer(),
    )
)

METHODS.add("group_hoyer_square", "group-hoyer-square")(
    Method(
        "the same for the weights into and out of nodes; remove nodes whose outgoing weights are 0.001 or less",
        source=_HOYER,
        units="node",
        importance="largest",
        schedule="growing",
        target="0.001abs",
        approach=Hoyer(weight=0.1),
    )
)

METHODS.add("group_lasso", "group-lasso")(
    Method(
        "drive whole nodes to exactly zero with the group lasso, remove those that are zero, or the smallest",
        source="Yuan & Lin 2006; Wen et al., NeurIPS 2016 (arXiv:1608.03665); Behnke & Heafield, WMT 2021",
        units="node",
        importance="magnitude",
        schedule="growing",
        target="0abs",
        approach=GroupLasso(),
    )
)
