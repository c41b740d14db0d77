"""Methods that learn scores, gates or masks together with the weights."""

from ..gated import Gates
from ..hard_concrete import HardConcrete
from ..method import METHODS, Method
from ..movement import Movement, SoftMovement
from ..straight_through import StraightThrough
from ..tick_tock import TickTock

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
        "remove the weights whose scores training and a penalty move below a threshold",
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
        "train with N:M sparse weights from the start, selecting them anew at every update",
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
        "multiply every stripe by a learnt gate, then remove the stripes with the smallest gates",
        source="Meng et al., NeurIPS 2020 (arXiv:2009.14410)",
        units="stripe",
        importance="score",
        schedule="growing",
        approach=Gates(),
    )
)

METHODS.add("l0")(
    Method(
        "multiply every node by a stochastic gate, penalise open gates, remove the nodes whose gates have closed",
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
        "multiply every node by a gate, trained in turns alone and with the weights; close the gates of least effect",
        source="You et al., NeurIPS 2019 (arXiv:1909.08174)",
        units="node",
        importance="score",
        schedule="linear",
        approach=TickTock(),
    )
)
