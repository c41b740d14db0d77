"""What is known of each family of models: units, order, costs. A family is one module, and its import here."""

from . import convolution, recurrent, transformer  # noqa: F401
from .family import FAMILIES, Family, costs, options_of, permutable, stacks_of, structure_of

__all__ = ["FAMILIES", "Family", "costs", "options_of", "permutable", "stacks_of", "structure_of"]
