"""Personal data written into statements: found in the literals alone, and hidden before a text is kept."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cache
from typing import NamedTuple

from neurolake import errors
from neurolake.pii import checks
from neurolake.pii.inside import ANYTHING, CHECKS, INSIDE
from neurolake.sql.text import end_of_comment

__all__ = ["Found", "described", "find", "hidden", "kinds_in", "refused"]

_PLACE = re.compile(
    r"""--[^\n]*|/\*|"(?:[^"]|"")*(?:"|\Z)|\b[eE]'(?P<escaped>(?:[^'\\]|\\.|'')*)(?:'|\Z)"""
    r"""|'(?P<text>(?:[^']|'')*)(?:'|\Z)|(?P<tag>\$\w*\$)(?P<raw>.*?)(?:(?P=tag)|\Z)|\b(?P<number>\d{12,19})\b""",
    re.DOTALL,
)
"""A comment or a quoted name, which is passed over, or a literal; the last of a broken text may lack its end."""
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{1,2})|u([0-9a-fA-F]{4})|([0-3]?[0-7]{1,2})|(.))", re.DOTALL)
HIDDEN = "***"
ALL_AT_ONCE_CHARACTERS = 2_000
_MAY_HOLD = re.compile(
    r"@|://|::|-----|eyJ|xox|[0-9A-Za-z_-]{16}|(?:[0-9][^0-9]*){4}"
    r"|[0-9a-f]{2}[:-][0-9a-f]{2}[:-]|[0-9a-f]{4}\.[0-9a-f]{4}\.",
    re.ASCII | re.IGNORECASE,
)
"""What any kind has at least: most texts of a statement have not."""
NUMBERS = ("CREDIT_CARD", "IMEI", "FR_NIR", "CH_AHV", "CN_RESIDENT_ID")
"""Kinds that are written as bare digits, too."""


class Found(NamedTuple):
    """A literal that holds personal data: its place in the text, and the kinds."""

    start: int
    end: int
    kinds: tuple[str, ...]


class _Kind(NamedTuple):
    entity: str
    pattern: re.Pattern[str]
    check: checks.Check | None

    def is_in(self, text: str) -> bool:
        if self.check is None:
            return self.pattern.search(text) is not None
        return any(self.check(found[0]) for found in self.pattern.finditer(text))


@cache
def _kinds() -> tuple[_Kind, ...]:
    return tuple(
        _Kind(entity, re.compile(pattern, re.ASCII | re.IGNORECASE), CHECKS.get(entity))
        for entity, pattern in INSIDE.items()
    )


def kinds_in(text: str) -> tuple[str, ...]:
    """The kinds that a text holds.

    >>> kinds_in("write to ann@example.org, CPF 390.533.447-05"), kinds_in("CPF 390.533.447-06")
    (('EMAIL_ADDRESS', 'BR_CPF'), ())
    """
    if _MAY_HOLD.search(text) is None:
        return ()
    return tuple([kind.entity for kind in _kinds() if kind.is_in(text)])


def _may_hold(texts: Sequence[str]) -> Sequence[bool]:
    """Which texts may hold any kind: asked of all at once where it pays to have one automaton made for them."""
    if sum(map(len, texts)) < ALL_AT_ONCE_CHARACTERS:
        return [True] * len(texts)
    import pyarrow as pa
    import pyarrow.compute as pc

    plain = pa.array([text.encode(errors="replace").decode() for text in texts], pa.large_string())
    return pc.match_substring_regex(plain, ANYTHING, ignore_case=True).to_pylist()  # type: ignore[no-any-return]


def _kinds_of_number(digits: str) -> tuple[str, ...]:
    if checks.luhn(digits) and digits[0] in "23456":
        return ("CREDIT_CARD",)
    return tuple(kind.entity for kind in _kinds() if kind.entity in NUMBERS and kind.is_in(digits))


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(lambda at: at[4] or chr(int(at[3], 8) if at[3] else int(at[1] or at[2], 16)), text)


def _places(text: str) -> Iterator[tuple[int, int, str, bool]]:
    """The literals of a statement in DuckDB's dialect: (start, end, what it says, whether it is a number)."""
    position = 0
    while match := _PLACE.search(text, position):
        position = match.end()
        if match[0] == "/*":
            position = end_of_comment(text, position)
        elif match["number"] is not None:
            yield match.start(), position, match["number"], True
        elif match["escaped"] is not None:
            yield match.start(), position, _unescaped(match["escaped"]), False
        elif (said := match["text"] if match["text"] is not None else match["raw"]) is not None:
            yield match.start(), position, said, False


def _places_in(text: str, dialect: str) -> Iterable[tuple[int, int, str, bool]]:
    """The same in any dialect, such as one where a double quote may begin a text and a backslash may hide its end."""
    if dialect == "duckdb":
        return _places(text)
    from neurolake.sql.dialects import literals

    told = literals(text, dialect)
    return _places(text) if told is None else told


def find(text: str, dialect: str = "duckdb") -> tuple[Found, ...]:
    """The literals of a statement that hold personal data.

    >>> find("SELECT * FROM t WHERE mail = 'ann@example.org' AND host = 'c.city'")
    (Found(start=29, end=46, kinds=('EMAIL_ADDRESS',)),)
    >>> find("SELECT 'order 4711', c.city /* not /* 'ann@example.org' */ '+49 30 1234567' */ FROM t")
    ()
    >>> find('SELECT * FROM t WHERE mail = "ann@example.org"', "bigquery")
    (Found(start=29, end=46, kinds=('EMAIL_ADDRESS',)),)
    """
    places = [place for place in _places_in(text, dialect) if place[2]]
    found = (
        Found(start, end, _kinds_of_number(said) if number else kinds_in(said))
        for (start, end, said, number), may in zip(places, _may_hold([place[2] for place in places]), strict=True)
        if may or number
    )
    return tuple(one for one in found if one.kinds)


def hidden(text: str, found: Iterable[Found]) -> str:
    """A statement with these literals hidden.

    >>> asked = "SELECT id FROM t WHERE mail = 'ann@example.org' AND city = 'Graz' AND card = 4111111111111111"
    >>> hidden(asked, find(asked))
    "SELECT id FROM t WHERE mail = '***' AND city = 'Graz' AND card = ***"
    """
    kept, position = [], 0
    for start, end, _ in found:
        kept += [text[position:start], HIDDEN if text[start].isdigit() else f"'{HIDDEN}'"]
        position = end
    return "".join([*kept, text[position:]])


def described(kinds: Collection[str]) -> tuple[str, ...]:
    """What was found, in a sentence."""
    return (f"The statement holds personal data as a literal: {', '.join(kinds)}.",) if kinds else ()


def refused(kinds: Collection[str]) -> errors.InvalidRequest:
    """Why a statement does not run: `literal_personal`; the message names the kinds and not the data."""
    return errors.InvalidRequest(*described(kinds), code="literal_personal", next_step="Bind the value as a parameter.")
