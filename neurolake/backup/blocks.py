"""Which parts of a table have not changed, by the bytes that the engine's file holds of them.

To add up the hashes of all rows, the engine must decode them. Reading the blocks of its file that hold them costs a
fraction of that: where the same bytes are kept in the same way, the same values are. The digest of a part is the
SHA-256 of those blocks and of what the engine says of the segments in them. A part has none where its file's bytes
are not the whole truth: rows not yet in the file, values updated since, rows deleted.

The engine's own checksums of its blocks would not do. They are sums by exclusive or, in which two equal words leave no
trace, and the order of words none.
"""

from __future__ import annotations

import hashlib
import os
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from contextlib import suppress
from itertools import accumulate, groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from neurolake.sql.text import Name, literal

if TYPE_CHECKING:
    from neurolake._duckdb import Cursor
    from neurolake.backup.definitions import TableDefinition

__all__ = ["part_digests"]

PARTS_MIN = 4
"""Of a smaller table, comparing the values is as quick."""
HEADERS_BYTES = 3 * 4096
"""Before the first block. They change whenever the engine has written its changes into the file, and blocks that have
become free may be used again from then on."""
BLOCKS_AT_ONCE = 16
WITHOUT_BLOCK = ("Constant", "Empty Validity")
"""How segments are kept that need no block: their statistics are their values."""
AMBIGUOUS = "GEOMETRY"
"""Lines and sets of points are kept alike, and nothing that can be asked for tells which of them the bytes are."""


class Segment(NamedTuple):
    """What the engine says of a piece of one column within one row group."""

    row_group: int
    column: int
    name: str
    path: str
    number: int
    type: str
    start: int
    rows: int
    compression: str
    statistics: str
    block: int
    offset: int
    other_blocks: list[int]
    is_whole: bool


def part_digests(
    cursor: Cursor,
    file: int,
    definition: TableDefinition,
    part_rows: int,
    salt: int,
    pool: Executor,
    check: Callable[[], None],
) -> dict[int, str]:
    """The digests of a table's parts, by their number; without those that have none.

    Args:
        cursor: in whose transaction the table is seen.
        file: a descriptor of the engine's database.
        definition: the table.
        part_rows: a part holds the rows of so many row numbers.
        salt: mixed into the digests.
        pool: where blocks are read.
        check: raises when the work is to stop.
    """
    if any(AMBIGUOUS in column.type for column in definition.columns):
        return {}
    table = definition.full_name
    with suppress(OSError):  # then the values are compared, and the engine may say what is wrong
        headers = _read(file, 0, HEADERS_BYTES)
        groups = [list(group) for _, group in groupby(_segments(cursor, table), key=attrgetter("row_group"))]
        ends = list(accumulate(_rows(group) for group in groups))
        if not ends or ends[-1] < PARTS_MIN * part_rows or not _has_all_rows(cursor, table, ends[-1]):
            return {}
        whole = [group if all(segment.is_whole for segment in group) else [] for group in groups]
        blocks = _blocks(cursor, file, (segment for group in whole for segment in group), pool, check)
        if _read(file, 0, HEADERS_BYTES) != headers:
            return {}
        digests = [_digest([*group, *_contents(group, blocks)]) if group else "" for group in whole]
        return dict(_parts(digests, ends, part_rows, salt))
    return {}


def _segments(cursor: Cursor, table: Name) -> Iterator[Segment]:
    rows = cursor.rows(
        "SELECT row_group_id, column_id, column_name, column_path, segment_id, segment_type, start, count, "
        "compression, if(block_id < 0, CAST(stats AS VARCHAR), ''), ifnull(block_id, -1), block_offset, "
        f"additional_block_ids, persistent AND NOT has_updates FROM pragma_storage_info({literal(table.sql())}) "
        "ORDER BY row_group_id, column_id, column_path, segment_id"
    )
    for row in rows:
        segment = Segment._make(row)
        has_place = segment.block >= 0 or segment.compression in WITHOUT_BLOCK
        yield segment if has_place else segment._replace(is_whole=False)


def _rows(group: Iterable[Segment]) -> int:
    """The rows of a row group: which of them are null is kept beside every column, whatever its type."""
    return sum(segment.rows for segment in group if segment.path == "[0, 0]")


def _has_all_rows(cursor: Cursor, table: Name, rows: int) -> bool:
    """Whether all rows that the file holds are seen, so that row numbers are places in it."""
    ((seen, first, last),) = cursor.rows(f"SELECT count(*), min(rowid), max(rowid) FROM {table.sql()}")
    return (seen, first, last) == (rows, 0, rows - 1)


def _blocks(
    cursor: Cursor, file: int, segments: Iterable[Segment], pool: Executor, check: Callable[[], None]
) -> dict[int, bytes]:
    """The SHA-256 of each block that is used."""
    ((size,),) = cursor.rows("SELECT block_size FROM pragma_database_size() WHERE database_name = current_database()")
    used = sorted({block for segment in segments for block in _used(segment)})

    def hashed(some: list[int]) -> list[bytes]:
        return [hashlib.sha256(_read(file, HEADERS_BYTES + block * size, size)).digest() for block in some]

    batches = [used[start : start + BLOCKS_AT_ONCE] for start in range(0, len(used), BLOCKS_AT_ONCE)]
    found: dict[int, bytes] = {}
    for some, digests in zip(batches, pool.map(hashed, batches), strict=True):
        check()
        found |= zip(some, digests, strict=True)
    return found


def _read(file: int, offset: int, size: int) -> bytes:
    found = os.pread(file, size, offset)
    if len(found) != size:
        raise OSError("the file is shorter than it says")
    return found


def _used(segment: Segment) -> tuple[int, ...]:
    return (*((segment.block,) if segment.block >= 0 else ()), *segment.other_blocks)


def _contents(group: Iterable[Segment], blocks: dict[int, bytes]) -> list[list[bytes]]:
    return [[blocks[block] for block in _used(segment)] for segment in group]


def _parts(digests: list[str], ends: list[int], part_rows: int, salt: int) -> Iterator[tuple[int, str]]:
    """The digest of each part of whose row groups every one has one. They need not begin where a part does."""
    starts = [0, *ends[:-1]]
    for number in range(-(-ends[-1] // part_rows)):
        begin = number * part_rows
        within = range(bisect_right(ends, begin), bisect_left(starts, begin + part_rows))
        if all(digests[group] for group in within):
            yield number, _digest([salt, part_rows, *((starts[group] - begin, digests[group]) for group in within)])


def _digest(content: list[Any]) -> str:
    return hashlib.sha256(repr(content).encode()).hexdigest()
