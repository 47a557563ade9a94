"""Read a little of a table: a few short runs of rows, spread over it, whatever its size."""

from __future__ import annotations

import glob
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa

from neurolake import errors
from neurolake._duckdb import CATALOG, Cursor
from neurolake.identifiers import fold, folded_sql
from neurolake.sources import relation
from neurolake.sql.text import Name, columns, literal, quote

if TYPE_CHECKING:
    from neurolake.activity import Activity
    from neurolake.catalog import Source
    from neurolake.engine import Engine

__all__ = ["SPOTS", "SPOT_ROWS", "Sample", "any_value", "borrowed", "files_of", "identity", "pieces", "read", "short"]

SPOTS = 8
SPOT_ROWS = 125
"""Eight runs of 125 rows: what is personal is so in nearly every cell, and sparse data is another pass's work."""
PIECE_ROWS = 122_880
"""A row group of the engine's own tables."""
COLUMNS_AT_ONCE = 8
_NESTED = re.compile(r"[(\[]|\bJSON\b|\bVARIANT\b")
"""Stands in the type of a column that has parts. (A decimal does no harm as JSON.)"""
_ROWID, _IN_FILE = "rowid", "file_row_number"
"""What the engine calls the number of a row in a table and in a file, unless a column of it is called so."""
_ROW = "_neurolake_row"
_HERE = f"{folded_sql('schema_name')} = ? AND {folded_sql('table_name')} = ?"
FILES_MAX = SPOTS
"""Files of one source that are opened."""


class Sample(NamedTuple):
    """Rows of a table, its columns' DuckDB types, its files, and those of them that were to be looked at."""

    rows: pa.Table
    types: Mapping[str, str]
    files: tuple[str, ...] = ()
    new: tuple[str, ...] = ()


@contextmanager
def borrowed(engine: Engine, activity: Activity | None) -> Iterator[Cursor]:
    """A cursor for the block, which ends with the statement that it works for."""
    cursor = engine.instance.acquire()
    try:
        if activity is not None:
            activity.use(cursor, "running")
        yield cursor
    finally:
        if activity is not None:
            activity.leave()
        engine.instance.release(cursor)


def read(
    engine: Engine, name: Name, new_since: frozenset[str] | None = None, activity: Activity | None = None
) -> Sample:
    """Take a sample of a table, view or source.

    Args:
        engine: whose table.
        name: which.
        activity: the statement that asks, which may be cancelled.
        new_since: for a source, short hashes of files that were looked at before: the sample is of the
            others, and empty without any.

    Raises:
        NotFound: there is no such table.
    """
    source = engine.catalog.sources.get(name.fold())
    with borrowed(engine, activity) as cursor:
        return _managed(cursor, name) if source is None else _source(engine, cursor, source, new_since)


def identity(engine: Engine, name: Name) -> tuple[object, ...]:
    """What differs as soon as another table stands under the name, or the same with other columns."""
    if (source := engine.catalog.sources.get(name.fold())) is not None:
        where = "WHERE table_schema = ? AND table_name = ?"
        return tuple(engine.store.rows(f"SELECT location, registered_at FROM sources {where}", source.name))
    sql = (
        "SELECT table_oid, column_name, data_type FROM duckdb_columns() WHERE database_name = ? "
        f"AND {_HERE} ORDER BY column_index"
    )
    return tuple(engine.instance.acquire_and(lambda cursor: cursor.rows(sql, [CATALOG, *name.fold()])))


def pieces(
    cursor: Cursor, engine: Engine, name: Name, texts: Sequence[str], files: Sequence[str] = ()
) -> Iterator[str]:
    """All rows of a relation in pieces of some ten thousand, each as SQL with these columns as text.

    A piece is about what one thread of the engine reads at a time, so that a pass over them leaves it the others.

    Args:
        cursor: for the numbers of rows.
        engine: whose relation.
        name: which.
        texts: its columns.
        files: those of a source whose rows are wanted.
    """
    source = engine.catalog.sources.get(name.fold())
    if source is None:
        yield from _pieces_of_managed(cursor, name, texts)
        return
    engine.storage.refresh(source.location)
    for file in files:
        reader = _reader(source, file)
        there = {fold(column) for column in cursor.bind(f"SELECT * FROM {reader}").names}
        shown = ", ".join(
            f"CAST({quote(text) if fold(text) in there else 'NULL'} AS VARCHAR) AS {quote(text)}"
            for text in texts
        )  # fmt: skip
        if source.format != "parquet" or _IN_FILE in there:
            yield f"(SELECT {shown} FROM {reader})"
            continue
        rows = cursor.rows(f"SELECT num_rows FROM parquet_file_metadata({literal(file)})")[0][0]
        numbered = _reader(source, file, f", {_IN_FILE} := true")
        for start in range(0, rows, PIECE_ROWS):
            here = f"{_IN_FILE} BETWEEN {start} AND {start + PIECE_ROWS - 1}"
            yield f"(SELECT {shown} FROM {numbered} WHERE {here})"


def _pieces_of_managed(cursor: Cursor, name: Name, texts: Sequence[str]) -> Iterator[str]:
    sql = f"SELECT 1 FROM duckdb_tables() WHERE database_name = ? AND {_HERE}"
    named = {fold(column) for column in cursor.bind(f"SELECT * FROM {name.sql()}").names}
    if not cursor.rows(sql, [CATALOG, *name.fold()]) or _ROWID in named:  # a view has no numbers of rows
        yield name.sql()
        return
    ((last,),) = cursor.rows(f"SELECT max({_ROWID}) FROM {name.sql()}")
    for start in range(0, 0 if last is None else last + 1, PIECE_ROWS):
        here = f"{_ROWID} BETWEEN {start} AND {start + PIECE_ROWS - 1}"
        yield f"(SELECT {columns(texts)} FROM {name.sql()} WHERE {here})"


def _managed(cursor: Cursor, name: Name) -> Sample:
    binding = cursor.bind(f"SELECT * FROM {name.sql()}")
    types = dict(zip(binding.names, binding.types, strict=True))
    sql = f"SELECT estimated_size FROM duckdb_tables() WHERE database_name = ? AND {_HERE}"
    found = cursor.rows(sql, [CATALOG, *name.fold()])
    if not found or (found[0][0] or 0) <= 2 * SPOTS * SPOT_ROWS:
        return Sample(cursor.table(f"SELECT * FROM {name.sql()} LIMIT {SPOTS * SPOT_ROWS}"), types)
    number, numbered = _numbered(types, _ROWID, name.sql(), name.sql())
    where = " OR ".join(f"{number} BETWEEN {start} AND {end}" for start, end in _spots(found[0][0], SPOTS))
    rows = cursor.table(f"SELECT {columns(types)} FROM {numbered} WHERE {where}")
    # A column that few rows have is looked for where it is.
    empty = [column for column, cells in zip(rows.column_names, rows.columns, strict=True) if not _filled(cells)]
    more = [
        cursor.table(f"SELECT {quote(one)} FROM {name.sql()} WHERE {quote(one)} IS NOT NULL LIMIT {SPOT_ROWS}")
        for one in empty
    ]
    return Sample(pa.concat_tables([rows, *more], promote_options="default"), types)


def _numbered(names: Iterable[str], number: str, counting: str, plain: str) -> tuple[str, str]:
    """What the number of a row is called, and the relation that has it: counted anew where a column takes its name."""
    if number not in map(fold, names):
        return number, counting
    return _ROW, f"(SELECT *, row_number() OVER () - 1 AS {_ROW} FROM {plain})"


def _filled(cells: pa.ChunkedArray) -> bool:
    return bool(len(cells) - cells.null_count >= SPOTS)


def any_value(engine: Engine, name: Name, names: Sequence[str]) -> bool:
    """Whether any of a table's columns has a value in any row."""
    met = " OR ".join(f"{quote(one)} IS NOT NULL" for one in names)
    sql = f"SELECT 1 FROM {name.sql()} WHERE {met} LIMIT 1"
    return bool(engine.instance.acquire_and(lambda cursor: cursor.rows(sql)))


def _spots(rows: int, count: int, share: float = 0.0) -> Iterator[tuple[int, int]]:
    """The first and last row of runs spread evenly over so many rows; a single run is put at `share` of them.

    >>> list(_spots(1000, 2)), list(_spots(100, 2)), list(_spots(1000, 1, 1.0))
    ([(0, 124), (875, 999)], [(0, 99)], [(875, 999)])
    """
    if rows <= count * SPOT_ROWS:
        yield 0, max(0, rows - 1)
        return
    for spot in range(count):
        start = (rows - SPOT_ROWS) * spot // (count - 1) if count > 1 else int((rows - SPOT_ROWS) * share)
        yield start, start + SPOT_ROWS - 1


def _source(engine: Engine, cursor: Cursor, source: Source, new_since: frozenset[str] | None) -> Sample:
    engine.storage.refresh(source.location)
    binding = cursor.bind(f"SELECT * FROM {relation.reader(source.location, source.format, source.options)}")
    types = dict(zip(binding.names, binding.types, strict=True))
    files = files_of(cursor, source)
    wanted = [file for file in files if new_since is None or short(file) not in new_since]
    chosen = list(zip(files_ := _spread(wanted, FILES_MAX), _shown(cursor, source, files_, types), strict=True))
    if source.format == "parquet":
        parts = list(_parquet(cursor, source, chosen))
    else:
        each = SPOTS * SPOT_ROWS // max(1, len(chosen))
        parts = [
            cursor.table(f"SELECT {', '.join(shown)} FROM {_reader(source, file)} LIMIT {each}")
            for file, shown in chosen
            if shown
        ]
    rows = pa.concat_tables(parts, promote_options="permissive") if parts else _empty(binding.schema)
    return Sample(rows, types, tuple(files), tuple(wanted))


def _shown(cursor: Cursor, source: Source, files: Sequence[str], types: Mapping[str, str]) -> Iterator[Sequence[str]]:
    """The columns of each file as SQL that gives them the types of the whole set: read alone a file has its own.

    Nested columns that are not the same in all files become JSON, so that nothing in them is lost.
    """
    met = [cursor.bind(f"SELECT * FROM {_reader(source, file)}") for file in files]
    of_files = [{fold(name): kind for name, kind in zip(one.names, one.types, strict=True)} for one in met]
    as_json = {
        name
        for name, kind in types.items()
        if any(
            (own := one.get(fold(name), kind)) != kind and (_NESTED.search(own) or _NESTED.search(kind))
            for one in of_files
        )
    }
    for there in of_files:
        yield [
            _as(name, there[fold(name)], None if name in as_json else kind)
            for name, kind in types.items()
            if fold(name) in there
        ]


def _as(name: str, own: str, wanted: str | None) -> str:
    quoted = quote(name)
    if wanted is None:
        return f"CAST(to_json({quoted}) AS VARCHAR) AS {quoted}"
    return quoted if own == wanted else f"TRY_CAST({quoted} AS {wanted}) AS {quoted}"


def _empty(schema: pa.Schema | None) -> pa.Table:
    """A table without rows."""
    return (schema or pa.schema([])).empty_table()


def short(file: str) -> str:
    """A short hash of a file's name."""
    return hashlib.blake2b(file.encode(), digest_size=6).hexdigest()


def files_of(cursor: Cursor, source: Source) -> list[str]:
    """The files that a source has now."""
    try:
        return [row[0] for row in cursor.rows(f"SELECT file FROM glob({literal(source.location)}) ORDER BY 1")]
    except errors.NeuroLakeError:
        return [source.location]  # a scheme whose files cannot be listed, such as a single URL


def _spread(files: Sequence[str], count: int) -> list[str]:
    """So many files at most, evenly from the first to the last.

    >>> _spread("abcdefghi", 3), _spread("ab", 3)
    (['a', 'e', 'i'], ['a', 'b'])
    """
    if len(files) <= count:
        return list(files)
    return [files[(len(files) - 1) * place // (count - 1)] for place in range(count)]


def _reader(source: Source, file: str, extra: str = "") -> str:
    location = file if "://" in file else glob.escape(file)
    return relation.reader(location, source.format, source.options)[:-1] + extra + ")"


def _grouped(spots: Sequence[str], groups: int) -> list[Sequence[str]]:
    """Runs that lie in one row group are read together: each reading decodes all of the group.

    >>> _grouped("abcd", 2), _grouped("abc", 9), _grouped("abc", 0)
    (['ab', 'cd'], ['a', 'b', 'c'], ['abc'])
    """
    each = -(-len(spots) // max(1, groups))
    return [spots[at : at + each] for at in range(0, len(spots), each)]


def _parquet(cursor: Cursor, source: Source, files: Sequence[tuple[str, Sequence[str]]]) -> Iterator[pa.Table]:
    """A few runs of rows of each file, a few columns at a time: a run costs the memory of the row group it is in."""
    if not files:
        return
    each = SPOTS // len(files)
    for place, (file, shown) in enumerate(files):
        ((count, groups),) = cursor.rows(f"SELECT num_rows, num_row_groups FROM parquet_file_metadata({literal(file)})")
        spots = _spots(int(count), each, place / max(1, len(files) - 1))
        plain = _reader(source, file)
        names = cursor.bind(f"SELECT * FROM {plain}").names
        number, reader = _numbered(names, _IN_FILE, _reader(source, file, f", {_IN_FILE} := true"), plain)
        runs = _grouped([f"{number} BETWEEN {a} AND {b}" for a, b in spots], int(groups))
        parts = [
            pa.concat_tables(
                cursor.table(f"SELECT {', '.join(some)} FROM {reader} WHERE {' OR '.join(run)}") for run in runs
            )
            for some in (shown[at : at + COLUMNS_AT_ONCE] for at in range(0, len(shown), COLUMNS_AT_ONCE))
        ]
        yield pa.table(
            [column for part in parts for column in part.columns],
            schema=pa.schema([field for part in parts for field in part.schema]),
        )
