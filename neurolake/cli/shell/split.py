"""Where statements end in a text that is still being typed."""

from __future__ import annotations

import re
from typing import NamedTuple

_TOKEN = re.compile(
    r"""
      (?P<quoted> [eE]'(?:[^'\\]|\\.|'')*' | '(?:[^']|'')*' | "(?:[^"]|"")*" | \$(?P<tag>\w*)\$.*?\$(?P=tag)\$ )
    | (?P<gap> \s+ | --[^\n]*(?:\n|\Z) | /\*.*?\*/ )
    | (?P<end> ; )
    | (?P<open> [eE]?' | " | /\* | \$\w*\$ )
    | (?P<other> [^\s'"$;/\-eE]+ | . )
    """,
    re.VERBOSE | re.DOTALL,
)


class Split(NamedTuple):
    """The whole statements of a text, without their semicolons, and the text after the last one."""

    statements: list[str]
    rest: str


def split(text: str) -> Split:
    """Cut a text at its semicolons; those in quotes and comments do not count.

    >>> split("SELECT ';' AS a; -- that was it;\\nSELECT 2")
    Split(statements=["SELECT ';' AS a"], rest='SELECT 2')
    >>> split("SELECT 'not closed; ")
    Split(statements=[], rest="SELECT 'not closed; ")
    """
    statements: list[str] = []
    start = position = 0
    is_empty = True
    while match := _TOKEN.match(text, position):
        position = match.end()
        kind = match.lastgroup
        if kind == "open":
            return Split(statements, text[start:])
        if kind == "end":
            if not is_empty:
                statements.append(text[start : match.start()].strip())
            start, is_empty = position, True
        elif kind == "gap":
            start = position if is_empty else start
        else:
            is_empty = False
    return Split(statements, text[start:])
