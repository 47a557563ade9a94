"""GetSqlInfo: what the server is and can do, by the specification's codes and in the types drivers expect.

The values are true of DuckDB 2.0 behind this server; what depends on the engine's build or the server's settings comes
in as `EngineFacts`. Only codes of the specification are served: the JDBC driver breaks on any other.

>>> facts = EngineFacts(server_version="duckdb v2.0.0", keywords=("select",), functions=frozenset({"abs", "lower"}))
>>> sql_info_table(facts, [8]).to_pylist()
[{'info_name': 8, 'value': 1}]
>>> sql_info_table(facts, [509, 0]).to_pylist()
[{'info_name': 509, 'value': ['ABS']}, {'info_name': 0, 'value': 'NeuroLake'}]
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import pyarrow as pa

from flight.protocol.schemas import SQL_INFO

__all__ = ["EngineFacts", "sql_info_table"]


@dataclass(frozen=True)
class EngineFacts:
    """What GetSqlInfo says of this engine and server, beyond what is always so.

    Attributes:
        server_version: shaped `duckdb v2.0.0 …`, as dialects made for DuckDB behind Flight SQL look for.
        keywords: of the engine's grammar.
        functions: the names of all its scalar functions and macros, in lower case.
        read_only: nothing can be written.
        statement_timeout_ms: how long a prepared statement lives unused; 0 for ever.
        transaction_timeout_ms: how long a transaction may idle; 0 for ever.
        statement_characters_max: the longest statement; 0 when there is no limit.
        sessions_max: the most connections; 0 when there is no limit.
    """

    server_version: str
    keywords: tuple[str, ...] = ()
    functions: frozenset[str] = frozenset()
    server_name: str = "NeuroLake"
    read_only: bool = False
    statement_timeout_ms: int = 0
    transaction_timeout_ms: int = 0
    statement_characters_max: int = 0
    sessions_max: int = 0


# Places of the union's children.
_STRING, _BOOL, _BIGINT, _BITMASK, _STRINGS, _MAP = range(6)

_CHILD_TYPES: Final = [SQL_INFO.field("value").type.field(index).type for index in range(6)]

# Functions by the categories drivers show, each listed only where the engine has it. Two that it has are left out, as
# drivers know those names with another meaning: log (to base 10 here) and dayofweek (Sunday is 0 here).
_NUMERIC: Final = (
    "abs acos acosh asin asinh atan atan2 atanh cbrt ceil ceiling cos cosh cot degrees even exp factorial floor gamma "
    "gcd greatest lcm least lgamma ln log10 log2 mod pi pow power radians random round setseed sign sin sinh sqrt tan "
    "tanh trunc"
)
_TEXT: Final = (
    "ascii bar base64 bit_length char_length character_length chr concat concat_ws contains ends_with format hex instr "
    "lcase left length levenshtein lower lpad ltrim md5 octet_length ord position prefix printf regexp_extract "
    "regexp_full_match regexp_matches regexp_replace repeat replace reverse right rpad rtrim sha256 split_part "
    "starts_with string_split strip_accents strlen strpos substr substring suffix translate trim ucase unhex unicode "
    "upper url_encode"
)
_SYSTEM: Final = (
    "current_catalog current_database current_schema current_user nullif session_user typeof user uuid version"
)
_DATETIME: Final = (
    "age century current_date date_add date_diff date_part date_sub date_trunc datediff day dayname dayofmonth "
    "dayofyear decade epoch epoch_ms hour isodow isoyear julian last_day make_date make_time make_timestamp "
    "microsecond millennium millisecond minute month monthname now quarter second strftime strptime time_bucket "
    "to_timestamp today week weekday weekofyear year yearweek"
)

# Numbers of SqlSupportsConvert, in groups that cast to each other.
_NUMBERS: Final = (0, 2, 5, 6, 7, 12, 13, 14, 17)  # bigint bit decimal float integer numeric real smallint tinyint
_TEXTS: Final = (3, 11, 19)  # char longvarchar varchar
_BLOBS: Final = (1, 10, 18)  # binary longvarbinary varbinary
_DATE, _INTERVALS, _TIME, _TIMESTAMP = 4, (8, 9), 15, 16

_CASTS: Final[dict[int, list[int]]] = {
    **{source: sorted(_NUMBERS + _TEXTS) for source in _NUMBERS},
    **{source: list(range(20)) for source in _TEXTS},
    **{source: sorted(_BLOBS + _TEXTS) for source in _BLOBS},
    **{source: sorted(_INTERVALS + _TEXTS) for source in _INTERVALS},
    _DATE: sorted((_DATE, _TIMESTAMP, *_TEXTS)),
    _TIME: sorted((_TIME, *_TEXTS)),
    _TIMESTAMP: sorted((_DATE, _TIME, _TIMESTAMP, *_TEXTS)),
}


def _bits(*places: int) -> tuple[int, int]:
    return _BITMASK, sum(1 << place for place in places)


# What holds whatever the build and the settings: code -> (child, value).
_ALWAYS: Final[dict[int, tuple[int, Any]]] = {
    2: (_STRING, pa.__version__),
    4: (_BOOL, True),  # SQL
    5: (_BOOL, False),  # Substrait, and its two versions
    6: (_STRING, None),
    7: (_STRING, None),
    8: (_BITMASK, 1),  # transactions, without savepoints
    9: (_BOOL, True),  # cancel
    10: (_BOOL, True),  # bulk ingestion
    11: (_BOOL, True),  # in transactions too
    500: (_BOOL, False),  # CREATE and DROP of catalogs
    501: (_BOOL, True),  # of schemas
    502: (_BOOL, True),  # of tables
    503: (_BIGINT, 1),  # identifiers are case-insensitive
    504: (_STRING, '"'),
    505: (_BIGINT, 1),  # quoted ones too
    506: (_BOOL, True),  # every table listed can be selected from
    507: (_BIGINT, 3),  # NULLs sort last, ascending or descending
    513: (_STRING, "\\"),
    514: (_STRING, "$"),
    515: (_BOOL, True),  # column aliases
    516: (_BOOL, True),  # NULL || 'a' is NULL
    517: (_MAP, list(_CASTS.items())),
    518: (_BOOL, True),  # table aliases
    519: (_BOOL, False),  # which may equal a table's name
    520: (_BOOL, True),  # expressions in ORDER BY
    521: (_BOOL, True),  # columns in ORDER BY that are not selected
    522: _bits(0, 1),  # and in GROUP BY
    523: (_BOOL, True),  # LIKE … ESCAPE
    524: (_BOOL, True),  # NOT NULL
    525: _bits(0, 1),  # ODBC grammar: minimum, core
    526: _bits(0),  # SQL-92: entry
    527: (_BOOL, True),  # constraints
    528: _bits(1, 2),  # outer joins, full ones too
    529: (_STRING, "schema"),
    530: (_STRING, "procedure"),
    531: (_STRING, "catalog"),
    532: (_BOOL, True),  # the catalog comes first in a name
    533: _bits(0, 1),  # schemas in CALL and CREATE INDEX
    534: _bits(1),  # catalogs in CREATE INDEX
    535: _bits(),  # no positioned UPDATE or DELETE
    536: (_BOOL, False),  # SELECT … FOR UPDATE
    537: (_BOOL, False),  # {call …}
    538: _bits(0, 1, 2, 3),  # subqueries in comparisons, EXISTS, IN, ANY
    539: (_BOOL, True),  # correlated
    540: _bits(0, 1),  # UNION, UNION ALL
    **dict.fromkeys(range(541, 562), (_BIGINT, 0)),  # lengths and counts: no fixed limit
    556: (_BOOL, True),  # a row's limit includes its blobs
    562: (_BIGINT, 3),  # the default isolation: repeatable read (a snapshot), the specification's number for it
    563: (_BOOL, True),  # transactions
    564: _bits(3),
    565: (_BOOL, False),  # DDL does not commit
    566: (_BOOL, False),  # and is not ignored
    567: _bits(1),  # results are read forward,
    568: _bits(),
    569: _bits(1),  # and only read
    570: _bits(),
    571: _bits(),
    572: (_BOOL, True),  # batches of updates
    573: (_BOOL, False),  # savepoints
    574: (_BOOL, False),  # named parameters in {call …}
    575: (_BOOL, False),  # updates of a LOB's copy
    576: (_BOOL, False),  # {? = call …}
}


def _of_engine(facts: EngineFacts) -> dict[int, tuple[int, Any]]:
    def present(names: str) -> list[str]:
        return [name.upper() for name in names.split() if name in facts.functions]

    return {
        0: (_STRING, facts.server_name),
        1: (_STRING, facts.server_version),
        3: (_BOOL, facts.read_only),
        100: (_BITMASK, facts.statement_timeout_ms),
        101: (_BITMASK, facts.transaction_timeout_ms),
        508: (_STRINGS, sorted({keyword.upper() for keyword in facts.keywords})),
        509: (_STRINGS, present(_NUMERIC)),
        510: (_STRINGS, present(_TEXT)),
        511: (_STRINGS, present(_SYSTEM)),
        512: (_STRINGS, present(_DATETIME)),
        549: (_BIGINT, facts.sessions_max),
        557: (_BIGINT, facts.statement_characters_max),
    }


@lru_cache(maxsize=8)
def _values(facts: EngineFacts) -> Mapping[int, tuple[int, Any]]:
    return dict(sorted((_ALWAYS | _of_engine(facts)).items()))


def sql_info_table(facts: EngineFacts, requested: Sequence[int] = ()) -> pa.Table:
    """Answer GetSqlInfo.

    Args:
        facts: of this engine and server.
        requested: the codes asked for, answered in their order and once each; none means all, ascending. A code that
            no version of the specification we know has is left out.
    """
    values = _values(facts)
    codes = [code for code in dict.fromkeys(requested) if code in values] if requested else list(values)
    return pa.Table.from_arrays([pa.array(codes, pa.uint32()), _union(values[code] for code in codes)], schema=SQL_INFO)


def _union(values: Iterable[tuple[int, Any]]) -> pa.Array:
    children: list[list[Any]] = [[] for _ in _CHILD_TYPES]
    codes, offsets = array("b"), array("i")
    for child, value in values:
        codes.append(child)
        offsets.append(len(children[child]))
        children[child].append(value)
    arrays = [pa.array(items, kind) for items, kind in zip(children, _CHILD_TYPES, strict=True)]
    # From buffers, as UnionArray.from_dense has no say in the children's nullability.
    buffers = [None, pa.py_buffer(codes), pa.py_buffer(offsets)]
    return pa.Array.from_buffers(SQL_INFO.field("value").type, len(codes), buffers, children=arrays)
