"""Methods that remove the smallest at events, and their random control."""

from ..method import METHODS, Method

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
        "remove the smallest weights of every tensor or named group, each by its own fraction; used by sipo's recipes",
        source="Li et al., IEEE TNNLS 2022 (SiPO)",
        importance="magnitude",
        scope="layer",
    )
)

_FIVE = {  # the five methods of the DDP suite: (our name, its name, ...) -> (units, summary, source)
    ("irregular", "irre_prune"): ("weight", "remove the smallest weights of every layer", "Han et al. 2015"),
    ("filter", "filter_prune", "efficient_convnets"): (
        "filter",
        "remove the smallest filters of every layer",
        "Li et al., ICLR 2017",
    ),
    ("stripe", "stripe_prune"): ("stripe", "remove the smallest stripes of every layer", "Meng et al., NeurIPS 2020"),
    ("patdnn", "pat_prune"): (
        "pattern",
        "give every 3x3 kernel one of a few patterns, and remove whole kernels",
        "Niu et al., ASPLOS 2020",
    ),
    ("n:m", "mn_prune"): ("n:m", "keep N of every M consecutive inputs", "Mishra et al. 2021 (arXiv:2104.08378)"),
}
for _names, (_units, _summary, _source) in _FIVE.items():
    METHODS.add(*_names)(Method(_summary, _source, units=_units, importance="magnitude", scope="layer"))

METHODS.add("imp")(
    Method(
        "remove the smallest weights in rounds; after each, rewind the others to an early point (--prune-rewind)",
        source="Frankle & Carbin, ICLR 2019 (arXiv:1803.03635); rewinding: Frankle et al. 2019 (arXiv:1903.01611)",
        importance="magnitude",
        schedule="exponential",
    )
)
