"""Replacing a model's parameters by other values for a while."""

import contextlib
from collections.abc import Iterator, Mapping

from torch import Tensor, nn


@contextlib.contextmanager
def stand_in(parameters: Mapping[str, nn.Parameter], values: Mapping[str, Tensor]) -> Iterator[None]:
    """Exchange the values of parameters for a while.

    Gradients that are computed meanwhile are those by the other values.

    Args:
        parameters: dict of name -> parameter.
        values: dict of name -> tensor of the same shape.
    """
    own = {name: parameters[name].data for name in values}
    for name, value in values.items():
        parameters[name].data = value
    try:
        yield
    finally:
        for name, value in own.items():
            parameters[name].data = value
