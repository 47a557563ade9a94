"""Quoting and reading of SQL identifiers and literals: the one place where SQL text is composed safely."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import NamedTuple

from neurolake import errors
from neurolake.identifiers import fold

_WORD = re.compile(r"\w+")
_PART = re.compile(r'\s*(?:"((?:[^"]|"")+)"|([^\s".]+))\s*(\.|$)')
_PLAIN = re.compile(r"[a-z_][a-z0-9_]*\Z")
_OUTSIDE = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|(\$\w*\$).*?\1|--[^\n]*|/\*""", re.DOTALL)
_NESTED = re.compile(r"/\*|\*/")

DEFAULT_SCHEMA = "main"
RESERVED_SCHEMA = "neurolake"


class Name(NamedTuple):
    """A relation's name. Names compare without regard to case, as DuckDB's do: `Name.fold()` is the key.

    >>> Name.parse("lake.main.orders"), Name.parse('"my table"')
    (Name(schema='main', table='orders'), Name(schema='main', table='my table'))
    >>> print(Name("sales", "Q1 2026"))
    sales."Q1 2026"
    """

    schema: str
    table: str

    @classmethod
    def parse(cls, text: str, schema: str = DEFAULT_SCHEMA) -> Name:
        """Read `table`, `schema.table` or `lake.schema.table`.

        Raises:
            InvalidRequest: it is none of these, or names another catalog or a reserved schema.
        """
        parts = split_identifier(text)
        if len(parts) == 3 and fold(parts[0]) == "lake":
            parts = parts[1:]
        if not 1 <= len(parts) <= 2:
            raise errors.InvalidRequest(
                f"{text!r} is not the name of a table.",
                code="bad_name",
                next_step="Write table, or schema.table.",
            )
        name = cls(parts[0] if len(parts) == 2 else schema, parts[-1])
        if fold(name.schema) == RESERVED_SCHEMA:
            raise errors.InvalidRequest(
                "The schema neurolake is the system's own.",
                code="reserved_name",
                next_step="Choose another schema.",
            )
        return name

    def fold(self) -> Name:
        """The form that two spellings of one name share."""
        return Name(fold(self.schema), fold(self.table))

    def sql(self) -> str:
        """Fully qualified and quoted, ready to be composed into a statement."""
        return f"lake.{quote(self.schema)}.{quote(self.table)}"

    def quoted(self) -> str:
        """The table's own name, quoted."""
        return quote(self.table)

    def __str__(self) -> str:
        shown = [part if _PLAIN.match(part) else quote(part) for part in self]
        return shown[1] if self.schema == DEFAULT_SCHEMA else ".".join(shown)


def split_identifier(text: str) -> list[str]:
    """The parts of a dotted identifier, quotes undone.

    >>> split_identifier('a."b.c"."d""e"')
    ['a', 'b.c', 'd"e']
    """
    parts, position = [], 0
    while position < len(text):
        match = _PART.match(text, position)
        if match is None:
            break
        parts.append(match[1].replace('""', '"') if match[1] else match[2])
        position = match.end()
        if match[3] == "":
            return parts
    raise errors.InvalidRequest(
        f"{text!r} is not an identifier.", code="bad_name", next_step='Quote odd names: "my table".'
    )


def quote(identifier: str) -> str:
    """A quoted identifier.

    >>> print(quote('the "big" table'))
    "the ""big"" table"
    """
    return '"' + identifier.replace('"', '""') + '"'


def literal(value: object) -> str:
    """A SQL literal of a plain value: text, number, boolean, None, list or dict.

    >>> literal("it's"), literal([1, None]), literal({"a": True})
    ("'it''s'", '[1, NULL]', "{'a': true}")
    """
    if value is None:
        return "NULL"
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{literal(str(k))}: {literal(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(literal, value)) + "]"
    return "'" + str(value).replace("'", "''") + "'"


def words(text: str) -> set[str]:
    """Every word of a text, folded.

    >>> sorted(words('SELECT a FROM "Orders"'))
    ['a', 'from', 'orders', 'select']
    """
    return set(_WORD.findall(fold(text)))


def mentions(text: str, names: frozenset[str]) -> bool:
    """Whether a text may mean one of these folded names: one of its words, or quoted.

    >>> mentions('FROM "My Table"', frozenset(["my table"])), mentions("FROM mine", frozenset(["mi", "ne"]))
    (True, False)
    """
    return bool(names) and (not names.isdisjoint(words(text)) or any(quote(name) in fold(text) for name in names))


def without_comments(text: str) -> str:
    """The text with a space in place of each comment; what is quoted stays.

    >>> without_comments("DROP /* the /* old */ */ TABLE t -- now"), without_comments("SELECT '--' AS x")
    ('DROP   TABLE t  ', "SELECT '--' AS x")
    """
    if "--" not in text and "/*" not in text:
        return text
    kept, position = [], 0
    while match := _OUTSIDE.search(text, position):
        comment = match[0].startswith(("--", "/*"))
        kept.append(text[position : match.start() if comment else match.end()] + " " * comment)
        position = end_of_comment(text, match.end()) if match[0] == "/*" else match.end()
    return "".join(kept) + text[position:]


def end_of_comment(text: str, position: int) -> int:
    """Where a comment ends, others within it too, whose `/*` ends at a position."""
    depth = 1
    while depth:
        match = _NESTED.search(text, position)
        if match is None:
            return len(text)
        depth += 1 if match[0] == "/*" else -1
        position = match.end()
    return position


def columns(names: Iterable[str]) -> str:
    """A quoted column list."""
    return ", ".join(map(quote, names))
