"""Model families: their units, order and costs. A family is one module, imported here."""

from . import convolution, recurrent, transformer  # noqa: F401
from .family import FAMILIES, Family, costs, options_of, permutable, stacks_of, structure_of

__all__ = ["FAMILIES", "Family", "costs", "options_of", "permutable", "stacks_of", "structure_of"]
