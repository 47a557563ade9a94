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
_ODD: Final = re.compile(r"--|/\*|[\\$\0]")
"""Comments, escapes, other quotes, parameters: texts with any of them are not taken to pieces."""
_TOKEN: Final = re.compile(r"""([\w.]*)'((?:[^']|'')*)'|"(?:[^"]|"")*"|(?<![\w.])([0-9]{1,9})(?![\w.])|[\w.]+""")
_NUMBER: Final = re.compile(r"-?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")


Literal = tuple[str, str]
"""A kind, and what is said."""


class Form(NamedTuple):
    """A statement's form, and its literals in the order of the tree."""

    shape: str
    literals: tuple[Literal, ...]


def form_of(answer: str) -> Form:
    r"""The form of what json_serialize_sql gave.

    >>> one = form_of('{"literal":{"kind":"STRING","text":"a\\"b"},"query_location":7}')
    >>> two = form_of('{"literal":{"kind":"STRING","text":"c"},"query_location":9}')
    >>> one.shape == two.shape, one.literals, two.literals
    (True, (('STRING', 'a"b'),), (('STRING', 'c'),))
    """
    pieces = _LITERAL.split(_PLACE.sub("", answer))
    kinds = pieces[1::3]
    said = [json.loads(f'"{text}"') if "\\" in text else text for text in pieces[2::3]]
    return Form("\0".join((*pieces[::3], *kinds)), tuple(zip(kinds, said, strict=True)))


class Spelling(NamedTuple):
    """A text without its plain literals, and these in the order of the text."""

    around: tuple[str, ...]
    literals: tuple[Literal, ...]

    @property
    def skeleton(self) -> tuple[object, ...]:
        """What two texts share that differ in plain literals alone."""
        return (*self.around, *(kind for kind, _ in self.literals))

    def marked(self, first: int) -> tuple[str, dict[Literal, int]]:
        """The text with a literal of its own at each place, and the places by their literals."""
        places: dict[Literal, int] = {}
        parts = [self.around[0]]
        for place, ((kind, _), after) in enumerate(zip(self.literals, self.around[1:], strict=True)):
            said = str(first + place)
            places[kind, said] = place
            parts += (literal(said) if kind == "STRING" else said, after)
        return "".join(parts), places


def spelling_of(text: str) -> Spelling | None:
    """The spelling of a text; None where its literals may not be told so simply.

    >>> spelling_of("SELECT 'a' FROM t2 WHERE x = 17 AND y > 1.5").literals
    (('STRING', 'a'), ('INTEGER', '17'))
    >>> spelling_of("SELECT E'a'") is spelling_of("SELECT 1 -- one") is None
    True
    """
    if _ODD.search(text):
        return None
    around, literals, position = [], [], 0
    for match in _TOKEN.finditer(text):
        prefix, string, number = match.groups()
        if prefix:
            return None
        if string is None and number is None:
            continue
        around.append(text[position : match.start()])
        literals.append(("INTEGER", number) if string is None else ("STRING", string.replace("''", "'")))
        position = match.end()
    return Spelling((*around, text[position:]), tuple(literals))


def order_of(spelling: Spelling, form: Form, marked_form: Callable[[str], Form]) -> tuple[int, ...] | None:
    """For each literal of the tree its place in the text, for every text of the skeleton; None where that is not plain.

    Args:
        spelling: of a text.
        form: of the same text.
        marked_form: gives the form of another text.
    """
    orders = []
    for first in (1, 900_000_001):
        text, places = spelling.marked(first)
        seen = marked_form(text)
        if seen.shape != form.shape or sorted(seen.literals) != sorted(places):
            return None
        orders.append(tuple(places[one] for one in seen.literals))
    same = orders[0] == orders[1] and tuple(spelling.literals[place] for place in orders[0]) == form.literals
    return orders[0] if same else None


class Template(NamedTuple):
    """A printed statement without its literals: what stands around them, and the number of each by its place."""

    around: tuple[str, ...]
    numbers: tuple[int, ...]

    def filled(self, literals: tuple[Literal, ...]) -> str | None:
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


def _written(kind: str, said: str) -> str | None:
    if kind == "STRING":
        return literal(said)
    return said if _NUMBER.fullmatch(said) else None
