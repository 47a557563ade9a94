"""Personal data written into statements: found in the literals alone, and hidden before a text is kept."""

from __future__ import annotations

import re
from functools import cache

from neurolake import errors
from neurolake.pii import checks

__all__ = ["kinds_in", "redacted", "refuse"]

_LITERAL = re.compile(
    r"""--[^\n]*|/\*.*?\*/|"(?:[^"]|"")*"|'(?P<text>(?:[^']|'')*)'|\$\$(?P<raw>.*?)\$\$|\b(?P<number>\d{12,19})\b""",
    re.DOTALL,
)
"""A comment or a quoted name, which is passed over, or a literal."""
HIDDEN = "***"


@cache
def _patterns() -> tuple[tuple[str, re.Pattern[str]], ...]:
    from neurolake.pii.inside import INSIDE

    return tuple((entity, re.compile(pattern, re.ASCII | re.IGNORECASE)) for entity, pattern in INSIDE.items())


def _kinds(match: re.Match[str]) -> list[str]:
    if match["number"] is not None:
        return ["CREDIT_CARD"] if checks.luhn(match["number"]) and match["number"][0] in "23456" else []
    text = match["text"] if match["text"] is not None else match["raw"]
    return [] if text is None else [entity for entity, pattern in _patterns() if _holds(entity, pattern, text)]


def _holds(entity: str, pattern: re.Pattern[str], text: str) -> bool:
    from neurolake.pii.inside import CHECKS

    check = CHECKS.get(entity)
    return any(check is None or check(checks.compact(found[0])) for found in pattern.finditer(text))


def kinds_in(text: str) -> list[str]:
    """The kinds of personal data that the literals of a statement hold.

    >>> kinds_in("SELECT * FROM t WHERE mail = 'ann@example.org' AND host = 'c.city'")
    ['EMAIL_ADDRESS']
    >>> kinds_in("SELECT 'order 4711', c.city /* not ann@example.org */ FROM t")
    []
    """
    return list(dict.fromkeys(kind for match in _LITERAL.finditer(text) for kind in _kinds(match)))


def refuse(text: str) -> None:
    """Refuse a statement whose literals hold personal data.

    Raises:
        InvalidRequest: `literal_personal`; the message names the kinds and not the data.
    """
    if kinds := kinds_in(text):
        raise errors.InvalidRequest(
            f"The statement holds personal data as a literal: {', '.join(kinds)}.",
            code="literal_personal",
            next_step="Bind the value as a parameter.",
        )


def redacted(text: str) -> str:
    """A statement with the literals that hold personal data hidden.

    >>> redacted("SELECT id FROM t WHERE mail = 'ann@example.org' AND city = 'Graz' AND card = 4111111111111111")
    "SELECT id FROM t WHERE mail = '***' AND city = 'Graz' AND card = ***"
    """

    def hide(match: re.Match[str]) -> str:
        if not _kinds(match):
            return match[0]
        return HIDDEN if match["number"] is not None else f"'{HIDDEN}'"

    return _LITERAL.sub(hide, text)
