"""Native evidence: the share of a leaf's cells that have a kind's shape, counted inside DuckDB."""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache

import pyarrow as pa

from neurolake._duckdb import Cursor
from neurolake.pii.checks import compact
from neurolake.pii.kinds import Kind, Tier
from neurolake.pii.samples import Leaf
from neurolake.sql.text import literal

__all__ = ["Shares", "by_chance", "count", "true_digits"]

CELLS = "_neurolake_pii_cells"
ALWAYS = (Tier.STRUCTURAL, Tier.DISTINCTIVE, Tier.CHECKED)
"""Tiers whose shape is looked for in every leaf; the others only where the name asks for it."""

Shares = Mapping[tuple[int, str], tuple[float, float]]
"""(leaf, entity): the share of its cells with the kind's pattern, and with its pattern or its bare one."""


def count(cursor: Cursor, leaves: Sequence[Leaf], kinds: Iterable[Kind], asked: Iterable[tuple[int, Kind]]) -> Shares:
    """Count shapes in all leaves at once.

    Args:
        cursor: where the cells are lent to, and counted.
        leaves: whose cells.
        kinds: those that are looked for everywhere, if their tier is.
        asked: pairs of a leaf's place and a kind that its name speaks for.
    """
    rows = [(place, value) for place, leaf in enumerate(leaves) for value in leaf.values]
    if not rows:
        return {}
    sizes = {place: len(leaf.values) for place, leaf in enumerate(leaves)}
    cells = pa.table({"leaf": pa.array([r[0] for r in rows], pa.int32()), "v": [r[1] for r in rows]})
    cursor.attach(CELLS, cells)
    try:
        found = _everywhere(cursor, [kind for kind in kinds if kind.tier in ALWAYS], sizes)
        found.update(_where_asked(cursor, list(asked), sizes))
    finally:
        cursor.detach(CELLS)
    return found


def _matches(pattern: str) -> str:
    return f"regexp_full_match(v, {literal(pattern)}, 'i')"


def _everywhere(
    cursor: Cursor, kinds: Sequence[Kind], sizes: Mapping[int, int]
) -> dict[tuple[int, str], tuple[float, float]]:
    counted = ", ".join(f"count(*) FILTER ({_matches(kind.pattern)})" for kind in kinds)
    shares = {}
    for leaf, *counts in cursor.rows(f"SELECT leaf, {counted} FROM {CELLS} GROUP BY leaf"):
        for kind, hits in zip(kinds, counts, strict=True):
            if hits:
                shares[leaf, kind.entity] = (hits / sizes[leaf], hits / sizes[leaf])
    return shares


def _where_asked(
    cursor: Cursor, asked: Sequence[tuple[int, Kind]], sizes: Mapping[int, int]
) -> dict[tuple[int, str], tuple[float, float]]:
    asked = [(leaf, kind) for leaf, kind in asked if sizes[leaf]]
    if not asked:
        return {}
    counted = []
    for leaf, kind in asked:
        either = f"({_matches(kind.pattern)} OR {_matches(kind.bare)})" if kind.bare else _matches(kind.pattern)
        counted += [f"count(*) FILTER (leaf = {leaf} AND {test})" for test in (_matches(kind.pattern), either)]
    (counts,) = cursor.rows(f"SELECT {', '.join(counted)} FROM {CELLS}")
    return {
        (leaf, kind.entity): (counts[2 * place] / sizes[leaf], counts[2 * place + 1] / sizes[leaf])
        for place, (leaf, kind) in enumerate(asked)
    }


@lru_cache(maxsize=512)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE | re.ASCII)


def true_digits(kind: Kind, values: Sequence[str]) -> tuple[float, float]:
    """The share of cells with true check digits, and the same share after shuffling.

    The control takes the cells of equal shape and deals each place's characters out among them anew: it keeps what is
    constant and how digits are spread, and breaks what check digits tie together. A column of order numbers that
    passes a weak check by its form passes it shuffled too.
    """
    test = _test(kind)
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for value in values:
        groups[re.sub(r"[A-Z]", "A", re.sub(r"[a-z]", "a", re.sub(r"\d", "0", value)))].append(value)
    shuffled = [text for group in groups.values() for text in _dealt(group)]
    size = max(1, len(values))
    return sum(map(test, values)) / size, sum(map(test, shuffled)) / size


DRAWS = 200
"""Cells that are drawn for each, to see how often a check is true by chance."""


def by_chance(kind: Kind, values: Sequence[str]) -> float:
    """How likely a cell of this shape is to have true check digits by chance: the second half of its digits is drawn.

    Of cells that the pattern itself makes true hardly any is false, and the answer is near 1.
    """
    test, fits = _test(kind), _compiled(kind.pattern)
    source = random.Random(len(values))  # noqa: S311  (the same answer for the same column)
    drawn = [_drawn(value, source) for value in values for _ in range(DRAWS)]
    shaped = [value for value in drawn if fits.fullmatch(value)]
    return (sum(map(test, shaped)) + 1) / (len(shaped) + 1)


def _drawn(value: str, source: random.Random) -> str:
    digits = [place for place, char in enumerate(value) if char.isdigit()]
    late = frozenset(digits[len(digits) // 2 :])
    return "".join(str(source.randrange(10)) if place in late else char for place, char in enumerate(value))


def _test(kind: Kind) -> Callable[[str], bool]:
    pattern, check, raw = _compiled(kind.pattern), kind.check, kind.raw
    assert check is not None

    def test(value: str) -> bool:
        if pattern.fullmatch(value) is None:
            return False
        try:
            return check(value if raw else compact(value))
        except (ValueError, IndexError, KeyError):  # a custom pattern may let more through than its check can read
            return False

    return test


GROUP_MIN = 5
"""Cells of equal shape that can be dealt among each other; in smaller groups each cell is shuffled in itself."""


def _dealt(group: Sequence[str]) -> list[str]:
    source = random.Random(len(group))  # noqa: S311  (the same answer for the same column)
    if len(group) < GROUP_MIN:
        return [_shuffled(value, source) for value in group]
    places = []
    for place in zip(*group, strict=True):
        characters = list(place)
        source.shuffle(characters)
        places.append(characters)
    return ["".join(characters) for characters in zip(*places, strict=True)]


def _shuffled(value: str, source: random.Random) -> str:
    """The same characters, digits in places of digits, capitals in places of capitals; the first one stays."""
    characters = list(value)
    for kind in (str.isdigit, str.isupper, str.islower):
        places = [place for place, char in enumerate(characters) if place and kind(char)]
        drawn = [characters[place] for place in places]
        source.shuffle(drawn)
        for place, char in zip(places, drawn, strict=True):
            characters[place] = char
    return "".join(characters)
