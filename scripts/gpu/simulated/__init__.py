"""A GPU that is not there: tensors on ``cuda`` that the CPU computes, and that do not mix with the CPU's own.

An operation between tensors of both devices is refused as a real card refuses it, and so is ``numpy()`` of one that is
on the card. So where a program leaves a tensor on the wrong device can be found without a card. It computes what a CPU
computes, but for rounding: what a CPU would fuse is done in parts. Not there: cuDNN, autocasting, several cards, and
that results have to be waited for.
"""

from .machine import simulated_gpu

__all__ = ["simulated_gpu"]
