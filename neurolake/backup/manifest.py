"""The manifest of a snapshot: what it holds, which files, and how to know that they are whole.

It is one JSON file, written last and atomically: a snapshot without one is no snapshot. Its last member, `digest`, is
the SHA-256 of everything before it, so that a manifest that was changed is found.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from neurolake import errors
from neurolake.sql.text import Name

__all__ = [
    "FOLDED",
    "FORMAT",
    "Column",
    "Manifest",
    "Part",
    "Statement",
    "TableEntry",
    "in_order",
    "new_id",
    "read",
    "write",
]

FORMAT = 6
"""The newest that this release reads. What an older one can say is written as that."""
FOLDED = 3
"""From which on names are folded as the engine does, which makes a difference only beyond ASCII."""

WITH_HISTORY = 4
"""With the query history."""
WITH_MASK_KEYS = 5
"""With the keys of masks."""
WITH_BLOCKS = 6
"""With digests of the engine's blocks."""

_ID = re.compile(r"\d{8}t\d{6}_[0-9a-f]{6}\Z")


def new_id(moment: datetime) -> str:
    """An id that sorts by time and can stand in a schema's name.

    >>> new_id(datetime(2026, 11, 23, 13, 5, 0, tzinfo=UTC))[:16]
    '20261123t130500_'
    """
    return f"{moment.astimezone(UTC):%Y%m%dt%H%M%S}_{secrets.token_hex(3)}"


def is_id(text: str) -> bool:
    """Whether a text has the form of a snapshot's id.

    >>> is_id("20261123t130500_0a1b2c"), is_id("2026-11-23")
    (True, False)
    """
    return _ID.match(text) is not None


@dataclass(frozen=True, slots=True)
class Part:
    """One Parquet file of a table.

    Attributes:
        file: the SHA-256 of its bytes, which is its name in the repository.
        bytes: its size.
        rows: how many rows it has.
        sum: what the engine's hash of all its rows adds up to, modulo 2**64; found again when it is restored.
        columns: for each column its nulls and the sum of its values, as `neurolake.backup.sums` counts them.
        blocks: the digest of what the engine's file held of it, as `neurolake.backup.blocks` takes it; "" for none.
    """

    file: str
    bytes: int
    rows: int
    sum: int
    columns: tuple[tuple[int, int], ...]
    blocks: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    """One column: the engine's type, and the type it is written as where that is another."""

    name: str
    type: str
    written: str

    @property
    def is_encoded(self) -> bool:
        """Whether what stands in the file must be turned into the type again."""
        return self.type != self.written


@dataclass(frozen=True, slots=True)
class TableEntry:
    """One managed table: how it is made, and its rows.

    Attributes:
        sql: the statement that makes it.
        after: what comes once its rows are there: indexes and comments.
        columns: those with data; generated columns have none.
        part_rows: a part holds the rows of so many row numbers.
        needs: tables its foreign keys name, which must be made first.
        key: the columns of its primary key.
    """

    schema: str
    name: str
    sql: str
    after: tuple[str, ...]
    columns: tuple[Column, ...]
    part_rows: int
    parts: tuple[Part, ...]
    needs: tuple[str, ...] = ()
    key: tuple[str, ...] = ()

    @property
    def full_name(self) -> Name:
        """Its name with its schema."""
        return Name(self.schema, self.name)

    @property
    def rows(self) -> int:
        """How many rows it has."""
        return sum(part.rows for part in self.parts)

    @property
    def bytes(self) -> int:
        """The size of its files."""
        return sum(part.bytes for part in self.parts)


@dataclass(frozen=True, slots=True)
class Statement:
    """One object that is made by a statement: a schema, sequence, type, macro or view."""

    kind: str
    schema: str
    name: str
    sql: str
    after: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class External:
    """A copy of one file that a registered source reads, as it is.

    Attributes:
        path: where it lay below what all files of its source have in common.
        pattern: what the source reads below that: the same path, or a pattern.
        file: the SHA-256 of its bytes, with an ending where it is no Parquet.
        bytes: its size.
    """

    schema: str
    table: str
    path: str
    pattern: str
    file: str
    bytes: int

    @property
    def name(self) -> Name:
        """The source."""
        return Name(self.schema, self.table)


@dataclass(frozen=True, slots=True)
class Manifest:
    """One snapshot.

    Attributes:
        lake_id: which lake it was taken of.
        kind: full | schema | data.
        chosen: whether only some tables were asked for.
        salt: what the row sums are mixed with; the same along a line of snapshots.
        objects: in the order they are made.
        sources: registered sources, by reference.
        metadata: tables of the catalog, without secrets, by name.
        left_out: what is not in it, and why.
        bytes_new: bytes of data files that were written for it.
        number: counts the lake's snapshots, so that their order does not depend on its clock.
        masked: the role whose view of the data it is, under which version of the policies, and for each table what was
            done to which column and why; None for a snapshot of the data itself.
        external: copies of the files that its sources read, if they were asked for.
        history: the query history as one more table, if it was asked for.
        mask_keys: the secrets behind tokens and shifted dates, in a full snapshot of the lake that is sealed.
    """

    snapshot_id: str
    lake_id: str
    created_at: str
    kind: str
    chosen: bool
    engine: str
    salt: int
    tables: tuple[TableEntry, ...] = ()
    objects: tuple[Statement, ...] = ()
    sources: tuple[Mapping[str, Any], ...] = ()
    metadata: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    bytes_new: int = 0
    number: int = 0
    masked: Mapping[str, Any] | None = None
    external: tuple[External, ...] = ()
    history: tuple[TableEntry, ...] = ()
    mask_keys: Mapping[str, Any] = field(default_factory=dict, repr=False)
    format: int = 1

    @property
    def role(self) -> str | None:
        """The role whose view of the data a masked snapshot is."""
        return None if self.masked is None else str(self.masked["role"])

    @property
    def rows(self) -> int:
        """Rows of all tables."""
        return sum(table.rows for table in self.tables)

    @property
    def bytes(self) -> int:
        """Bytes of all its files, each counted once."""
        return sum({stored.file: stored.bytes for stored in self.stored()}.values())

    @property
    def moment(self) -> datetime:
        """When its transaction began."""
        return datetime.fromisoformat(self.created_at)

    @property
    def kept_tables(self) -> tuple[TableEntry, ...]:
        """The tables, and the history where it is one more."""
        return (*self.tables, *self.history)

    def parts(self) -> Iterator[Part]:
        """Every part of every table, and of the history."""
        for table in self.kept_tables:
            yield from table.parts

    def stored(self) -> Iterator[Part | External]:
        """Everything of it that is a file of the repository."""
        yield from self.parts()
        yield from self.external

    def files(self) -> frozenset[str]:
        """The files it needs."""
        return frozenset(stored.file for stored in self.stored())

    def table(self, name: Name) -> TableEntry | None:
        """The table of that name."""
        return next((table for table in self.tables if table.full_name.fold() == name.fold()), None)


def in_order(manifests: Iterable[Manifest]) -> list[Manifest]:
    """Each lake's snapshots in the order they were taken, those of several lakes by time.

    A snapshot that was taken under a clock that had been set back stands after those before it all the same.
    """
    until: dict[str, datetime] = {}
    placed: list[tuple[datetime, int, Manifest]] = []
    for manifest in sorted(manifests, key=lambda one: (one.number, one.moment)):
        latest = max(manifest.moment, until.get(manifest.lake_id, manifest.moment))
        until[manifest.lake_id] = latest
        placed.append((latest, len(placed), manifest))
    return [manifest for _, _, manifest in sorted(placed, key=lambda one: one[:2])]


def write(manifest: Manifest) -> bytes:
    """The manifest as it is stored."""
    content = dataclasses.asdict(manifest)
    later = {key: content.pop(key) for key in ("masked", "external", "history", "mask_keys")}
    said = {key: value for key, value in later.items() if value}
    if said:
        content |= said | {"format": 2}
    if not _is_plain(manifest):
        content["format"] = FOLDED
    if manifest.history:
        content["format"] = WITH_HISTORY
    if manifest.mask_keys:
        content["format"] = WITH_MASK_KEYS
    if _without_empty_digests(content):
        content["format"] = WITH_BLOCKS
    return _rendered(content | {"digest": _digest(content)})


def _without_empty_digests(content: Mapping[str, Any]) -> bool:
    """Take out what an older release does not know where it says nothing; whether anything is left of it."""
    parts = [part for table in (*content["tables"], *content.get("history", ())) for part in table["parts"]]
    for part in parts:
        if not part["blocks"]:
            del part["blocks"]
    return any("blocks" in part for part in parts)


def _is_plain(manifest: Manifest) -> bool:
    """Whether no name or decision in it has a letter beyond ASCII."""
    tables = [(*table.full_name, *(column.name for column in table.columns)) for table in manifest.tables]
    others = [(one.schema, one.name) for one in manifest.objects]
    return json.dumps([tables, others, manifest.sources, manifest.metadata], ensure_ascii=False).isascii()


def read(data: bytes, where: str) -> Manifest:
    """Read a stored manifest.

    Raises:
        SourceFailed: `snapshot_corrupt`: it is no manifest, or was changed.
        NotSupported: `snapshot_too_new`: a newer release wrote it.
    """
    try:
        content = json.loads(data)
        digest = content.pop("digest")
        version = content["format"]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise damaged(where, "it is not whole") from None
    if isinstance(version, int) and version > FORMAT:
        raise errors.NotSupported(
            f"The snapshot {where} has format {version}; this release reads up to {FORMAT}.",
            code="snapshot_too_new",
            next_step="Use the release that took it, or a newer one.",
        )
    if digest != _digest(content):
        raise damaged(where, "it was changed after it was written")
    try:
        return _manifest(content)
    except (TypeError, KeyError, ValueError):
        raise damaged(where, "it does not say what a manifest must") from None


def damaged(where: str, why: str) -> errors.SourceFailed:
    """The error of a manifest that cannot be trusted."""
    return errors.SourceFailed(
        f"The manifest {where} is damaged: {why}.",
        code="snapshot_corrupt",
        next_step="Restore from another snapshot or repository; `neurolake backup verify --all` shows which are whole.",
    )


def _manifest(content: dict[str, Any]) -> Manifest:
    tables = tuple(_table(entry) for entry in content.pop("tables"))
    objects = tuple(Statement(**{**entry, "after": tuple(entry["after"])}) for entry in content.pop("objects"))
    content |= {key: tuple(content[key]) for key in ("sources", "left_out")}
    content["external"] = tuple(External(**one) for one in content.get("external", ()))
    content["history"] = tuple(_table(entry) for entry in content.get("history", ()))
    return Manifest(tables=tables, objects=objects, **content)


def _table(entry: dict[str, Any]) -> TableEntry:
    parts = tuple(
        Part(**{**part, "columns": tuple((nulls, total) for nulls, total in part["columns"])})
        for part in entry.pop("parts")
    )
    columns = tuple(Column(**column) for column in entry.pop("columns"))
    entry |= {key: tuple(entry[key]) for key in ("after", "needs", "key")}
    return TableEntry(columns=columns, parts=parts, **entry)


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _rendered(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, indent=1, ensure_ascii=False).encode()
