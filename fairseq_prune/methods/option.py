"""An option of an approach: its entry in fairseq's parser, and its valid values."""

from dataclasses import dataclass
from math import isfinite
from typing import Any

from ..needs import Need, spelt

ABOVE_0, AT_LEAST_0 = "above 0", "0 or more"


@dataclass(frozen=True)
class Option:
    """One option. Approaches that share an option share the object.

    Args:
        name: of the field, e.g. ``"prune_rho"``.
        field: of the approach's settings that it sets; None: the approach reads the option itself.
        help: what it is, in one line.
        bounds: of a number, :data:`ABOVE_0` or :data:`AT_LEAST_0`; ``""``: the approach checks it, if anything does.
        type: of the value.
        example: a method that has it.
        needs: what it has no effect without.
    """

    name: str
    field: str | None
    help: str
    bounds: str = ""
    type: type = float
    example: str = ""
    needs: Need | None = None

    def default_of(self, approach: Any) -> Any:
        """The value in an approach's settings where the user gives none."""
        return getattr(approach, self.field) if self.field else False

    def check(self, value: Any, approach: Any) -> None:
        """Refuse a number that is out of bounds.

        Raises:
            ValueError: naming the option, the value and a valid example.
        """
        default, said = self.default_of(approach), f"{spelt(self.name)} {value}"
        if isinstance(value, float) and not isfinite(value):
            raise ValueError(f"{said}: give a finite number, e.g. {default or 0.01}")
        if self.bounds == ABOVE_0 and not value > 0:
            raise ValueError(f"{said}: must be above 0, e.g. {default or 0.01}")
        if self.bounds == AT_LEAST_0 and not value >= 0:
            raise ValueError(f"{said}: must not be below 0, e.g. {0.1 if default is None else default}")


REGULARISER = Option("prune_lambda", "weight", "weight of the regulariser in the loss", AT_LEAST_0, example="l0")
