"""Methods that score by derivatives of the loss, before training or early in it."""

from ..method import METHODS, Method

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
        "the same for nodes and weights in one ranking, until enough weights are removed, alone or with their nodes",
        source=_SNIPIT,
        units="weight+node",
        importance="sensitivity",
        schedule="halving",
        steps=5,
    )
)

METHODS.add("grasp")(
    Method(
        "before training, keep the weights that preserve the norm of the gradient",
        source="Wang et al., ICLR 2020 (arXiv:2002.07376)",
        importance="gradient_flow",
    )
)

METHODS.add("taylor")(
    Method(
        "remove the nodes whose removal changes the loss of a batch least, to first order",
        source="Molchanov et al., CVPR 2019 (arXiv:1906.10771); Theis et al. 2018 (arXiv:1801.05787)",
        units="node",
        importance="taylor",
    )
)

METHODS.add("fisher")(
    Method(
        "remove the nodes whose removal increases the loss least, to second order, by Fisher information",
        source="Theis et al. 2018 (arXiv:1801.05787); Liu et al., ICML 2021 (arXiv:2108.00708)",
        units="node",
        importance="fisher",
    )
)
