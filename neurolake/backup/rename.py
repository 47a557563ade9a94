"""Statements of a snapshot, made to make their object under another schema.

The engine prints an object's name first, so it is read from there; what a view or a default refers to is followed only
as far as the snapshot's own tables and sequences.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from neurolake.sql.text import DEFAULT_SCHEMA, Name

__all__ = ["leading_name", "moved_table", "moved_view"]

_HEAD = re.compile(r"\s*CREATE\s+(?:TABLE|VIEW|SEQUENCE|TYPE|MACRO|INDEX|UNIQUE INDEX)\s+", re.IGNORECASE)
_IDENTIFIER = re.compile(r'"((?:[^"]|"")*)"|([^\s."(;]+)')
_ON = re.compile(r"\s+ON\s+")
_NEXT = re.compile(r"(nextval|currval)\('((?:[^']|'')*)'\)")

Moves = Mapping[Name, Name]
"""From folded names to what they are called now."""


def leading_name(text: str, at: int = 0) -> tuple[Name, int]:
    """The name that stands at a place of a text, and where it ends.

    >>> leading_name('s."a b"(x INTEGER)')
    (Name(schema='s', table='a b'), 7)
    """
    parts: list[str] = []
    while (match := _IDENTIFIER.match(text, at)) is not None:
        parts.append(match[1].replace('""', '"') if match[1] is not None else match[2])
        at = match.end()
        if not text.startswith(".", at):
            break
        at += 1
    return Name(parts[-2] if len(parts) > 1 else DEFAULT_SCHEMA, parts[-1]), at


def _head(sql: str) -> int:
    match = _HEAD.match(sql)
    assert match is not None, sql
    return match.end()


def moved_table(sql: str, to: Name, moves: Moves) -> str:
    """A CREATE TABLE or CREATE SEQUENCE under another name; foreign keys and defaults follow their objects.

    >>> moves = {Name("main", "q"): Name("old", "q")}
    >>> moved_table("CREATE TABLE t(i INTEGER DEFAULT(nextval('q')))", Name("old", "t"), moves)
    'CREATE TABLE lake."old"."t"(i INTEGER DEFAULT(nextval(\\'old.q\\')))'
    """
    start = _head(sql)
    name, end = leading_name(sql, start)
    rest = _NEXT.sub(lambda match: _sequence(match, name.schema, moves), sql[end:])
    return sql[:start] + to.sql() + _references(rest, name.schema, moves)


def _sequence(match: re.Match[str], schema: str, moves: Moves) -> str:
    named, _ = leading_name(match[2].replace("''", "'"))
    found = moves.get(named.fold()) or moves.get(Name(schema, named.table).fold())
    if found is None:
        return match[0]
    written = ".".join(part if re.fullmatch(r"[a-z_][a-z0-9_]*", part) else f'"{part}"' for part in found)
    return f"{match[1]}('{written.replace(chr(39), chr(39) * 2)}')"


def _references(text: str, schema: str, moves: Moves) -> str:
    marker = " REFERENCES "
    pieces = text.split(marker)
    for place in range(1, len(pieces)):
        name, end = leading_name(pieces[place])
        found = moves.get(name.fold()) or moves.get(Name(schema, name.table).fold())
        if found is not None and pieces[place - 1].rstrip().endswith(")"):
            pieces[place] = (
                f'"{found.table}"{pieces[place][end:]}'
                if found.schema == schema
                else (found.sql().removeprefix("lake.") + pieces[place][end:])
            )
    return marker.join(pieces)


def moved_index(sql: str, to: Name) -> str:
    """A CREATE INDEX on a table that is called otherwise now."""
    start = _head(sql)
    _, end = leading_name(sql, start)
    on = _ON.match(sql, end)
    assert on is not None, sql
    _, over = leading_name(sql, on.end())
    return sql[: on.end()] + to.sql() + sql[over:]


def moved_view(sql: str, to: Name, moves: Moves, resolve: Callable[[str, Callable[[Name], str | None]], str]) -> str:
    """A CREATE VIEW under another name, over the tables as they are called now.

    Args:
        resolve: replaces relations' names in a SELECT.
    """
    start = _head(sql)
    _, end = leading_name(sql, start)
    body = sql.index(" AS ", _after_columns(sql, end)) + len(" AS ")

    def lookup(name: Name) -> str | None:
        found = moves.get(name.fold())
        return None if found is None else found.sql()

    return sql[:start] + to.sql() + sql[end:body] + resolve(sql[body:], lookup)


def _after_columns(sql: str, at: int) -> int:
    """Behind a list of columns in parentheses, if there is one."""
    if not sql[at:].lstrip().startswith("("):
        return at
    quoted = False
    for place in range(at, len(sql)):
        if sql[place] == '"':
            quoted = not quoted
        elif sql[place] == ")" and not quoted:
            return place
    return at
