"""A simulated GPU: tensors on ``cuda`` that the CPU computes, and that cannot be mixed with CPU tensors.

An operation between tensors of both devices is refused as by a real card, and so is ``numpy()`` of a tensor on the
card. So tensors that a program leaves on the wrong device can be found without a card. Results are the CPU's, except
for rounding, since operations that a CPU would fuse are done in parts. Not simulated: cuDNN, autocasting, several
cards, and asynchronous execution.
"""

from .machine import simulated_gpu

__all__ = ["simulated_gpu"]
