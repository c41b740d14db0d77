"""The table of methods. A new method is a row here."""

from ..pruning.growing import Growth
from ..pruning.registry import Registry
from .gated import Gates
from .hard_concrete import HardConcrete
from .lagrangian import Lagrangian
from .method import Method
from .movement import Movement, SoftMovement
from .regularised import Hoyer
from .shrinking import Shrink
from .straight_through import StraightThrough
from .tick_tock import TickTock

METHODS: Registry[Method] = Registry("method")

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
        approach=Growth(),
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
        approach=Growth(picks=True, stop_scope="layer"),
    )
)


_FIVE = {  # methods of one original: our name and its (and what another calls it), units, summary, source
    ("irregular", "irre_prune"): ("weight", "remove the smallest weights of every layer", "Han et al. 2015"),
    ("filter", "filter_prune", "efficient_convnets"): (
        "filter",
        "remove the smallest filters of every layer",
        "Li et al., ICLR 2017",
    ),
    ("stripe", "stripe_prune"): ("stripe", "remove the smallest stripes of every layer", "Meng et al., NeurIPS 2020"),
    ("patdnn", "pat_prune"): ("pattern", "give 3x3 kernels patterns, remove kernels", "Niu et al., ASPLOS 2020"),
    ("n:m", "mn_prune"): ("n:m", "keep N of every M consecutive inputs", "Mishra et al. 2021 (arXiv:2104.08378)"),
}
for _names, (_units, _summary, _source) in _FIVE.items():
    METHODS.add(*_names)(Method(_summary, _source, units=_units, importance="magnitude", scope="layer"))

METHODS.add("admm")(
    Method(
        "draw the weights to the nearest ones that are sparse, then remove the rest; any units",
        source="Zhang et al., ECCV 2018 (arXiv:1804.03294)",
        importance="magnitude_l2",
        scope="layer",
        schedule="reselect",
        approach=Lagrangian(),
    )
)

METHODS.add("movement")(
    Method(
        "remove the weights of every layer that training moves towards zero",
        source="Sanh et al., NeurIPS 2020 (arXiv:2005.07683), hard movement pruning",
        importance="score",
        scope="layer",
        schedule="cubic",
        approach=Movement(),
        every=1,
    )
)

METHODS.add("soft_movement", "soft-movement")(
    Method(
        "remove the weights that training and a penalty move below a threshold",
        source="Sanh et al., NeurIPS 2020 (arXiv:2005.07683), soft movement pruning",
        importance="score",
        scope="layer",
        schedule="cubic",
        target="0.1abs",
        approach=SoftMovement(),
        every=1,
    )
)

METHODS.add("sr_ste", "sr-ste")(
    Method(
        "train N:M sparse weights from the start, selected anew at every update",
        source="Zhou et al., ICLR 2021 (arXiv:2102.04010)",
        units="n:m",
        importance="magnitude",
        scope="layer",
        schedule="reselect",
        approach=StraightThrough(decay=2e-4),
        every=1,
    )
)

METHODS.add("skeleton")(
    Method(
        "multiply every stripe by a gate that learns, remove those of the smallest gates",
        source="Meng et al., NeurIPS 2020 (arXiv:2009.14410)",
        units="stripe",
        importance="score",
        schedule="growing",
        approach=Gates(),
    )
)

_HOYER = "Yang et al., ICLR 2020 (arXiv:1908.09979), DeepHoyer"

METHODS.add("hoyer_square", "hoyer-square")(
    Method(
        "draw small weights to zero by the Hoyer-square regulariser, remove those of 0.001 or less",
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
        "the same of what makes and of what reads nodes, remove the nodes that are read by 0.001 or less",
        source=_HOYER,
        units="node",
        importance="largest",
        schedule="growing",
        target="0.001abs",
        approach=Hoyer(weight=0.1),
    )
)

METHODS.add("l0")(
    Method(
        "multiply every node by a random gate, charge for open gates, remove the nodes whose gates have closed",
        source="Louizos et al., ICLR 2018 (arXiv:1712.01312)",
        units="node",
        importance="score",
        schedule="growing",
        target="0abs",
        approach=HardConcrete(),
    )
)

METHODS.add("gate_decorators", "gate-decorators")(
    Method(
        "multiply every node by a gate that learns, alone and with the weights in turns, close those of least effect",
        source="You et al., NeurIPS 2019 (arXiv:1909.08174)",
        units="node",
        importance="score",
        schedule="linear",
        approach=TickTock(),
    )
)

_SNIPIT = "Verdenius et al. 2020 (arXiv:2006.00896)"

METHODS.add("snip")(
    Method(
        "before training, remove the weights whose removal changes the loss least",
        source="Lee et al., ICLR 2019 (arXiv:1810.02340)",
        importance="sensitivity",
    )
)

METHODS.add("snip_it", "snip-it")(
    Method(
        "the same in steps, each halving the gap to the target; with --prune-every and --prune-end during training",
        source=_SNIPIT,
        importance="sensitivity",
        schedule="halving",
        steps=5,
    )
)

METHODS.add("snap")(
    Method(
        "before training, remove the nodes whose removal changes the loss least",
        source=_SNIPIT,
        units="node",
        importance="sensitivity",
    )
)

METHODS.add("snap_it", "snap-it")(
    Method(
        "the same in steps, each halving the gap to the target; with --prune-every and --prune-end during training",
        source=_SNIPIT,
        units="node",
        importance="sensitivity",
        schedule="halving",
        steps=5,
    )
)

METHODS.add("cnip_it", "cnip-it")(
    Method(
        "the same of nodes and weights in one ranking, until so many weights are gone with and without their nodes",
        source=_SNIPIT,
        units="weight+node",
        importance="sensitivity",
        schedule="halving",
        steps=5,
    )
)

METHODS.add("grasp")(
    Method(
        "before training, keep the weights that keep the gradient's norm",
        source="Wang et al., ICLR 2020 (arXiv:2002.07376)",
        importance="gradient_flow",
    )
)

METHODS.add("imp")(
    Method(
        "remove the smallest weights in rounds, --prune-rewind the others to an early point after each",
        source="Frankle & Carbin, ICLR 2019 (arXiv:1803.03635); rewinding: Frankle et al. 2019 (arXiv:1903.01611)",
        importance="magnitude",
        schedule="exponential",
    )
)

_SRP = "Jeon, Park & Kang (SRP, selectively regularised pruning)"

METHODS.add("srp")(
    Method(
        "freeze the units of a Transformer that the loss misses least, shrink their connectivity to 0, cut them out",
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


def names_of_methods() -> dict[str, list[str]]:
    """Names of all methods, in the table's order, each with the other names that it has."""
    rows: dict[int, list[str]] = {}
    for name, method in METHODS.items():
        rows.setdefault(id(method), []).append(name)
    return {name: others for name, *others in rows.values()}
