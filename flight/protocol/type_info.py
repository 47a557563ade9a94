"""GetXdbcTypeInfo: DuckDB's types as JDBC and ODBC describe them.

Types that are put together from others (lists, structs, maps, enums, unions) have no number there and are left out.
Unsigned integers go by the number of the signed type of their width, with `unsigned_attribute` set, which is how
drivers number Arrow's unsigned types in results as well.

>>> xdbc_type_info(4).column("type_name").to_pylist()
['INTEGER', 'UINTEGER']
"""

from __future__ import annotations

import re
from functools import cache
from typing import Final, NamedTuple

import pyarrow as pa

from flight.protocol.schemas import XDBC_TYPE_INFO, ColumnDescription

__all__ = ["described_type", "xdbc_type_info"]

_CHAR, _DECIMAL, _INTEGER, _SMALLINT, _FLOAT, _DOUBLE, _DATETIME, _INTERVAL, _VARCHAR = 1, 3, 4, 5, 6, 8, 9, 10, 12
_DATE, _TIME, _TIMESTAMP, _VARBINARY, _BIGINT, _TINYINT, _BIT = 91, 92, 93, -3, -5, -6, -7
_NULLABLE: Final = 1
_BASIC, _FULL = 2, 3
_LENGTH_MAX: Final = 2**31 - 1


class _Type(NamedTuple):
    name: str
    data_type: int
    size: int | None
    prefix: str | None = None
    suffix: str | None = None
    params: list[str] | None = None
    unsigned: bool | None = None
    scale_max: int | None = None
    sql_type: int | None = None
    subcode: int | None = None
    radix: int | None = None


def _whole(name: str, data_type: int, digits: int, *, unsigned: bool = False) -> _Type:
    return _Type(name, data_type, digits, unsigned=unsigned, scale_max=0, radix=10)


def _moment(name: str, data_type: int, length: int, subcode: int, scale: int | None = None) -> _Type:
    return _Type(name, data_type, length, f"{name} '", "'", scale_max=scale, sql_type=_DATETIME, subcode=subcode)


_TYPES: Final = (
    _whole("TINYINT", _TINYINT, 3),
    _whole("UTINYINT", _TINYINT, 3, unsigned=True),
    _whole("SMALLINT", _SMALLINT, 5),
    _whole("USMALLINT", _SMALLINT, 5, unsigned=True),
    _whole("INTEGER", _INTEGER, 10),
    _whole("UINTEGER", _INTEGER, 10, unsigned=True),
    _whole("BIGINT", _BIGINT, 19),
    _whole("UBIGINT", _BIGINT, 20, unsigned=True),
    _whole("HUGEINT", _DECIMAL, 39),
    _whole("UHUGEINT", _DECIMAL, 39, unsigned=True),
    _Type("DECIMAL", _DECIMAL, 38, params=["precision", "scale"], unsigned=False, scale_max=38, radix=10),
    _Type("FLOAT", _FLOAT, 24, unsigned=False, radix=2),
    _Type("DOUBLE", _DOUBLE, 53, unsigned=False, radix=2),
    _Type("BOOLEAN", _BIT, 1),
    _Type("VARCHAR", _VARCHAR, _LENGTH_MAX, "'", "'", params=["length"]),
    _Type("JSON", _VARCHAR, _LENGTH_MAX, "JSON '", "'"),
    _Type("UUID", _CHAR, 36, "UUID '", "'"),
    _Type("BLOB", _VARBINARY, _LENGTH_MAX, "BLOB '", "'"),
    _moment("DATE", _DATE, 10, 1),
    _moment("TIME", _TIME, 15, 2, 6),
    _moment("TIMESTAMP", _TIMESTAMP, 26, 3, 6),
    _moment("TIMESTAMP_S", _TIMESTAMP, 19, 3, 0),
    _moment("TIMESTAMP_MS", _TIMESTAMP, 23, 3, 3),
    _moment("TIMESTAMP_NS", _TIMESTAMP, 29, 3, 9),
    _moment("TIMESTAMP WITH TIME ZONE", _TIMESTAMP, 32, 5, 6),
    _Type("INTERVAL", _INTERVAL, None, "INTERVAL '", "'", sql_type=_INTERVAL),
)


def _row(kind: _Type) -> dict[str, object]:
    numeric = kind.unsigned is not None
    return {
        "type_name": kind.name,
        "data_type": kind.data_type,
        "column_size": kind.size,
        "literal_prefix": kind.prefix,
        "literal_suffix": kind.suffix,
        "create_params": kind.params,
        "nullable": _NULLABLE,
        "case_sensitive": kind.data_type == _VARCHAR,
        "searchable": _FULL if kind.data_type == _VARCHAR else _BASIC,
        "unsigned_attribute": kind.unsigned,
        "fixed_prec_scale": False,
        "auto_increment": False if numeric else None,
        "local_type_name": kind.name,
        "minimum_scale": None if kind.scale_max is None else 0,
        "maximum_scale": kind.scale_max,
        "sql_data_type": kind.sql_type or kind.data_type,
        "datetime_subcode": kind.subcode,
        "num_prec_radix": kind.radix,
        "interval_precision": None,
    }


@cache
def _all() -> pa.Table:
    rows = [_row(kind) for kind in sorted(_TYPES, key=lambda kind: (kind.data_type, kind.name))]
    return pa.Table.from_pylist(rows, schema=XDBC_TYPE_INFO)


_BY_NAME: Final = {kind.name: kind for kind in _TYPES}
_DECIMAL_TYPE: Final = re.compile(r"DECIMAL\((\d+),\s*(\d+)\)")


def described_type(name: str) -> ColumnDescription:
    """What a column of a type is described by, from the type as DuckDB writes it.

    >>> described_type("DECIMAL(9,2)")[:3], described_type("INTEGER[]")[:3]
    (('DECIMAL', 9, 2), ('INTEGER[]', None, None))
    """
    if (decimal := _DECIMAL_TYPE.fullmatch(name)) is not None:
        return ColumnDescription("DECIMAL", int(decimal[1]), int(decimal[2]), is_case_sensitive=False)
    kind = _BY_NAME.get(name)
    if kind is None:
        return ColumnDescription(name, is_case_sensitive=name.startswith("ENUM"))
    return ColumnDescription(name, kind.size, kind.scale_max, is_case_sensitive=kind.data_type == _VARCHAR)


def xdbc_type_info(data_type: int | None = None) -> pa.Table:
    """Answer GetXdbcTypeInfo: the types of one number, or all, by number and name."""
    table = _all()
    if data_type is None:
        return table
    chosen = [number == data_type for number in table.column("data_type").to_pylist()]
    return table.filter(pa.array(chosen, pa.bool_()))
