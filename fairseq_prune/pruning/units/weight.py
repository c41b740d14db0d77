"""Single weights."""

from .base import UNITS, Units


@UNITS.add("weight")
class Weight(Units):
    """Every element is its own unit, in row-major order (unstructured pruning)."""

    def check(self, shape):
        pass

    def sizes(self, shape):
        return 1

    def pool(self, values):
        return values.flatten()

    def spread(self, keep, shape):
        return keep.view(shape)
