"""How each type travels through Parquet, and back: value for value, in types that every reader knows.

Most types are Parquet's own. The others are written as the nearest one that loses nothing:

| type | written as |
|---|---|
| HUGEINT, UHUGEINT, BIGNUM, BIT, INTERVAL, TIME WITH TIME ZONE, ENUM, JSON, UUID | their text |
| TIMESTAMP_S | a timestamp in microseconds |
| GEOMETRY | well-known binary |
| T[n] | a list |
| TUPLE | a structure with the fields element1, element2 … |
| UNION | a structure: `tag`, and `value` with a field for each member |
| NULL | an integer column of nulls |

A cast carries whole nested types where every part of it is one; unions and geometries are taken apart and put together
part by part.
"""

from __future__ import annotations

from collections.abc import Callable

from neurolake import errors
from neurolake.sql.text import literal, quote
from neurolake.sql.types import LogicalType, parse_type

__all__ = ["decode", "encode", "encoded_type", "exact", "refuse_unkept"]

_AS_TEXT = frozenset(
    ("HUGEINT", "UHUGEINT", "BIGNUM", "BIT", "INTERVAL", "TIME WITH TIME ZONE", "ENUM", "JSON", "UUID")
)
_OWN = frozenset((
    "BOOLEAN", "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "FLOAT",
    "DOUBLE", "DECIMAL", "VARCHAR", "BLOB", "DATE", "TIME", "TIME_NS", "TIMESTAMP", "TIMESTAMP_MS", "TIMESTAMP_NS",
    "TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ_NS",
))  # fmt: skip
_NESTED = frozenset(("LIST", "ARRAY", "STRUCT", "TUPLE", "MAP", "UNION"))
Convert = Callable[[str, LogicalType, int], str]
_APART = ("UNION", "GEOMETRY")
"""What no cast carries."""


def refuse_unkept(table: str, column: str, type_text: str) -> None:
    """Refuse a column whose values a snapshot could not give back.

    Raises:
        NotSupported: `snapshot_type`; the message names the column.
    """
    lost = _unkept(parse_type(type_text))
    if lost is not None:
        raise errors.NotSupported(
            f"The column {column} of {table} has the type {lost.family}, which a snapshot cannot keep exactly.",
            code="snapshot_type",
            next_step="Leave the table out by naming the others, or change the column to JSON.",
        )


def _unkept(kind: LogicalType) -> LogicalType | None:
    if kind.family in _NESTED:
        return next((lost for _, child in kind.children if (lost := _unkept(child)) is not None), None)
    known = kind.family in _AS_TEXT or kind.family in _OWN or kind.family in ('"NULL"', "TIMESTAMP_S", "GEOMETRY")
    return None if known else kind


def encoded_type(kind: LogicalType) -> str:
    """The type that a column is written as.

    >>> encoded_type(parse_type("MAP(VARCHAR, HUGEINT[3])"))
    'MAP(VARCHAR, VARCHAR[])'
    """
    children = [(name, encoded_type(child)) for name, child in kind.children]
    match kind.family:
        case "LIST" | "ARRAY":
            return f"{children[0][1]}[]"
        case "STRUCT":
            return f"STRUCT({', '.join(f'{quote(name)} {text}' for name, text in children)})"
        case "TUPLE":
            return f"STRUCT({', '.join(f'element{place} {text}' for place, (_, text) in enumerate(children, 1))})"
        case "MAP":
            return f"MAP({children[0][1]}, {children[1][1]})"
        case "UNION":
            return f"STRUCT(tag VARCHAR, value STRUCT({', '.join(f'{quote(n)} {t}' for n, t in children)}))"
        case "TIMESTAMP_S":
            return "TIMESTAMP"
        case "GEOMETRY":
            return "BLOB"
        case '"NULL"':
            return "INTEGER"
        case family:
            return "VARCHAR" if family in _AS_TEXT else kind.text


def encode(value: str, kind: LogicalType, depth: int = 0) -> str:
    """SQL that turns a value of a type into what is written.

    >>> encode("x", parse_type("INTEGER")), encode("x", parse_type("HUGEINT[2]"))
    ('x', 'CAST(x AS VARCHAR[])')
    """
    written = encoded_type(kind)
    if written == kind.text:
        return value
    if not kind.holds(*_APART):
        return f"CAST({value} AS {written})"
    if kind.family == "GEOMETRY":
        return f"ST_AsWKB({value})"
    if kind.family == "UNION":
        members = [
            f"{quote(name)} := {encode(f'union_extract({value}, {literal(name)})', child, depth)}"
            for name, child in kind.children
        ]
        packed = f"struct_pack(tag := CAST(union_tag({value}) AS VARCHAR), value := struct_pack({', '.join(members)}))"
        return f"CASE WHEN union_tag({value}) IS NOT NULL THEN {packed} END"
    return _each(value, kind, depth, encode)


def decode(value: str, kind: LogicalType, depth: int = 0) -> str:
    """SQL that turns what was written back into a value of the type.

    >>> decode("x", parse_type("HUGEINT"))
    'CAST(x AS HUGEINT)'
    """
    if encoded_type(kind) == kind.text:
        return value
    if not kind.holds(*_APART):
        return f"CAST({value} AS {kind.text})"
    if kind.family == "GEOMETRY":
        return f"CAST(ST_GeomFromWKB({value}) AS {kind.text})"
    if kind.family == "UNION":
        inner = f"struct_extract({value}, 'value')"
        cases = [
            f"WHEN {literal(name)} THEN CAST(union_value({quote(name)} := "
            f"{decode(f'struct_extract({inner}, {literal(name)})', child, depth)}) AS {kind.text})"
            for name, child in kind.children
        ]
        return f"CASE struct_extract({value}, 'tag') {' '.join(cases)} END"
    return f"CAST({_each(value, kind, depth, decode)} AS {kind.text})"


def _each(value: str, kind: LogicalType, depth: int, convert: Convert) -> str:
    """A nested value with every part converted."""
    part = f"part{depth}"
    if kind.family in ("LIST", "ARRAY"):
        child = kind.children[0][1]
        listed = value
        if kind.family == "ARRAY" and convert is encode:
            listed = f"CAST({value} AS {child.text}[])"
        return f"list_transform({listed}, lambda {part}: {convert(part, child, depth + 1)})"
    if kind.family == "MAP":
        (_, key), (_, held) = kind.children
        packed = (
            f"key := {convert(f'{part}.key', key, depth + 1)}, value := {convert(f'{part}.value', held, depth + 1)}"
        )
        entries = f"list_transform(map_entries({value}), lambda {part}: struct_pack({packed}))"
        return f"CASE WHEN {value} IS NOT NULL THEN map_from_entries({entries}) END"
    fields = []
    for place, (name, child) in enumerate(kind.children, 1):
        field = name or f"element{place}"
        at = literal(field)
        if kind.family == "TUPLE" and convert is encode:
            at = str(place)
        fields.append(f"{quote(field)} := {convert(f'struct_extract({value}, {at})', child, depth)}")
    return f"CASE WHEN {value} IS NOT NULL THEN struct_pack({', '.join(fields)}) END"


def exact(value: str, kind: LogicalType) -> str:
    """SQL of what differs whenever two written values differ, for the engine's hash.

    Its hash takes 0.0 and -0.0 for one value, and an empty list for a NULL; the sign, or the text of a nested value,
    tells them apart.
    """
    if kind.family in ("FLOAT", "DOUBLE"):
        return f"{value}, signbit({value})"
    if kind.children:
        return f"{value}, CAST({value} AS VARCHAR)"
    return value
