"""The form of a statement: all of its tree but what its literals say and where things stand in the text.

The gate asks of a literal only that it is one, never what it says. So of two statements of one form, what the gate has
said of one it says of the other; and where one was printed anew, the other is had by putting its literals in there.
Whether that came out right is no matter of trust: the form of what was put together is taken from DuckDB's own tree of
it, and must be the one that was walked.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

from neurolake.sql.text import literal

_PLACE: Final = re.compile(r'"query_location(?:_length)?":\d+')
_LITERAL: Final = re.compile(r'"literal":\{"kind":"(INTEGER|NUMERIC|STRING)","text":"((?:[^"\\]|\\.)*)"')
"""As json_serialize_sql writes them. Inside a JSON string every quote has a backslash, so neither is met there."""
_KINDS: Final = frozenset(("INTEGER", "NUMERIC", "STRING"))
_NUMBER: Final = re.compile(r"-?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")


class Form(NamedTuple):
    """A statement's form, and its literals in the order of the tree: their kinds, and what they say as JSON text."""

    shape: str
    literals: tuple[tuple[str, str], ...]


def form_of(answer: str) -> Form:
    r"""The form of what json_serialize_sql gave.

    >>> one = form_of('{"literal":{"kind":"STRING","text":"a\\"b"},"query_location":7}')
    >>> two = form_of('{"literal":{"kind":"STRING","text":"c"},"query_location":9}')
    >>> one.shape == two.shape, two.literals
    (True, (('STRING', 'c'),))
    """
    pieces = _LITERAL.split(_PLACE.sub("", answer))
    kinds = pieces[1::3]
    return Form("\0".join((*pieces[::3], *kinds)), tuple(zip(kinds, pieces[2::3], strict=True)))


class Template(NamedTuple):
    """A printed statement without its literals: what stands around them, and the number of each by its place."""

    around: tuple[str, ...]
    numbers: tuple[int, ...]

    def filled(self, literals: tuple[tuple[str, str], ...]) -> str | None:
        """The statement with these literals; None where one cannot be written."""
        parts = [self.around[0]]
        for number, after in zip(self.numbers, self.around[1:], strict=True):
            text = _written(*literals[number])
            if text is None:
                return None
            parts += (text, after)
        return "".join(parts)


def template_of(answer: str, print_tree: Callable[[Any], str]) -> Template | None:
    """The template of a statement that json_serialize_sql gave; None where its literals cannot be told in its text.

    Args:
        answer: what was given.
        print_tree: DuckDB's own printing of a tree.
    """
    mark = f"__literal_{secrets.token_hex(8)}_"
    tree = json.loads(answer)
    count = 0
    for found in _literals(tree):
        found["text"] = f"{mark}{count}_"
        count += 1
    pieces = re.split(rf"'{mark}(\d+)_'|{mark}(\d+)_", print_tree(tree))
    numbers = [int(quoted or plain) for quoted, plain in zip(pieces[1::3], pieces[2::3], strict=True)]
    if sorted(numbers) != list(range(count)):
        return None
    return Template(tuple(pieces[::3]), tuple(numbers))


def _literals(value: Any) -> Iterator[dict[str, Any]]:
    """In the order in which they were written."""
    if isinstance(value, list):
        for item in value:
            yield from _literals(item)
    elif isinstance(value, dict):
        found = value.get("literal")
        if isinstance(found, dict) and found.get("kind") in _KINDS:
            yield found
        for item in value.values():
            yield from _literals(item)


def _written(kind: str, text: str) -> str | None:
    said = json.loads(f'"{text}"')
    if kind == "STRING":
        return literal(said)
    return said if _NUMBER.fullmatch(said) else None
