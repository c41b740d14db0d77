"""How the C library allocates large tensors."""

import ctypes

_MMAP_MAX, _TRIM_THRESHOLD = -4, -1  # of mallopt(3)


def keep_freed_memory() -> None:
    """Have glibc keep memory that is freed, for the next batch.

    The scores of a batch over a vocabulary are tens of megabytes. glibc maps what is above 32 MB anew each time and
    gives it back at once, and the system zeroes each page of it when it is touched: more than a sparse product takes.
    Other C libraries are left alone.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_MAX, 0)
        mallopt(_TRIM_THRESHOLD, 2**31 - 1)
