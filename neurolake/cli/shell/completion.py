"""Tab: tables after FROM, columns after a table's name and a dot, procedures after neurolake., keywords elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

from neurolake import errors
from neurolake.cli.shell.console import COMMANDS, Console
from neurolake.sql.text import quote

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
_PLAIN = re.compile(r"[a-z_][a-z0-9_]*\Z")


@dataclass
class _Names:
    """What the lake holds, as of one version of the console."""

    version: int = -1
    columns: dict[str, list[str]] = field(default_factory=dict)
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
        return self._words(before[: len(before) - len(word)], word)

    def _words(self, before: str, word: str) -> Iterator[Completion]:
        names = self._current()
        if "." in word:
            owner, _, begun = word.rpartition(".")
            if owner.casefold() == "neurolake":
                yield from _matching(names.procedures, begun)
            yield from _matching(names.columns.get(owner.strip('"').casefold(), ()), begun)
            inside = [table[len(owner) + 1 :] for table in names.columns if table.startswith(f"{owner.casefold()}.")]
            yield from _matching(inside, begun)
            return
        tables = [*names.columns, "neurolake."]
        if _TABLE_COMES.search(before):
            yield from _matching(tables, word)
            return
        columns = dict.fromkeys(column for listed in names.columns.values() for column in listed)
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
        for schema, table, column in rows:
            full = table if schema == "main" else f"{schema}.{table}"
            names.columns.setdefault(full.casefold(), []).append(column)
        return names


def _matching(words: Iterable[str], begun: str) -> Iterator[Completion]:
    folded = begun.strip('"').casefold()
    for word in words:
        if word.casefold().startswith(folded):
            yield Completion(_written(word), start_position=-len(begun), display=word)


def _written(word: str) -> str:
    """A name as SQL needs it: quoted where it is odd."""
    bare = word.rstrip("(.").lstrip(".")
    return word if all(_PLAIN.match(part.casefold()) for part in bare.split(".")) else quote(word)
