"""Free text at any depth: what a redacted column looks like whose type is nested, or JSON.

Text is redacted where it stands. What is neither text nor a truth value is NULL: in free text every digit is hidden,
and a number or a day beside it says no less. Like every mask it is total: what cannot be put together again is NULL.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from neurolake import errors
from neurolake.sql.text import literal, quote
from neurolake.sql.types import LogicalType, parse_type

__all__ = ["expression", "holds_text"]

Redact = Callable[[str, bool], str]
"""Gives the SQL of a redacted text, of SQL that is text, and of one that is JSON where the second is true."""

_TEXTS = ("VARCHAR", "JSON")


@lru_cache(maxsize=2_000)
def holds_text(data_type: str) -> bool:
    """Whether a type holds text that can be redacted in its place.

    >>> [holds_text(kind) for kind in ("JSON", "STRUCT(a VARCHAR[], b INTEGER)[]", "MAP(INTEGER, VARCHAR)", "BLOB")]
    [True, True, False, False]
    """
    try:
        kind = parse_type(data_type)
    except errors.NotSupported:
        return False
    return kind.holds(*_TEXTS) and _is_known(kind)


def _is_known(kind: LogicalType) -> bool:
    """Whether its form can be made again: keys of maps must stay keys, and unions have no form of their own."""
    if kind.family in ("UNION", "TUPLE", "VARIANT") or (kind.family == "STRUCT" and not kind.children):
        return False
    if kind.family == "MAP" and kind.children[0][1].family != "VARCHAR":
        return False
    return all(_is_known(child) for _, child in kind.children)


def expression(column: str, data_type: str, redact: Redact, call: Callable[..., str]) -> str:
    """The SQL of a column with all text in it redacted, or NULL.

    Args:
        column: the SQL that names it.
        data_type: its type, for which `holds_text` is true.
        redact: makes text into what is shown of it.
        call: makes a call of a function of the engine's own.
    """
    made = _Maker(redact, call).made(column, parse_type(data_type), 0)
    return f"TRY_CAST(TRY({made}) AS {data_type})"


class _Maker:
    def __init__(self, redact: Redact, call: Callable[..., str]) -> None:
        self._redact = redact
        self._call = call

    def made(self, value: str, kind: LogicalType, depth: int) -> str:
        if kind.family in _TEXTS:
            return self._redact(f"CAST({value} AS VARCHAR)", kind.family == "JSON")
        if kind.family == "STRUCT":
            return f"CASE WHEN {value} IS NOT NULL THEN {self._packed(value, kind, depth)} END"
        if kind.family in ("LIST", "ARRAY"):
            return self._each(value, lambda one: self.made(one, kind.children[0][1], depth + 1), depth)
        if kind.family == "MAP":
            entries = self._each(
                self._call("map_entries", value), lambda one: self._packed(one, kind, depth + 1), depth
            )
            return self._call("map_from_entries", entries)
        return value if kind.family == "BOOLEAN" else f"CAST(NULL AS {kind.text})"

    def _packed(self, value: str, kind: LogicalType, depth: int) -> str:
        fields = (
            f"{quote(name)} := {self.made(self._call('struct_extract', value, literal(name)), child, depth)}"
            for name, child in kind.children
        )
        return self._call("struct_pack", *fields)

    def _each(self, values: str, made: Callable[[str], str], depth: int) -> str:
        one = f"e{depth}"
        return self._call("list_transform", values, f"lambda {one}: {made(one)}")
