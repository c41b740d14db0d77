"""How the C library allocates large tensors."""

import ctypes

_MMAP_MAX, _TRIM_THRESHOLD = -4, -1  # parameters of mallopt(3)


def keep_freed_memory() -> None:
    """Let glibc keep freed memory for the next batch.

    A batch's scores over the vocabulary take tens of megabytes. glibc maps anything above 32 MB afresh each time and
    unmaps it at once, and the kernel zeroes each page when it is touched, which takes longer than a sparse product.
    Other C libraries are left alone.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_MAX, 0)
        mallopt(_TRIM_THRESHOLD, 2**31 - 1)
