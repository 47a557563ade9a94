"""The protobuf messages of Flight SQL, and those of Flight that pyarrow does not hand to Python.

Names and field numbers are those of the Arrow specification (`Flight.proto`, `FlightSql.proto`). The tables below
are turned into descriptors when this module is imported, so no code generator runs at build time, and they live in
a descriptor pool of their own: another library in the process may register the same names in protobuf's default
pool without either noticing the other.

A field reads `number name type`, with a mark after the type:

    ?   optional: its presence is known       *   repeated
    |   one of a group, of which one is set    %   a map from string to the type

Enumerations are declared as int32, which is the same on the wire; their values stand in `commands` and `actions`.

>>> query = message("sql.CommandStatementQuery")(query="select 1")
>>> wrapped = pack(query)
>>> unpack(wrapped)[0]
'type.googleapis.com/arrow.flight.protocol.sql.CommandStatementQuery'
>>> message("sql.CommandStatementQuery").FromString(unpack(wrapped)[1]).query
'select 1'
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

__all__ = ["TYPE_URL_PREFIX", "any_prefix", "message", "pack", "unpack", "wrap"]

TYPE_URL_PREFIX: Final = "type.googleapis.com/arrow.flight.protocol.sql."

_FLIGHT: Final = "arrow.flight.protocol"

_FLIGHT_MESSAGES: Final = {
    # google.protobuf.Any and Timestamp, under names of our own: only numbers and types reach the wire.
    "Any": "1 type_url string, 2 value bytes",
    "Timestamp": "1 seconds int64, 2 nanos int32",
    "Ticket": "1 ticket bytes",
    "Location": "1 uri string",
    "FlightDescriptor": "1 type int32, 2 cmd bytes, 3 path string*",
    "FlightEndpoint": "1 ticket Ticket, 2 location Location*, 3 expiration_time Timestamp, 4 app_metadata bytes",
    "FlightInfo": "1 schema bytes, 2 flight_descriptor FlightDescriptor, 3 endpoint FlightEndpoint*, "
    "4 total_records int64, 5 total_bytes int64, 6 ordered bool, 7 app_metadata bytes",
    "CancelFlightInfoRequest": "1 info FlightInfo",
    "CancelFlightInfoResult": "1 status int32",
    "RenewFlightEndpointRequest": "1 endpoint FlightEndpoint",
    "StringListValue": "1 values string*",
    "SessionOptionValue": "1 string_value string|, 2 bool_value bool|, 3 int64_value sfixed64|, "
    "4 double_value double|, 5 string_list_value StringListValue|",
    "SetSessionOptionsRequest": "1 session_options SessionOptionValue%",
    "Error": "1 value int32",
    "SetSessionOptionsResult": "1 errors Error%",
    "GetSessionOptionsRequest": "",
    "GetSessionOptionsResult": "1 session_options SessionOptionValue%",
    "CloseSessionRequest": "",
    "CloseSessionResult": "1 status int32",
}

_SQL_MESSAGES: Final = {
    "CommandGetSqlInfo": "1 info uint32*",
    "CommandGetXdbcTypeInfo": "1 data_type int32?",
    "CommandGetCatalogs": "",
    "CommandGetDbSchemas": "1 catalog string?, 2 db_schema_filter_pattern string?",
    "CommandGetTables": "1 catalog string?, 2 db_schema_filter_pattern string?, "
    "3 table_name_filter_pattern string?, 4 table_types string*, 5 include_schema bool",
    "CommandGetTableTypes": "",
    "CommandGetPrimaryKeys": "1 catalog string?, 2 db_schema string?, 3 table string",
    "CommandGetExportedKeys": "1 catalog string?, 2 db_schema string?, 3 table string",
    "CommandGetImportedKeys": "1 catalog string?, 2 db_schema string?, 3 table string",
    "CommandGetCrossReference": "1 pk_catalog string?, 2 pk_db_schema string?, 3 pk_table string, "
    "4 fk_catalog string?, 5 fk_db_schema string?, 6 fk_table string",
    "SubstraitPlan": "1 plan bytes, 2 version string",
    "ActionCreatePreparedStatementRequest": "1 query string, 2 transaction_id bytes?",
    "ActionCreatePreparedSubstraitPlanRequest": "1 plan sql.SubstraitPlan, 2 transaction_id bytes?",
    "ActionCreatePreparedStatementResult": "1 prepared_statement_handle bytes, 2 dataset_schema bytes, "
    "3 parameter_schema bytes, 4 is_update bool?",
    "ActionClosePreparedStatementRequest": "1 prepared_statement_handle bytes",
    "ActionBeginTransactionRequest": "",
    "ActionBeginTransactionResult": "1 transaction_id bytes",
    "ActionBeginSavepointRequest": "1 transaction_id bytes, 2 name string",
    "ActionBeginSavepointResult": "1 savepoint_id bytes",
    "ActionEndTransactionRequest": "1 transaction_id bytes, 2 action int32",
    "ActionEndSavepointRequest": "1 savepoint_id bytes, 2 action int32",
    "ActionCancelQueryRequest": "1 info bytes",
    "ActionCancelQueryResult": "1 result int32",
    "CommandStatementQuery": "1 query string, 2 transaction_id bytes?",
    "CommandStatementSubstraitPlan": "1 plan sql.SubstraitPlan, 2 transaction_id bytes?",
    "CommandPreparedStatementQuery": "1 prepared_statement_handle bytes",
    "CommandStatementUpdate": "1 query string, 2 transaction_id bytes?",
    "CommandPreparedStatementUpdate": "1 prepared_statement_handle bytes",
    "TableDefinitionOptions": "1 if_not_exist int32, 2 if_exists int32",
    "CommandStatementIngest": "1 table_definition_options sql.TableDefinitionOptions, 2 table string, "
    "3 schema string?, 4 catalog string?, 5 temporary bool, 6 transaction_id bytes?, 1000 options string%",
    "TicketStatementQuery": "1 statement_handle bytes",
    "DoPutUpdateResult": "1 record_count int64",
    "DoPutPreparedStatementResult": "1 prepared_statement_handle bytes?",
}

_Field = descriptor_pb2.FieldDescriptorProto

_SCALARS: Final = {
    name: getattr(_Field, f"TYPE_{name.upper()}")
    for name in ("bool", "bytes", "double", "int32", "int64", "sfixed64", "string", "uint32")
}


class _Spec(NamedTuple):
    number: int
    name: str
    type: str
    mark: str


def _specs(fields: str) -> list[_Spec]:
    specs = []
    for text in filter(None, fields.split(", ")):
        number, name, kind = text.split(" ")
        mark = kind[-1] if kind[-1] in "?*|%" else ""
        specs.append(_Spec(int(number), name, kind.removesuffix(mark), mark))
    return specs


def _set_type(field: descriptor_pb2.FieldDescriptorProto, kind: str) -> None:
    if kind in _SCALARS:
        field.type = _SCALARS[kind]
    else:
        field.type = _Field.TYPE_MESSAGE
        field.type_name = f".{_FLIGHT}.{kind}"


def _add_map_entry(owner: descriptor_pb2.DescriptorProto, scope: str, spec: _Spec) -> str:
    """Declare the nested pair message that a map field is made of on the wire, and return its full name."""
    name = "".join(part.capitalize() for part in spec.name.split("_")) + "Entry"
    entry = owner.nested_type.add(name=name)
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, label=_Field.LABEL_OPTIONAL, type=_Field.TYPE_STRING)
    value = entry.field.add(name="value", number=2, label=_Field.LABEL_OPTIONAL)
    _set_type(value, spec.type)
    return f".{scope}.{owner.name}.{name}"


def _add_field(owner: descriptor_pb2.DescriptorProto, scope: str, spec: _Spec) -> None:
    field = owner.field.add(name=spec.name, number=spec.number, label=_Field.LABEL_OPTIONAL)
    if spec.mark == "%":
        field.label = _Field.LABEL_REPEATED
        field.type = _Field.TYPE_MESSAGE
        field.type_name = _add_map_entry(owner, scope, spec)
        return
    _set_type(field, spec.type)
    if spec.mark == "*":
        field.label = _Field.LABEL_REPEATED
    elif spec.mark == "|":
        field.oneof_index = 0
    elif spec.mark == "?":
        # proto3 spells presence as a group of one.
        field.proto3_optional = True
        field.oneof_index = len(owner.oneof_decl)
        owner.oneof_decl.add(name=f"_{spec.name}")


def _file(path: str, package: str, messages: dict[str, str]) -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(name=path, package=package, syntax="proto3")
    for name, fields in messages.items():
        owner = file.message_type.add(name=name)
        specs = _specs(fields)
        if any(spec.mark == "|" for spec in specs):
            owner.oneof_decl.add(name="option_value")
        for spec in specs:
            _add_field(owner, package, spec)
    return file


def _classes() -> dict[str, Any]:
    """Build every message class, keyed by its name below `arrow.flight.protocol`."""
    pool = descriptor_pool.DescriptorPool()
    flight = _file("neurolake/flight.proto", _FLIGHT, _FLIGHT_MESSAGES)
    sql = _file("neurolake/flight_sql.proto", f"{_FLIGHT}.sql", _SQL_MESSAGES)
    sql.dependency.append(flight.name)
    pool.AddSerializedFile(flight.SerializeToString())
    pool.AddSerializedFile(sql.SerializeToString())
    names = [*_FLIGHT_MESSAGES, *(f"sql.{name}" for name in _SQL_MESSAGES)]
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_FLIGHT}.{name}")) for name in names}


_CLASSES: Final = _classes()
_Any: Final = _CLASSES["Any"]


def message(name: str) -> Any:
    """The class of one message, by its name below `arrow.flight.protocol`, such as `sql.CommandGetTables`."""
    return _CLASSES[name]


def any_prefix(name: str) -> bytes:
    """Everything of a `google.protobuf.Any` around the message `sql.<name>` that stands before the message's length.

    >>> any_prefix("TicketStatementQuery")[-22:]
    b'.TicketStatementQuery\\x12'
    """
    url = f"{TYPE_URL_PREFIX}{name}".encode()
    return b"\x0a" + _varint(len(url)) + url + b"\x12"


def wrap(prefix: bytes, body: bytes) -> bytes:
    """Put a serialised message into a `google.protobuf.Any` whose `any_prefix` is given."""
    return prefix + _varint(len(body)) + body


def pack(value: Any) -> bytes:
    """Serialise a message of the Flight SQL package inside a `google.protobuf.Any`."""
    return wrap(any_prefix(value.DESCRIPTOR.name), value.SerializeToString())


def unpack(data: bytes) -> tuple[str, bytes]:
    """Take a `google.protobuf.Any` apart into its type URL and the message's bytes.

    Raises:
        google.protobuf.message.DecodeError: the bytes are no such message.
    """
    packed = _Any.FromString(data)
    return packed.type_url, packed.value


def _varint(number: int) -> bytes:
    if number < 0x80:
        return number.to_bytes(1, "little")
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
