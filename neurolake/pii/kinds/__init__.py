"""The kinds of personal data that are known, one table a part of the world."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from neurolake.pii.kinds import europe, everywhere, overseas, titles
from neurolake.pii.kinds.kind import Kind, Tier

__all__ = ["KINDS", "Kind", "Tier"]

KINDS: Mapping[str, Kind] = {
    kind.entity: replace(kind, names=f"{kind.names}|{titles.PHRASES[kind.entity]}")
    if kind.entity in titles.PHRASES
    else kind
    for kind in (*everywhere.KINDS, *overseas.KINDS, *europe.KINDS)
}
"""Every kind by its entity. Of two that fit a column equally well the first is taken."""
