"""The interface of selectors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor

from ..budget import Threshold
from ..budget.given import Target
from ..masks import Masks
from ..prunable import Prunable
from ..scope import Stages
from ..surgery.structure import Coupled
from .selection import Inherited, Selection

Average = Callable[[Tensor], Tensor]  # of scores, over ranks
Values = Mapping[str, Tensor]  # parameter name -> tensor of its shape


def unit_key(layer: str) -> str:
    """The key for evidence with one number per unit of a layer; evidence for a parameter has the parameter's name."""
    return f"units of {layer}"


class SelectionPlan(Protocol):
    """The part of a plan that selectors read."""

    @property
    def units(self) -> str: ...
    @property
    def importance(self) -> str: ...
    @property
    def scope(self) -> str: ...
    @property
    def stages(self) -> Stages: ...
    @property
    def rounding(self) -> str: ...
    @property
    def target(self) -> Target: ...
    @property
    def include(self) -> Sequence[str]: ...
    @property
    def skip(self) -> Sequence[str]: ...
    @property
    def only(self) -> Sequence[str]: ...
    def asked(self, name: str) -> str: ...


class Selector(Protocol):
    """Selects the units to remove.

    A layer has units of its own: it is a tensor, or a vector of coupled units. A group shares one ranking.

    Attributes:
        groups: dict of group name -> its tensors or vectors.
        inherited: what another run removed.
        multiplies: units are removed by multipliers of 0 (connectivity) instead of masks.
        cuts_on_the_way: units that are removed before the last event may be cut out at once.
    """

    groups: Mapping[str, Sequence[Prunable | Coupled]]
    inherited: Inherited
    multiplies: bool = False
    cuts_on_the_way: bool = False

    @property
    def layers(self) -> dict[str, list[str]]:
        """Dict of group name -> names of its layers."""

    @property
    def sides(self) -> Sequence[Selector]:
        """A view of the selector for each side of its units, writers and readers; only itself if there are no sides."""

    @property
    def owned(self) -> set[str]:
        """Names of all parameters of which its units own elements."""

    def count(self, group: str, masks: Masks) -> tuple[int, int]:
        """(removed, total) of a group, in the unit of its budget."""

    def targets(self, target: Target) -> Target:
        """The fraction of each group by patterns of :func:`~..budget.parse_target`, dict of group name -> fraction."""

    def budget(self, group: str, fraction: float) -> int:
        """The number of units or weights that a fraction of a group amounts to."""

    def check(self) -> None:
        """Called once weights are loaded. Raises ValueError if they cannot meet the target."""

    def highest(self, group: str, fraction: float) -> float | None:
        """The highest fraction of a group that can be removed; None if the given fraction can."""

    def share_within(
        self,
        group: str,
        threshold: Threshold,
        masks: Masks,
        generator: torch.Generator,
        evidence: Values | None = None,
    ) -> float:
        """Fraction of a group in units that are removed or score at most a :class:`~..budget.Threshold`.

        Below 1, so that something is kept. Further arguments as :meth:`select`.
        """

    def select(
        self,
        fractions: Mapping[str, float],
        masks: Masks,
        generator: torch.Generator,
        evidence: Values | None = None,
    ) -> Selection:
        """Select the units to remove in every group.

        Args:
            fractions: dict of group name -> fraction removed afterwards. Groups of tensors that are not in it lose
                nothing.
            masks: in force so far; removed weights stay removed.
            generator: for random scores.
            evidence: what to score instead of the parameters.
        """

    def magnitudes(self, layer: str) -> Tensor:
        """Mean magnitude of each unit of a layer now, float32 [units]."""

    def norms(self, layer: str) -> Tensor:
        """L1 norm of each unit of a layer now, float32 [units]."""

    def sum_over(self, layer: str, values: Values) -> Tensor:
        """Sums over each unit of a layer, [units], of a dict of parameter name -> tensor."""

    def removed(self, layer: str, selection: Selection) -> Tensor:
        """The units of a layer that a selection removes, bool [units]."""

    def spread(self, layer: str, values: Tensor) -> dict[str, Tensor]:
        """Values of a layer's units, float [units], spread over scored tensors: dict of parameter name -> tensor."""

    def spread_on_vectors(self, layer: str, values: Tensor) -> dict[str, Tensor]:
        """As :meth:`spread`, but over the biases and norms that are removed with the units."""

    def state(self) -> dict:
        """The state on which later selections depend besides the weights, as plain values."""

    def load_state(self, state: dict) -> None:
        """Undo :meth:`state`."""


def overlap(selector: Selector, layers: Iterable[str], selection: Selection, other: Selection) -> float:
    """Fraction of the units removed by one selection that another one removes as well.

    Args:
        selector: of these units.
        layers: names of those to count in.
        selection, other: :class:`Selection`.
    """
    pairs = [(selector.removed(layer, selection), selector.removed(layer, other)) for layer in layers]
    both = sum(int((one & two.to(one.device)).sum()) for one, two in pairs)
    return both / max(1, sum(int(one.sum()) for one, _ in pairs))
