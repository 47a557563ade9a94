"""Tab: tables after FROM, columns after a table's name or alias and a dot, procedures after neurolake., keywords."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

from neurolake import errors
from neurolake.cli.shell.console import COMMANDS, Console
from neurolake.identifiers import fold
from neurolake.sql.text import DEFAULT_SCHEMA, quote

KEYWORDS = (
    "ALTER", "AND", "AS", "ASC", "AT", "BEGIN", "BETWEEN", "BY", "CALL", "CASE", "CAST", "COMMIT", "COPY", "COUNT",
    "CREATE", "CROSS", "DELETE", "DESC", "DESCRIBE", "DISTINCT", "DROP", "ELSE", "END", "EXCEPT", "EXCLUDE", "EXISTS",
    "EXPLAIN", "FALSE", "FROM", "FULL", "GROUP", "HAVING", "IN", "INNER", "INSERT", "INTERSECT", "INTO", "IS", "JOIN",
    "LEFT", "LIKE", "LIMIT", "NOT", "NULL", "OFFSET", "ON", "OR", "ORDER", "OUTER", "OVER", "PARTITION", "PIVOT",
    "QUALIFY", "REPLACE", "RIGHT", "ROLLBACK", "ROWS", "SELECT", "SET", "SHOW", "SUMMARIZE", "TABLE", "TEMP", "THEN",
    "TRUE", "UNION", "UNPIVOT", "UPDATE", "USING", "VALUES", "VIEW", "WHEN", "WHERE", "WINDOW", "WITH",
)  # fmt: skip
_WORD = re.compile(r'[\w."]*$')
_TABLE_COMES = re.compile(r"\b(?:from|join|into|update|table|describe|summarize)\s+$", re.IGNORECASE)
_NAME = r'(?:"(?:[^"]|"")+"|\w+)'
_ALIASED = re.compile(rf'(?<![\w."])({_NAME}(?:\.{_NAME})*)(?=\s+(?:AS\s+)?({_NAME}))', re.IGNORECASE)
"""A name and the one after it, which may be its alias: only those of tables count."""
_PLAIN = re.compile(r"[a-z_][a-z0-9_]*\Z")


class _Table(NamedTuple):
    """A table and what may be typed of it. Tables of the default schema go without it."""

    schema: str
    name: str
    columns: list[str]

    @property
    def words(self) -> str:
        """The name as it is typed."""
        return (
            _written(self.name) if self.schema == DEFAULT_SCHEMA else f"{_written(self.schema)}.{_written(self.name)}"
        )


@dataclass
class _Names:
    """What the lake holds, as of one version of the console."""

    version: int = -1
    tables: list[_Table] = field(default_factory=list)
    procedures: list[str] = field(default_factory=list)


class LakeCompleter(Completer):
    """Completes the word at the cursor from what the lake holds."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._names = _Names()

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        """What the word at the cursor may become, best first."""
        before = document.text_before_cursor
        if before.startswith("."):
            return _matching(COMMANDS, before)
        found = _WORD.search(before)
        word = found[0] if found else ""
        if "." in word:
            owner, _, begun = word.rpartition(".")
            return _matching(_inside(self._current(), _bare(owner), document.text), begun)
        return self._words(before[: len(before) - len(word)], word)

    def _words(self, before: str, word: str) -> Iterator[Completion]:
        names = self._current()
        tables = [*(table.words for table in names.tables), "neurolake."]
        if not _TABLE_COMES.search(before):
            columns = dict.fromkeys(_written(column) for table in names.tables for column in table.columns)
            yield from _matching(columns, word)
            yield from _matching(KEYWORDS, word)
        yield from _matching(tables, word)

    def _current(self) -> _Names:
        if self._names.version != self._console.version:
            self._names = self._read(self._console.version)
        return self._names

    def _read(self, version: int) -> _Names:
        lake, names = self._console.lake, _Names(version)
        try:
            rows = lake.sql("SELECT table_schema, table_name, column_name FROM neurolake.columns").fetchall()
            names.procedures = [f"{row[0]}(" for row in lake.sql("SELECT name FROM neurolake.procedures").fetchall()]
        except errors.NeuroLakeError:
            return names  # completion is a courtesy: the statement itself will say what is wrong
        found: dict[tuple[str, str], _Table] = {}
        for schema, table, column in rows:
            found.setdefault((schema, table), _Table(schema, table, [])).columns.append(column)
        names.tables = list(found.values())
        return names


def _inside(names: _Names, owner: str, text: str) -> Iterator[str]:
    """What comes after a name and a dot: a schema's tables, a table's columns, the system's procedures."""
    if owner == "neurolake":
        yield from names.procedures
    owners = {owner, *(_bare(table) for table, alias in _ALIASED.findall(text) if _bare(alias) == owner)}
    for schema, table, columns in names.tables:
        if owner == fold(schema):
            yield _written(table)
        if not owners.isdisjoint((fold(table), fold(f"{schema}.{table}"))):
            yield from map(_written, columns)


def _bare(name: str) -> str:
    """A name, or several with dots between, folded and without quotes, nor the catalog that all are in."""
    return fold(name.replace('"', "")).removeprefix("lake.")


def _matching(words: Iterable[str], begun: str) -> Iterator[Completion]:
    folded = fold(begun.strip('"'))
    for word in words:
        if fold(word.strip('"')).startswith(folded):
            yield Completion(word, start_position=-len(begun))


def _written(name: str) -> str:
    """A name as SQL needs it: quoted where it is odd."""
    return name if _PLAIN.match(fold(name)) else quote(name)
