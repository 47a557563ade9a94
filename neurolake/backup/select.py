"""The SELECTs of a snapshot over one table: its rows with their numbers and hashes, and what these add up to."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from neurolake.backup.encodings import encode, exact
from neurolake.identifiers import fold
from neurolake.sql.text import Name, quote
from neurolake.sql.types import parse_type

if TYPE_CHECKING:
    from neurolake.backup.manifest import Column

__all__ = ["ROW_HASH", "ROW_NUMBERS", "Ranges", "Select", "hides_row_numbers", "ranges_of", "slices"]

ROW_NUMBERS = "_neurolake_row"
ROW_HASH = "_neurolake_hash"

Ranges = list[tuple[int, int | None]]
"""From which row number on, and below which; None: to the end."""


class Select:
    """The SELECTs over one table.

    Args:
        counted: rows are numbered as they come, rather than by the place where the engine keeps them.
    """

    def __init__(self, name: Name, columns: Sequence[Column], salt: int, *, counted: bool = False) -> None:
        self._from = name.sql()
        self._columns = [column.name for column in columns]
        self._kinds = [parse_type(column.type) for column in columns]
        self._salt = salt
        self._row = "row_number() OVER () - 1" if counted or hides_row_numbers(columns) else "t.rowid"

    def _hash(self) -> str:
        values = [
            exact(encode(f"t.{quote(name)}", kind), kind) for name, kind in zip(self._columns, self._kinds, strict=True)
        ]
        return f"hash({', '.join([str(self._salt), *values])})"

    def text(self, ranges: Ranges) -> str:
        """All that goes into the files, with the row's number and hash; of some ranges of row numbers, or all."""
        values = [
            f"{encode(f't.{quote(name)}', kind)} AS {quote(name)}"
            for name, kind in zip(self._columns, self._kinds, strict=True)
        ]
        listed = ", ".join([*values, f"{self._row} AS {ROW_NUMBERS}", f"{self._hash()} AS {ROW_HASH}"])
        return f"SELECT {listed} FROM {self._from} t{self._where(ranges)}"

    def _where(self, ranges: Ranges) -> str:
        picked = [
            f"({self._row} >= {start}{'' if end is None else f' AND {self._row} < {end}'})" for start, end in ranges
        ]
        return f" WHERE {' OR '.join(picked)}" if picked else ""

    def total(self) -> str:
        """How many rows there are, and what their hashes add up to."""
        return f"SELECT count(*), sum({self._hash()}) FROM {self._from} t"

    def sums(self, part_rows: int, ranges: Ranges) -> str:
        """For each part within some row numbers its number, its rows, and what their hashes add up to."""
        start, end = ranges[0][0], ranges[-1][1]
        part = f"({self._row} - {start}) // {part_rows}"
        if end is not None:  # over groups of one byte the engine adds up in an array, without a hash table
            part = f"CAST({part} AS UTINYINT)"
        return (
            f"SELECT CAST(part AS BIGINT) + {start // part_rows} AS number, count(*), sum(hash) "
            f"FROM (SELECT {part} AS part, {self._hash()} AS hash "
            f"FROM {self._from} t{self._where(ranges)}) GROUP BY part ORDER BY number"
        )


def slices(rows: int, part_rows: int, kept: Collection[int], at_once: int) -> Iterator[Ranges]:
    """The row numbers of those parts that are not kept already, so many parts at once, the last first: it is where
    tables grow. That one has no end, for numbers go beyond the count of rows where some were deleted.

    >>> list(slices(25, 5, (), 2)), list(slices(25, 5, (1, 2), 4))
    ([[(20, None)], [(10, 20)], [(0, 10)]], [[(20, None)], [(0, 5), (15, 20)]])
    """
    last = max(rows - 1, 0) // part_rows
    for first in range(last // at_once * at_once, -1, -at_once):
        ranges = ranges_of([n for n in range(first, min(first + at_once, last + 1)) if n not in kept], part_rows)
        if ranges and ranges[-1][1] == (last + 1) * part_rows:
            ranges[-1] = ranges[-1][0], None
        if ranges:
            yield ranges


def ranges_of(numbers: Iterable[int], part_rows: int) -> Ranges:
    """The row numbers of parts, neighbours in one range.

    >>> ranges_of([0, 2, 3], 10)
    [(0, 10), (20, 40)]
    """
    found: Ranges = []
    for number in numbers:
        start, end = number * part_rows, (number + 1) * part_rows
        if found and found[-1][1] == start:
            found[-1] = found[-1][0], end
        else:
            found.append((start, end))
    return found


def hides_row_numbers(columns: Sequence[Column]) -> bool:
    """Whether a column has the name by which the engine gives the number of a row."""
    return any(fold(column.name) == "rowid" for column in columns)
