"""The engine's types, read from their text: what a column is, at every depth."""

from __future__ import annotations

import re
from dataclasses import dataclass

from neurolake import errors

__all__ = ["LogicalType", "parse_type"]

_TOKEN = re.compile(r"""\s*(?:("(?:[^"]|"")*")|('(?:[^']|'')*')|(\w+)|([()\[\],:]))""")
_NESTED = frozenset(("STRUCT", "UNION", "MAP", "TUPLE"))
_ZONED = ("WITH", "TIME", "ZONE")


@dataclass(frozen=True, slots=True)
class LogicalType:
    """One type: its family, its full text, and its children by name.

    >>> parse_type("STRUCT(a INTEGER, b HUGEINT[2])").children[1]
    ('b', LogicalType(family='ARRAY', text='HUGEINT[2]', children=(('', LogicalType(family='HUGEINT', text='HUGEINT', \
children=())),)))
    """

    family: str
    text: str
    children: tuple[tuple[str, LogicalType], ...] = ()

    def holds(self, *families: str) -> bool:
        """Whether the type or any inside it is of one of these families."""
        return self.family in families or any(child.holds(*families) for _, child in self.children)


def parse_type(text: str) -> LogicalType:
    """Read a type as the engine writes it.

    Raises:
        NotSupported: the text is no type.

    >>> parse_type("DECIMAL(10,2)[]").family, parse_type("TIME WITH TIME ZONE").family
    ('LIST', 'TIME WITH TIME ZONE')
    """
    parser = _Parser(text)
    found = parser.type()
    if parser.rest():
        raise _unread(text)
    return found


def _unread(text: str) -> errors.NotSupported:
    return errors.NotSupported(f"The type {text} is not known to snapshots.", code="snapshot_type")


class _Parser:
    """Recursive descent over the tokens of a type's text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def rest(self) -> str:
        """What is left of the text."""
        return self._text[self._at :].strip()

    def peek(self) -> str | None:
        match = _TOKEN.match(self._text, self._at)
        return None if match is None else match[match.lastindex or 0]

    def take(self, wanted: str | None = None) -> str:
        match = _TOKEN.match(self._text, self._at)
        if match is None or (wanted is not None and match[match.lastindex or 0] != wanted):
            raise _unread(self._text)
        self._at = match.end()
        return match[match.lastindex or 0]

    def type(self) -> LogicalType:
        start = self._at + len(self._text[self._at :]) - len(self._text[self._at :].lstrip())
        found = self._base(start)
        while self.peek() == "[":
            self.take("[")
            family = "LIST"
            if self.peek() != "]":
                self.take()
                family = "ARRAY"
            self.take("]")
            found = LogicalType(family, self._text[start : self._at], (("", found),))
        return found

    def _base(self, start: int) -> LogicalType:
        family = self.take().upper()
        if family in _NESTED and self.peek() == "(":
            children = self._children(family)
            return LogicalType(family, self._text[start : self._at], children)
        if family in ("TIME", "TIMESTAMP") and self.peek() == "WITH":
            family = " ".join((family, *map(self.take, _ZONED)))
        if self.peek() == "(":
            self._skip()
        return LogicalType(family, self._text[start : self._at])

    def _children(self, family: str) -> tuple[tuple[str, LogicalType], ...]:
        self.take("(")
        children: list[tuple[str, LogicalType]] = []
        while True:
            named = family in ("STRUCT", "UNION")
            name = _unquoted(self.take()) if named else ("key", "value")[len(children)] if family == "MAP" else ""
            children.append((name, self.type()))
            if self.peek() != ",":
                break
            self.take(",")
        self.take(")")
        return tuple(children)

    def _skip(self) -> None:
        self.take("(")
        while self.take() != ")":
            pass


def _unquoted(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name
