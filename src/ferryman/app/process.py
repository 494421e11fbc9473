"""What the process asks of the system and of the interpreter before it serves."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import resource

_M_MMAP_THRESHOLD = -3
"""As malloc.h has it."""
LARGE = 128 * 1024
"""Bytes from which a block of memory has a mapping of its own."""


def raise_open_files_limit() -> None:
    """Every allocation holds a socket: take as many as the system grants without asking."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def keep_large_blocks_apart() -> None:
    """Tables are made anew ever so often while entries come and go. Each then has a mapping of its
    own, which the system gets back. Left alone, glibc puts blocks as large as any that was ever
    given back into its heap (mallopt(3), M_MMAP_THRESHOLD), where small ones that live for long
    come to lie between them, and the heap grows by a table's size now and then."""
    with contextlib.suppress(AttributeError):  # other C libraries have no such rule
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, LARGE)


def settle_memory() -> None:
    """What stands now stays: the collector need not look at it again, and seldom at the rest,
    which lives and dies with its requests."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
