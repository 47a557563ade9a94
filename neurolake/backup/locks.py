"""Storage that keeps what it was given: an object lock, or rights that add and never remove."""

from __future__ import annotations

from collections.abc import Callable

from neurolake import errors

__all__ = ["is_let_go"]


def is_let_go(remove: Callable[[], None]) -> bool:
    """Remove something; False where the storage does not allow it."""
    try:
        remove()
    except errors.SourceFailed as problem:
        if problem.code != "source_denied":
            raise
        return False
    return True
