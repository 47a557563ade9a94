"""What a client asks for in a FlightDescriptor or a ticket, as plain values.

`decode` takes the bytes of either. It raises our own errors only, never protobuf's, and its work is bounded by
`COMMAND_BYTES_MAX` and `ITEMS_MAX`.

>>> from flight.protocol import messages
>>> data = messages.pack(messages.message("sql.CommandGetTables")(table_name_filter_pattern="ord%"))
>>> decode(data)
GetTables(catalog=None, schema_pattern=None, table_pattern='ord%', table_types=(), include_schema=False)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, TypeAlias

from google.protobuf.message import DecodeError

from flight.protocol import messages
from neurolake.errors import InvalidRequest, LimitReached, NotSupported

__all__ = [
    "COMMAND_BYTES_MAX",
    "ITEMS_MAX",
    "Command",
    "GetCatalogs",
    "GetCrossReference",
    "GetDbSchemas",
    "GetExportedKeys",
    "GetImportedKeys",
    "GetPrimaryKeys",
    "GetSqlInfo",
    "GetTableTypes",
    "GetTables",
    "GetXdbcTypeInfo",
    "PreparedQuery",
    "PreparedUpdate",
    "StatementIngest",
    "StatementQuery",
    "StatementTicket",
    "StatementUpdate",
    "TableExists",
    "TableMissing",
    "decode",
]

COMMAND_BYTES_MAX: Final = 16 * 1024 * 1024
"""The largest command taken apart, in bytes: the message size at which stock drivers stop, too."""

ITEMS_MAX: Final = 10_000
"""The most entries of a list or map inside one command."""


@dataclass(frozen=True, slots=True)
class StatementQuery:
    """Run a text that answers with rows."""

    query: str
    transaction_id: bytes | None = None


@dataclass(frozen=True, slots=True)
class PreparedQuery:
    """Run a prepared statement that answers with rows, or bind its parameters."""

    handle: bytes


@dataclass(frozen=True, slots=True)
class StatementUpdate:
    """Run a text that answers with a count."""

    query: str
    transaction_id: bytes | None = None


@dataclass(frozen=True, slots=True)
class PreparedUpdate:
    """Run a prepared statement that answers with a count, once for each row sent along."""

    handle: bytes


@dataclass(frozen=True, slots=True)
class StatementTicket:
    """Fetch the result that a handle of ours stands for."""

    handle: bytes


class TableMissing(Enum):
    """What an ingest does when its table does not exist."""

    CREATE = 1
    FAIL = 2


class TableExists(Enum):
    """What an ingest does when its table exists."""

    FAIL = 1
    APPEND = 2
    REPLACE = 3


@dataclass(frozen=True, slots=True)
class StatementIngest:
    """Load the rows sent along into a table.

    `catalog` and `schema` are None where the session's own are meant; `options` are the client's, uninterpreted.
    """

    table: str
    schema: str | None
    catalog: str | None
    if_missing: TableMissing
    if_exists: TableExists
    temporary: bool
    transaction_id: bytes | None
    options: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class GetSqlInfo:
    """Describe the server; no codes means all."""

    codes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class GetXdbcTypeInfo:
    """Describe the types; None means all."""

    data_type: int | None


@dataclass(frozen=True, slots=True)
class GetCatalogs:
    """List the catalogs."""


@dataclass(frozen=True, slots=True)
class GetDbSchemas:
    """List schemas. The pattern is a LIKE pattern; an empty catalog asks for those without one."""

    catalog: str | None
    schema_pattern: str | None


@dataclass(frozen=True, slots=True)
class GetTables:
    """List tables. The patterns are LIKE patterns; no types means all."""

    catalog: str | None
    schema_pattern: str | None
    table_pattern: str | None
    table_types: tuple[str, ...]
    include_schema: bool


@dataclass(frozen=True, slots=True)
class GetTableTypes:
    """List the kinds of tables."""


@dataclass(frozen=True, slots=True)
class _TableReference:
    catalog: str | None
    schema: str | None
    table: str


@dataclass(frozen=True, slots=True)
class GetPrimaryKeys(_TableReference):
    """The primary key columns of a table."""


@dataclass(frozen=True, slots=True)
class GetExportedKeys(_TableReference):
    """The foreign keys that point at a table."""


@dataclass(frozen=True, slots=True)
class GetImportedKeys(_TableReference):
    """The foreign keys a table has."""


@dataclass(frozen=True, slots=True)
class GetCrossReference:
    """The foreign keys of one table that point at another."""

    pk_catalog: str | None
    pk_schema: str | None
    pk_table: str
    fk_catalog: str | None
    fk_schema: str | None
    fk_table: str


Command: TypeAlias = (
    StatementQuery
    | PreparedQuery
    | StatementUpdate
    | PreparedUpdate
    | StatementTicket
    | StatementIngest
    | GetSqlInfo
    | GetXdbcTypeInfo
    | GetCatalogs
    | GetDbSchemas
    | GetTables
    | GetTableTypes
    | GetPrimaryKeys
    | GetExportedKeys
    | GetImportedKeys
    | GetCrossReference
)


def _optional(value: Any, field: str) -> Any:
    return getattr(value, field) if value.HasField(field) else None


def _few(items: Any, what: str) -> Any:
    if len(items) > ITEMS_MAX:
        raise LimitReached(
            f"The request holds {len(items):,} {what}; at most {ITEMS_MAX:,} are read.",
            next_step="Split it into several.",
        )
    return items


def _ingest(sent: Any) -> StatementIngest:
    if not sent.table:
        raise InvalidRequest("The ingest names no table.", next_step="Give a table name.")
    mode = sent.table_definition_options
    try:
        # Left out, the specification leaves both to the server: create what is missing, touch nothing that is there.
        if_missing = TableMissing(mode.if_not_exist or TableMissing.CREATE)
        if_exists = TableExists(mode.if_exists or TableExists.FAIL)
    except ValueError:
        raise InvalidRequest(
            f"The ingest's mode ({mode.if_not_exist}, {mode.if_exists}) is not one the specification knows.",
            next_step="Use create, append, replace or create_append.",
        ) from None
    return StatementIngest(
        table=sent.table,
        schema=sent.schema or None,
        catalog=sent.catalog or None,
        if_missing=if_missing,
        if_exists=if_exists,
        temporary=sent.temporary,
        transaction_id=sent.transaction_id or None,
        options=tuple(sorted(_few(sent.options, "options").items())),
    )


def _tables(sent: Any) -> GetTables:
    return GetTables(
        _optional(sent, "catalog"),
        _optional(sent, "db_schema_filter_pattern"),
        _optional(sent, "table_name_filter_pattern"),
        tuple(_few(sent.table_types, "table types")),
        sent.include_schema,
    )


def _table_reference(kind: type[_TableReference]) -> Callable[[Any], Any]:
    return lambda sent: kind(_optional(sent, "catalog"), _optional(sent, "db_schema"), sent.table)


def _cross_reference(sent: Any) -> GetCrossReference:
    return GetCrossReference(
        _optional(sent, "pk_catalog"),
        _optional(sent, "pk_db_schema"),
        sent.pk_table,
        _optional(sent, "fk_catalog"),
        _optional(sent, "fk_db_schema"),
        sent.fk_table,
    )


def _substrait(_: Any) -> Command:
    raise NotSupported("Substrait plans are not run here.", next_step="Send the statement as SQL.")


# An empty transaction id is the same as none: some clients set the field all the same.
_READERS: Final[dict[str, Callable[[Any], Command]]] = {
    "CommandStatementQuery": lambda sent: StatementQuery(sent.query, sent.transaction_id or None),
    "CommandPreparedStatementQuery": lambda sent: PreparedQuery(sent.prepared_statement_handle),
    "CommandStatementUpdate": lambda sent: StatementUpdate(sent.query, sent.transaction_id or None),
    "CommandPreparedStatementUpdate": lambda sent: PreparedUpdate(sent.prepared_statement_handle),
    "TicketStatementQuery": lambda sent: StatementTicket(sent.statement_handle),
    "CommandStatementIngest": _ingest,
    "CommandStatementSubstraitPlan": _substrait,
    "CommandGetSqlInfo": lambda sent: GetSqlInfo(tuple(_few(sent.info, "info codes"))),
    "CommandGetXdbcTypeInfo": lambda sent: GetXdbcTypeInfo(_optional(sent, "data_type")),
    "CommandGetCatalogs": lambda _: GetCatalogs(),
    "CommandGetDbSchemas": lambda sent: GetDbSchemas(
        _optional(sent, "catalog"), _optional(sent, "db_schema_filter_pattern")
    ),
    "CommandGetTables": _tables,
    "CommandGetTableTypes": lambda _: GetTableTypes(),
    "CommandGetPrimaryKeys": _table_reference(GetPrimaryKeys),
    "CommandGetExportedKeys": _table_reference(GetExportedKeys),
    "CommandGetImportedKeys": _table_reference(GetImportedKeys),
    "CommandGetCrossReference": _cross_reference,
}

_DECODERS: Final = {
    messages.TYPE_URL_PREFIX + name: (messages.message(f"sql.{name}").FromString, read)
    for name, read in _READERS.items()
}


def decode(data: bytes | None) -> Command:
    """Decode the command of a FlightDescriptor, or a ticket.

    Args:
        data: its bytes; None of a descriptor that names a path.

    Raises:
        InvalidRequest: the bytes are no Flight SQL command, or one whose values make no sense.
        NotSupported: a command we do not serve, such as a Substrait plan.
        LimitReached: more than `COMMAND_BYTES_MAX` bytes or `ITEMS_MAX` entries.
    """
    if data is None:
        raise malformed("descriptor's path")
    check_size(data)
    try:
        type_url, body = messages.unpack(data)
        known = _DECODERS.get(type_url)
        if known is None:
            raise unknown("command", type_url)
        parse, read = known
        return read(parse(body))
    except DecodeError:
        raise malformed("command") from None


def check_size(data: bytes) -> None:
    """Refuse what is larger than `COMMAND_BYTES_MAX`.

    Raises:
        LimitReached: it is.
    """
    if len(data) > COMMAND_BYTES_MAX:
        raise LimitReached(
            f"The request has {len(data):,} bytes; at most {COMMAND_BYTES_MAX:,} are read.",
            next_step="Send large values as bound parameters or by ingest.",
        )


def malformed(what: str) -> InvalidRequest:
    """The error for bytes that do not decode; `what` they were to be."""
    return InvalidRequest(
        f"The {what} is not a valid Flight SQL message.",
        next_step="Use a Flight SQL driver; plain Flight descriptors and tickets are not understood here.",
    )


def unknown(what: str, name: str) -> NotSupported:
    """The error for a command or action nobody here knows; `name` is the client's and shown in part."""
    shown = ascii(name[:100])
    return NotSupported(
        f"The {what} {shown} is not known here.", next_step="See docs/flight-sql.md for what is served."
    )
