"""Which models can be cut after training, and how."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fairseq.models import ARCH_MODEL_NAME_REGISTRY

from .. import register
from ..checkpoint.config import Config
from ..pruning.registry import Registry
from .compact import compact
from .compact_recurrent import MODELS, compact_recurrent

COMPACTORS: Registry["Compactor"] = Registry("family of models")
DEFAULT = "transformer"


@dataclass(frozen=True)
class Compactor:
    """How the models of one family are cut.

    Args:
        compact: function of a checkpoint -> (checkpoint, dict of kind of unit -> units removed), as
            :func:`~.compact.compact`; raises ValueError where there is nothing to cut.
        kinds: dict of kind of unit -> what a report calls several of them.
    """

    compact: Callable[[dict[str, Any]], tuple[dict[str, Any], dict[str, int]]]
    kinds: dict[str, str]


_KINDS = {
    "residual": "residual width",
    "head": "heads",
    "qk": "query/key dims",
    "vo": "value dims",
    "neuron": "neurons",
    "layer": "layers",
}
COMPACTORS.add(DEFAULT)(Compactor(compact, _KINDS))
COMPACTORS.add(*MODELS)(Compactor(compact_recurrent, {"hidden": "hidden units", "embedding": "embedding dims"}))


def compactor_of(checkpoint: Mapping[str, Any]) -> Compactor:
    """The :class:`Compactor` of a checkpoint, by fairseq's name of the model that its architecture is of.

    Raises:
        ValueError: it has no config.
    """
    register()
    family = ARCH_MODEL_NAME_REGISTRY.get(Config(checkpoint).arch)
    return COMPACTORS[family if family in COMPACTORS else DEFAULT]


def kind_names() -> dict[str, str]:
    """What reports call several units of a kind, dict of kind -> name, over all families."""
    register()
    return {kind: name for compactor in COMPACTORS.values() for kind, name in compactor.kinds.items()}
