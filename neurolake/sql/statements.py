"""What a statement is: its kind, the text inside an EXPLAIN, the setting it changes, the call it makes."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import PurePath
from typing import Any

from neurolake import errors
from neurolake._duckdb import Cursor, Values, untyped
from neurolake.identifiers import fold
from neurolake.query import Kind
from neurolake.sql.text import literal, split_identifier

_KINDS = {
    "INSERT": Kind.WRITE, "UPDATE": Kind.WRITE, "DELETE": Kind.WRITE, "MERGE_INTO": Kind.WRITE, "COPY": Kind.WRITE,
    "CREATE": Kind.DDL, "ALTER": Kind.DDL, "DROP": Kind.DDL, "CREATE_FUNC": Kind.DDL, "COPY_DATABASE": Kind.DDL,
    "ATTACH": Kind.DDL, "DETACH": Kind.DDL, "LOAD": Kind.DDL, "EXPORT": Kind.DDL, "VACUUM": Kind.DDL,
    "ANALYZE": Kind.DDL, "EXPLAIN": Kind.EXPLAIN, "SET": Kind.SET, "VARIABLE_SET": Kind.SET,
    "PREPARE": Kind.LOCAL, "EXECUTE": Kind.LOCAL,
}  # fmt: skip

_TRANSACTIONS = {
    "BEGIN": Kind.BEGIN, "START": Kind.BEGIN, "COMMIT": Kind.COMMIT, "END": Kind.COMMIT,
    "ROLLBACK": Kind.ROLLBACK, "ABORT": Kind.ROLLBACK,
}  # fmt: skip

_GAP = r"(?:\s|--[^\n]*\n|/\*.*?\*/)"
_FIRST = re.compile(rf"{_GAP}*(\w+)", re.DOTALL)
_OURS = re.compile(rf"{_GAP}*CALL{_GAP}+(?:\"?lake\"?\.)?\"?neurolake\"?\.", re.IGNORECASE | re.DOTALL)
_CALL = re.compile(rf"({_GAP}*)CALL\b", re.IGNORECASE | re.DOTALL)
_EXPLAIN = re.compile(rf"{_GAP}*EXPLAIN{_GAP}+(ANALYZE\b{_GAP}*)?", re.IGNORECASE | re.DOTALL)
_SET = re.compile(
    r"\s*(?P<verb>SET|RESET|USE|PRAGMA)\s+(?:(?P<scope>SESSION|LOCAL|GLOBAL|VARIABLE)\s+)?"
    r"(?P<name>\"[^\"]+\"|[\w.]+)?\s*(?:(?:=|\bTO\b)\s*)?(?P<value>.*?)\s*;?\s*\Z",
    re.IGNORECASE | re.DOTALL,
)
_ROLE = re.compile(r"\s*SET\s+ROLE\s*(?:=|\bTO\b)?\s*(?:'([^']+)'|\"([^\"]+)\"|(\w+))\s*;?\s*\Z", re.IGNORECASE)
_NAME = r'(?:"(?:[^"]|"")+"|[^\s"().,;]+)'
_TARGET = re.compile(
    rf"{_GAP}*(?:WITH\b.*?\)\s*)?(?P<verb>CREATE|DROP|ALTER|INSERT|UPDATE|DELETE|TRUNCATE|MERGE|COPY|ATTACH|COMMENT)\b"
    rf"(?:\s+(?:OR\s+(?:REPLACE|IGNORE)|TEMP|TEMPORARY|PERSISTENT|UNIQUE|SECURE|RECURSIVE|DATABASE|INTO|FROM|ON))*"
    rf"(?:\s+(?P<made>TABLE|VIEW|SCHEMA|SEQUENCE|INDEX|MACRO|FUNCTION|TYPE))?"
    rf"(?:\s+IF\s+(?:NOT\s+)?EXISTS)?(?:\s+(?:INTO|FROM))?\s+(?P<name>{_NAME}(?:\s*\.\s*{_NAME})*)",
    re.IGNORECASE | re.DOTALL,
)
_ATTACH = re.compile(
    rf"{_GAP}*ATTACH\s+(?:OR\s+REPLACE\s+)?(?:DATABASE\s+)?(?:IF\s+NOT\s+EXISTS\s+)?(?P<path>'(?:[^']|'')*'|{_NAME})"
    rf"(?:\s+AS\s+(?P<name>{_NAME}))?",
    re.IGNORECASE | re.DOTALL,
)
_SHOW = re.compile(
    rf"\s*SHOW\s+(?P<all>ALL\s+)?TABLES(?:\s+FROM\s+(?P<schema>{_NAME}(?:\s*\.\s*{_NAME})*))?\s*;?\s*\Z", re.IGNORECASE
)
_COPY_IN = re.compile(rf"{_GAP}*COPY\s+{_NAME}(?:\s*\.\s*{_NAME})*\s*(?:\([^)]*\)\s*)?FROM\b", re.IGNORECASE)
_LITERALS = re.compile(
    r"""[eE]'(?:[^'\\]|\\.|'')*(?:'|\Z)|'(?:[^']|'')*(?:'|\Z)|"(?:[^"]|"")*(?:"|\Z)|(\$\w*\$).*?(?:\1|\Z)""",
    re.DOTALL,
)
_TELLING = frozenset(("SET", "PRAGMA", "CREATE", "ATTACH", "COPY", "ALTER"))
_SECRET_MARKS = ("secret", "password", "token", "access_key", "key_id", "encryption_key", "credential")
_TEMPORARY = re.compile(r"\b(?:temp|temporary)\b", re.IGNORECASE)


def first_word(text: str) -> str:
    """The statement's first word, upper case; comments before it are passed over.

    >>> first_word("/* hi */ select 1")
    'SELECT'
    """
    match = _FIRST.match(text)
    return match[1].upper() if match else ""


def kind_of(duckdb_kind: str, text: str) -> Kind:
    """Our kind of a statement that DuckDB's parser has named."""
    if duckdb_kind == "TRANSACTION":
        return _TRANSACTIONS.get(first_word(text), Kind.DDL)
    if duckdb_kind == "CALL" and _OURS.match(text):
        return Kind.CALL
    if duckdb_kind == "CALL" and first_word(text) in ("CHECKPOINT", "FORCE"):
        return Kind.DDL
    if duckdb_kind == "DROP" and first_word(text) == "DEALLOCATE":
        return Kind.LOCAL
    return _KINDS.get(duckdb_kind, Kind.SELECT)


def is_temporary(text: str) -> bool:
    """Whether a CREATE may make something temporary."""
    return _TEMPORARY.search(text) is not None


def role_of(text: str) -> str | None:
    """The role of a SET ROLE, which DuckDB's parser refuses.

    >>> role_of("SET ROLE analyst"), role_of("set role = 'analyst'"), role_of("SELECT 1")
    ('analyst', 'analyst', None)
    """
    match = _ROLE.match(text)
    return next(filter(None, match.groups()), None) if match else None


@dataclass(frozen=True, slots=True)
class Setting:
    """What a SET, RESET or USE changes. `value` None resets it."""

    name: str
    value: str | None
    is_variable: bool = False
    is_global: bool = False


def setting_of(text: str) -> Setting:
    """Read a SET, RESET, USE or PRAGMA name = value.

    >>> setting_of("SET timezone = 'UTC'"), setting_of('USE lake."a ""b"" c";').value
    (Setting(name='timezone', value='UTC', is_variable=False, is_global=False), 'lake."a ""b"" c"')
    """
    match = _SET.match(text)
    assert match is not None
    verb, scope = match["verb"].upper(), (match["scope"] or "").upper()
    name = (match["name"] or "").strip('"')
    if verb == "USE":
        return Setting("schema", text[match.end("verb") :].strip().rstrip(";").rstrip())
    value = match["value"].strip()
    if len(value) > 1 and value[0] == value[-1] == "'":
        value = value[1:-1].replace("''", "'")
    return Setting(fold(name), None if verb == "RESET" else value, scope == "VARIABLE", scope == "GLOBAL")


def shown(text: str, schema: str) -> str | None:
    """The query that SHOW TABLES and SHOW ALL TABLES mean here, sources included; None for another statement.

    >>> shown("SHOW TABLES", "main")
    "SELECT table_name AS name FROM information_schema.tables WHERE table_schema = 'main' ORDER BY 1"
    """
    match = _SHOW.match(text)
    if match is None:
        return None
    if match["all"]:
        return (
            "SELECT table_catalog AS database, table_schema AS schema, table_name AS name, table_type AS type "
            "FROM information_schema.tables ORDER BY ALL"
        )
    wanted = split_identifier(match["schema"])[-1] if match["schema"] else schema
    return f"SELECT table_name AS name FROM information_schema.tables WHERE table_schema = {literal(wanted)} ORDER BY 1"


def made_of(text: str) -> str:
    """What a CREATE, DROP or ALTER is about (TABLE, VIEW, SCHEMA …), or the statement's verb.

    >>> made_of("CREATE OR REPLACE TEMP TABLE t (a INT)"), made_of("INSERT INTO t VALUES (1)")
    ('TABLE', 'INSERT')
    """
    match = _TARGET.match(text)
    return (match["made"] or match["verb"]).upper() if match else first_word(text)


def target_of(text: str) -> tuple[str, ...] | None:
    """The name a write or DDL statement is about, as parts, or None where it has none.

    >>> target_of('INSERT INTO lake.main."my t" SELECT 1'), target_of("DROP TABLE IF EXISTS s.t")
    (('lake', 'main', 'my t'), ('s', 't'))
    """
    match = _TARGET.match(text)
    return tuple(split_identifier(match["name"])) if match else None


def attached_name(text: str) -> str:
    """The name that an ATTACH gives a database: after AS, or else its file's.

    >>> attached_name("ATTACH IF NOT EXISTS 'x/sales.duckdb' AS s"), attached_name("ATTACH 'x/sales.duckdb'")
    ('s', 'sales')
    """
    match = _ATTACH.match(text)
    if match is None:
        return ""
    return split_identifier(match["name"])[-1] if match["name"] else PurePath(match["path"].strip("'\"")).stem


def copies_in(text: str) -> bool:
    """Whether a COPY reads a file into a table, rather than writing one.

    >>> copies_in("COPY t FROM 'x.csv'"), copies_in("COPY (SELECT 1 FROM t) TO 'x.csv'")
    (True, False)
    """
    return _COPY_IN.match(text) is not None


def explained(text: str) -> tuple[str, bool]:
    """The statement inside an EXPLAIN, and whether it is to be run (ANALYZE).

    >>> explained("EXPLAIN ANALYZE SELECT 1")
    ('SELECT 1', True)
    """
    match = _EXPLAIN.match(text)
    assert match is not None
    return text[match.end() :], match[1] is not None


@dataclass(frozen=True, slots=True)
class Call:
    """A procedure call: its name, its arguments as plain values, and where each argument stands in the text."""

    name: str
    positional: tuple[Any, ...]
    named: Mapping[str, Any]
    spans: Mapping[str | int, tuple[int, int]]


class Unbound:
    """Stands for a parameter that has no value yet."""


def read_call(cursor: Cursor, text: str, values: Values) -> Call:
    """Read `CALL neurolake.name(…)` through DuckDB's parser, as the table function it looks like.

    Raises:
        InvalidRequest: an argument is neither a constant nor a bound parameter.
    """
    match = _CALL.match(text)
    assert match is not None
    source = f"{match[1]}FROM{text[match.end() :]}"  # as long as the original, so that locations hold
    answer = json.loads(cursor.rows("SELECT json_serialize_sql(?)", [source])[0][0])
    if answer["error"]:
        raise errors.SyntaxProblem(f"This CALL cannot be read: {answer['error_message']}.")
    function = answer["statements"][0]["node"]["from_table"].get("function")
    if function is None:
        raise errors.SyntaxProblem("CALL takes one procedure: CALL neurolake.name(argument, …).")
    positional: list[Any] = []
    named: dict[str, Any] = {}
    spans: dict[str | int, tuple[int, int]] = {}
    data = source.encode()  # whose places the parser counts
    for argument in function["arguments"]:
        expression, name = argument["expression"], argument["name"]
        start, end = _place(expression)
        spans[name or len(positional)] = len(data[:start].decode()), len(data[:end].decode())
        if name:
            named[fold(name)] = _constant(expression, values)
        else:
            positional.append(_constant(expression, values))
    return Call(fold(function["qualified_name"]["path"][-1]), tuple(positional), named, spans)


def _place(expression: Mapping[str, Any]) -> tuple[int, int]:
    """From where to where an expression stands; a cast's own place leaves out what it casts."""
    places = list(_places(expression))
    return min(start for start, _ in places), max(end for _, end in places)


def _places(node: Any) -> Iterator[tuple[int, int]]:
    if isinstance(node, list):
        for item in node:
            yield from _places(item)
    elif isinstance(node, dict):
        if node.get("query_location_length"):
            yield node["query_location"], node["query_location"] + node["query_location_length"]
        for value in node.values():
            yield from _places(value)


def _constant(node: Mapping[str, Any], values: Values) -> Any:
    kind = node["class"]
    if kind == "CONSTANT":
        return _literal(node["literal"])
    if kind == "PARAMETER":
        return _parameter(node["identifier"], values)
    if kind == "CAST":
        return _constant(node["child"], values)
    if kind == "FUNCTION" and node["schema"] == "":
        arguments = [(a["name"], _constant(a["expression"], values)) for a in node["arguments"]]
        if node["function_name"] == "list_value":
            return [value for _, value in arguments]
        if node["function_name"] == "struct_pack":
            return dict(arguments)
        if node["function_name"] == "map" and len(arguments) == 2:
            return dict(zip(arguments[0][1], arguments[1][1], strict=True))
    raise errors.InvalidRequest(
        "An argument of a procedure must be a constant or a bound parameter.", code="argument_not_constant"
    )


def _literal(literal: Mapping[str, Any]) -> Any:
    kind, text = literal["kind"], literal.get("text")
    if kind == "NULL_LITERAL" or text is None:
        return None
    if kind == "BOOLEAN":
        return text == "true"
    if kind == "INTEGER":
        return int(text)
    if kind in ("DECIMAL", "NUMERIC", "FLOAT"):
        return Decimal(text)
    return text


def _parameter(identifier: str, values: Values) -> Any:
    if values is None:
        return Unbound
    try:
        if isinstance(values, Mapping):
            return untyped(values[identifier])
        if isinstance(values, Sequence):
            return untyped(values[int(identifier) - 1])
    except (KeyError, IndexError, ValueError):
        pass
    raise errors.InvalidRequest(f"The parameter {identifier} has no value.", code="parameter_missing")


def cautious(text: str, secretive: Collection[str]) -> str:
    """The text with every literal shown as ***, if it may hold a secret: what is kept before it has been read.

    Args:
        text: any statement, or what was meant to be one.
        secretive: the names of procedures that take secrets.

    >>> cautious("CALL neurolake.set_password('ann', 'open sesame", ["set_password"])
    'CALL neurolake.set_password(***, ***'
    >>> cautious("SET s3_secret_access_key = 'x'", []), cautious("SELECT 'x' AS secret", [])
    ('SET s3_secret_access_key = ***', "SELECT 'x' AS secret")
    """
    folded = fold(text)
    if any(name in folded for name in secretive):
        return _LITERALS.sub("***", text)
    if any(mark in folded for mark in _SECRET_MARKS) and first_word(text) in _TELLING:
        return _LITERALS.sub("***", text)
    return text


def masked(text: str, spans: Sequence[tuple[int, int]]) -> str:
    """The text with these spans shown as ***.

    >>> masked("CALL f('x', 'secret')", [(12, 20)])
    "CALL f('x', ***)"
    """
    for start, end in sorted(spans, reverse=True):
        text = f"{text[:start]}***{text[end:]}"
    return text
