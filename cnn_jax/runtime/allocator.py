"""Memory that a step has given back is kept for the next one, instead of fetched anew from the system, page by page."""

import ctypes

# Of glibc's <malloc.h>.
_TRIM_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -4, -8


def keep_memory() -> bool:
    """Tells glibc's malloc to keep what is freed; says whether it does (only glibc can be told).

    XLA allocates what a program needs at every call of it on CPU. By default malloc maps such blocks and unmaps them
    again, so that each step touches thousands of fresh pages, which the kernel must clear first: of a training step of
    a small network on two cores that was a third of the time. The process then holds on to its peak memory.

    Call it before JAX is imported: each thread that runs by then may have an arena of its own, which would be left.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # musl, macOS, Windows
        return False
    return all([mallopt(_ARENA_MAX, 1), mallopt(_MMAP_MAX, 0), mallopt(_TRIM_THRESHOLD, -1)])
