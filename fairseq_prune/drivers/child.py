"""Child processes that end with their parent, however it ends."""

import ctypes
import os
import signal
import sys
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1  # of linux/prctl.h


def ends_with(parent: int) -> Callable[[], None] | None:
    """Make a function that a child process calls first, so that the kernel kills it when its parent has ended.

    A killed driver would leave its training running, and started again it would start a second one in that folder.

    Args:
        parent: number of this process.

    Returns:
        Function for ``preexec_fn`` of ``subprocess``; None where the kernel cannot do this: there the folder's lock
        keeps a second training away until the first has ended.
    """
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl  # loaded before the fork: afterwards only what is async-signal-safe may run

    def bind():
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it ended before
            os._exit(1)

    return bind
