"""The table of methods: rows by kind, one file each. A new method is a row in one of them."""

from ..method import METHODS
from . import (  # noqa: F401  (each adds its rows)
    before_training,
    depth,
    learnt,
    magnitudes,
    one_shot,
    penalties,
    sparse_training,
    srp,
)

__all__ = ["METHODS", "names_of_methods"]


def names_of_methods() -> dict[str, list[str]]:
    """Names of all methods, in the table's order, each with the other names that it has."""
    rows: dict[int, list[str]] = {}
    for name, method in METHODS.items():
        rows.setdefault(id(method), []).append(name)
    return {name: others for name, *others in rows.values()}
