"""The process's environment: read here and nowhere else."""

from __future__ import annotations

import os
from collections.abc import Mapping

__all__ = ["environment"]


def environment() -> Mapping[str, str]:
    """The environment variables as they are now.

    >>> "NEUROLAKE_NO_SUCH_THING" in environment()
    False
    """
    return dict(os.environ)
