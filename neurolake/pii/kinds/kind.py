"""What is known of one kind of personal data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

__all__ = ["Kind", "Tier"]


class Tier(Enum):
    """How much a kind's cells say by themselves."""

    STRUCTURAL = 0.6
    """A shape that little else has: an e-mail address. The value is the least share of cells that must have it."""
    DISTINCTIVE = 0.8
    """A shape of letters and digits that some codes share: nearly all cells must have it."""
    CHECKED = 0.75
    """Check digits decide, against a control of shuffled digits."""
    NAMED = 0.61
    """A shape that says little, such as nine digits: the column's name must speak for it."""
    NAME = 0.0
    """Only the column's name tells."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of personal data.

    Args:
        entity: its name, Presidio's where Presidio has one.
        tier: what it takes to believe it.
        pattern: what a whole cell looks like, for RE2 and without regard to case.
        names: phrases of column names that speak for it, between bars, in lower case without accents.
        check: whether a compact number has true check digits.
        country: ISO 3166 code, "" for kinds that belong to none.
        bare: a second pattern that counts only where the column's name speaks for it.
        raw: the check takes the cell as it stands.
        types: DuckDB types, beside text, that may hold it.
        named: true check digits are not enough, the column's name must speak for it, too.
    """

    entity: str
    tier: Tier
    pattern: str
    names: str
    check: Callable[[str], bool] | None = None
    country: str = ""
    bare: str = ""
    raw: bool = False
    types: tuple[str, ...] = ("BIGINT", "HUGEINT", "UBIGINT", "INTEGER", "DECIMAL")
    named: bool = False
