"""What a pruner needs to know about a model besides its parameters."""

from typing import Any

from ..families import permutable, structure_of
from ..pruning.budget.cost import Costs
from ..pruning.budget.given import Target
from ..pruning.selecting import Selector
from ..pruning.surgery.structure import Structure
from .costs import costs_of


class ModelInfo:
    """Answers by the model's family and its shapes. Tasks override what they know better."""

    def find_structure(self, model: Any) -> Structure:
        """The model's coupled units."""
        return structure_of(model)

    def find_permutable(self, model: Any) -> Structure:
        """As :meth:`find_structure`, of units that may be reordered."""
        return permutable(model)

    def find_targets(self, selector: Selector, model: Any, target: Target) -> Target:
        """What each group of a selector is to lose, by the target of the plan: dict of group name -> fraction."""
        return selector.targets(target)

    def find_costs(self, model: Any, of: str) -> Costs | None:
        """What a model costs in ``"params"`` or ``"macs"``; None if that is not known, or not yet."""
        return costs_of(model, of)


BY_FAMILY = ModelInfo()


def info_of(task: Any) -> ModelInfo:
    """A task that prunes knows its models; of any other task's, families and shapes have to do."""
    return task if isinstance(task, ModelInfo) else BY_FAMILY
