"""From the engine's rows to Parquet files: streamed, cut by row numbers, hashed and written by several threads at once.

A part holds the rows whose row numbers fall into one range. The bytes that the engine's file holds of them, or else
what the engine's hash of the rows adds up to, say whether it holds what an earlier snapshot's part held: then that file
stands for it, and nothing is written.
"""

from __future__ import annotations

import hashlib
import secrets
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neurolake.backup.blocks import part_digests
from neurolake.backup.folder import mapped
from neurolake.backup.manifest import Part, TableEntry
from neurolake.backup.select import ROW_HASH, ROW_NUMBERS, Ranges, Select, hides_row_numbers, ranges_of, slices
from neurolake.sql.text import Name

if TYPE_CHECKING:
    import pyarrow as pa

    from neurolake._duckdb import Cursor
    from neurolake.backup.definitions import TableDefinition
    from neurolake.backup.repository import Repository
    from neurolake.config import Settings

__all__ = ["PART_ROWS", "PartWriter", "Writer", "cut", "rows_of_part", "threads_of"]

PART_ROWS = 122_880
"""Row numbers in a part: one row group of the engine's."""
PART_BYTES_MAX = 64 << 20
"""A part of wide rows holds fewer, so that its Arrow data stays below this on average."""
COMPRESSION_LEVEL = 3
SAMPLE_ROWS = 4096
NUMBERS, TEXTS = "DELTA_BINARY_PACKED", "DELTA_LENGTH_BYTE_ARRAY"
NUMBER_REPEATS, TEXT_REPEATS = 32, 2
"""How often a value must come, on average, for a dictionary to be smaller than the other encoding."""
SLICE_PARTS = 8
"""Parts that are compared at once, for each thread."""
SLICE_PARTS_MAX = 256
"""In all, so that a byte tells them apart."""
WAITING_MAX = 2
"""Parts that wait for the disk or the network while others are compressed."""
_SUM = 1 << 64


def threads_of(settings: Settings) -> int:
    """How many parts are written at once."""
    return settings.snapshot_threads or settings.threads


@dataclass(frozen=True, slots=True)
class Written:
    """One part and whether its file is new to the repository."""

    part: Part
    is_new: bool


class PartWriter:
    """Writes rows into one repository as parts, several at once.

    Args:
        repository: where the files go.
        threads: how many parts are written at once.
        check: called between parts; raises when the work is to stop.
        reuse: whether a file of the same name and size is taken for the same; else it is read, and replaced if damaged.
        said: key-value metadata of every file. Such a file is the same whatever batches its rows came in.
    """

    def __init__(
        self,
        repository: Repository,
        threads: int,
        check: Callable[[], None],
        *,
        reuse: bool = True,
        said: Mapping[str, str] | None = None,
    ) -> None:
        self._repository = repository
        self._check = check
        self._at_once = threads + WAITING_MAX
        self._reuse = reuse
        self._said = said
        self._pool = ThreadPoolExecutor(self._at_once, thread_name_prefix="neurolake-snapshot")
        self._staging = repository.files.staging / secrets.token_hex(8)
        with mapped(repository.files.staging):
            self._staging.mkdir(parents=True, mode=0o700)
        self.bytes_new = 0

    def parts(self, gathered: Iterable[tuple[int, list[pa.RecordBatch]]]) -> dict[int, Part]:
        """Write rows as they come from `cut`; the parts by their number."""
        parts: dict[int, Part] = {}
        steps = self._repository.steps
        waiting: deque[tuple[int, Future[Written]]] = deque()

        def settle() -> None:
            number, future = waiting.popleft()
            written = future.result()
            parts[number] = written.part
            self.bytes_new += written.part.bytes * written.is_new
            steps.add(bytes=written.part.bytes, rows=written.part.rows)

        try:
            for number, batches in gathered:
                self._check()
                waiting.append((number, self._pool.submit(self._part, batches)))
                while len(waiting) > self._at_once:
                    settle()
            while waiting:
                settle()
        finally:
            for _, future in waiting:
                future.cancel()
        return parts

    def close(self) -> None:
        """Stop the threads and remove what they left."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        for left in self._staging.glob("*"):
            left.unlink()
        self._staging.rmdir()

    def _part(self, batches: list[pa.RecordBatch]) -> Written:
        """Write one part under its hash."""
        import pyarrow as pa
        import pyarrow.compute as pc
        import pyarrow.parquet as parquet

        from neurolake.backup.sums import column_sums

        rows = pa.Table.from_batches(batches)
        total = int(pc.sum(rows[ROW_HASH]).as_py() or 0) % _SUM
        rows = rows.drop_columns([ROW_NUMBERS, ROW_HASH])
        if self._said:
            rows = rows.combine_chunks()
        path = self._staging / f"{secrets.token_hex(8)}.parquet"
        with mapped(self._staging):
            with (
                _HashingFile(path) as file,
                parquet.ParquetWriter(
                    file, rows.schema, compression="zstd", compression_level=COMPRESSION_LEVEL, store_schema=False,
                    store_decimal_as_integer=True, **_encodings(rows),
                ) as writer,
            ):  # fmt: skip
                writer.write_table(rows, row_group_size=PART_ROWS)
                if self._said:
                    writer.add_key_value_metadata(self._said)
            size = path.stat().st_size
        digest = file.digest()
        part = Part(digest, size, rows.num_rows, total, column_sums(rows))
        return Written(part, self._repository.add(path, digest, size, trusting=self._reuse))


class Writer(PartWriter):
    """Writes tables of one cursor's transaction into one repository.

    Args:
        cursor: with the open transaction.
        salt: mixed into the row hashes.
        file: a descriptor of the engine's database; None where it is in memory.
        reuse: moreover, whether parts of an earlier snapshot may stand for what has not changed.
    """

    def __init__(
        self,
        cursor: Cursor,
        repository: Repository,
        salt: int,
        threads: int,
        check: Callable[[], None],
        *,
        file: int | None = None,
        reuse: bool = True,
    ) -> None:
        super().__init__(repository, threads, check, reuse=reuse)
        self._cursor = cursor
        self._salt = salt
        self._file = file
        self._slice_parts = min(SLICE_PARTS * threads, SLICE_PARTS_MAX)
        self._rows: dict[Name, int] = {}
        self._there = repository.sizes() if reuse else {}

    def begin(self, tables: Iterable[tuple[TableDefinition, TableEntry | None]]) -> None:
        """Say how many rows are to be gone through: those that may be as before are first compared, then written."""
        total = 0
        for definition, before in tables:
            ((rows,),) = self._cursor.rows(f"SELECT count(*) FROM {definition.full_name.sql()}")
            self._rows[definition.full_name] = int(rows)
            total += int(rows) * (2 if self._known(before, definition) else 1)
        self._repository.steps.begin("writing tables", rows_total=total)

    def _known(self, before: TableEntry | None, definition: TableDefinition) -> dict[tuple[int, int], Part]:
        return _by_content(before, definition) if self._reuse else {}

    def table(self, definition: TableDefinition, before: TableEntry | None) -> TableEntry:
        """Write one table; parts that `before` has already are taken from there."""
        select = Select(definition.full_name, definition.columns, self._salt)
        part_rows = before.part_rows if before is not None else self._part_rows(select)
        digests = self._digests(definition, part_rows)
        if known := self._known(before, definition):
            parts = self._unchanged(digests, known.values())
            others = slices(self._rows[definition.full_name], part_rows, parts, self._slice_parts)
            parts |= self.parts(self._changed(select, part_rows, known, others, parts))
        else:
            parts = self.parts(self._read(select, part_rows, []))
        return TableEntry(
            definition.schema, definition.name, definition.sql, definition.after, definition.columns, part_rows,
            tuple(replace(part, blocks=digests.get(number, "")) for number, part in sorted(parts.items())),
            definition.needs, definition.key,
        )  # fmt: skip

    def _digests(self, definition: TableDefinition, part_rows: int) -> dict[int, str]:
        """The digests of what the engine's file holds of the parts."""
        if self._file is None or hides_row_numbers(definition.columns):
            return {}
        return part_digests(self._cursor, self._file, definition, part_rows, self._salt, self._pool, self._check)

    def _unchanged(self, digests: Mapping[int, str], known: Iterable[Part]) -> dict[int, Part]:
        """The parts of which the engine's file holds what it held of one in an earlier snapshot."""
        earlier = {part.blocks: part for part in known if part.blocks and self._is_there(part)}
        found = {number: earlier[digest] for number, digest in digests.items() if digest in earlier}
        self._repository.steps.add(rows=2 * sum(part.rows for part in found.values()))
        return found

    def _is_there(self, part: Part) -> bool:
        return self._there.get(part.file) == part.bytes

    def _part_rows(self, select: Select) -> int:
        """How many rows a part may have, judged by the first few."""
        sample = self._cursor.table(f"SELECT * FROM ({select.text([])}) LIMIT 2048")
        return rows_of_part(sample)

    def _changed(
        self,
        select: Select,
        part_rows: int,
        known: Mapping[tuple[int, int], Part],
        slices: Iterable[Ranges],
        kept: dict[int, Part],
    ) -> Iterator[tuple[int, list[pa.RecordBatch]]]:
        """The rows of parts that an earlier snapshot does not have; those it has are noted in `kept`.

        Slice by slice: what has changed in one is compressed while the next is compared.
        """
        for compared in slices:
            if ranges := self._compared(select.sums(part_rows, compared), part_rows, known, kept):
                yield from self._read(select, part_rows, ranges)

    def _compared(
        self, sums: str, part_rows: int, known: Mapping[tuple[int, int], Part], kept: dict[int, Part]
    ) -> Ranges:
        """The ranges of row numbers that an earlier snapshot does not have."""
        changed: list[int] = []
        for number, rows, total in self._cursor.rows(sums):
            self._repository.steps.add(rows=rows)
            found = known.get((rows, total % _SUM))
            if found is not None and self._is_there(found):
                kept[number] = found
                self._repository.steps.add(rows=rows)
            else:
                changed.append(number)
        return ranges_of(changed, part_rows)

    def _read(self, select: Select, part_rows: int, ranges: Ranges) -> Iterator[tuple[int, list[pa.RecordBatch]]]:
        reader = self._cursor.stream(select.text(ranges))
        try:
            yield from cut(self._batches(reader), part_rows)
        finally:
            reader.close()

    def _batches(self, reader: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
        while True:
            try:
                batch = reader.read_next_batch()
            except StopIteration:
                return
            except OSError as problem:
                raise self._cursor.stream_problem(problem) from None
            yield batch


def rows_of_part(sample: pa.Table | pa.RecordBatch) -> int:
    """How many rows a part may have, judged by some of them."""
    rows = PART_ROWS
    while sample.num_rows and rows > 2048 and sample.nbytes / sample.num_rows * rows > PART_BYTES_MAX:
        rows //= 2
    return rows


def _encodings(rows: pa.Table) -> dict[str, Any]:
    """How columns are encoded before they are compressed: what saves space saves the time to compress it.

    A dictionary where the first values repeat; else differences of neighbours for numbers and times, and the lengths
    of texts apart from their letters. Readers have had both since Parquet 2.
    """
    import pyarrow.compute as pc

    first = rows.slice(0, SAMPLE_ROWS)
    repetitive: list[str] = []
    others: dict[str, str] = {}
    for name, kind in zip(first.column_names, first.schema.types, strict=True):
        encoding = _encoding(kind)
        if kind.num_fields or (encoding and "." in name):  # a dot would name a field within a struct
            continue
        rarely = NUMBER_REPEATS if encoding == NUMBERS else TEXT_REPEATS
        if rarely * pc.count_distinct(first[name]).as_py() < first.num_rows:
            repetitive.append(name)
        elif encoding:
            others[name] = encoding
    return {"use_dictionary": repetitive, "column_encoding": others}


def _encoding(kind: pa.DataType) -> str | None:
    """The encoding of values that do not repeat; None for the plain one."""
    from pyarrow import types

    if types.is_integer(kind) or types.is_temporal(kind) or (types.is_decimal(kind) and kind.precision <= 18):
        return NUMBERS
    return TEXTS if types.is_string(kind) or types.is_binary(kind) else None


class _HashingFile:
    """A file that is hashed while it is written: Parquet is written from the front to the back."""

    closed = False

    def __init__(self, path: Path) -> None:
        self._file = path.open("xb")
        self._hash = hashlib.sha256()

    def __enter__(self) -> _HashingFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(self, data: bytes) -> int:
        self._hash.update(data)
        return self._file.write(data)

    def tell(self) -> int:
        return self._file.tell()

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self.closed = True
        self._file.close()

    def digest(self) -> str:
        """The SHA-256 of what was written."""
        return self._hash.hexdigest()


def _by_content(before: TableEntry | None, definition: TableDefinition) -> dict[tuple[int, int], Part]:
    """The parts of an earlier snapshot, if the table has had the same columns since."""
    if before is None or before.columns != definition.columns or hides_row_numbers(before.columns):
        return {}
    return {(part.rows, part.sum): part for part in before.parts}


def cut(batches: Iterable[pa.RecordBatch], part_rows: int) -> Iterator[tuple[int, list[pa.RecordBatch]]]:
    """Rows gathered by part: (number, batches). Row numbers come in order."""
    current = -1
    gathered: list[pa.RecordBatch] = []
    for batch in batches:
        numbers = batch.column(ROW_NUMBERS)
        start = 0
        while start < batch.num_rows:
            number = numbers[start].as_py() // part_rows
            end = _first_from(numbers, (number + 1) * part_rows, start, batch.num_rows)
            if number != current:
                assert number > current, "rows came out of order"
                if gathered:
                    yield current, gathered
                current, gathered = number, []
            gathered.append(batch.slice(start, end - start))
            start = end
    if gathered:
        yield current, gathered


def _first_from(numbers: pa.Array, bound: int, low: int, high: int) -> int:
    """The first place whose number is not below the bound."""
    while low < high:
        middle = (low + high) // 2
        if numbers[middle].as_py() < bound:
            low = middle + 1
        else:
            high = middle
    return low
