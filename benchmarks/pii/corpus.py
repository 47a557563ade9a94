"""Columns with labels: how a part of the corpus is made from its lists, how it is damaged, and its hash."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random
from typing import NamedTuple

from benchmarks.pii.ids import COMPACT

ROWS = 200
"""Cells a column."""
EACH = 8
"""Columns of each entity, and of each family of negatives at least."""
VAGUE = 0.06
"""The share of columns whose name says nothing."""
VAGUE_NAMES = ("value", "field_7", "ref", "data", "attr2", "key", "info", "txt")

Maker = Callable[[Random], str]


class Column(NamedTuple):
    """One column. `entity` is what it holds, None for a negative; `family` says which kind of negative."""

    name: str
    entity: str | None
    family: str
    values: tuple[str | None, ...]
    type: str = "VARCHAR"


class Spec(NamedTuple):
    """How columns of one kind are made.

    Args:
        names: what such a column is called.
        formats: templates for a number without separators, where each # is its next character; or makers of whole
            cells. One is taken for each column.
        type: the column's type in the lake.
    """

    names: str
    formats: Sequence[str | Maker]
    type: str = "VARCHAR"


def spelled(text: str, template: str) -> str:
    """A number written as the template says; what the template has no place for follows at its end.

    >>> spelled("123456789", "###-##-####"), spelled("AB12", "")
    ('123-45-6789', 'AB12')
    """
    rest = iter(text)
    return "".join(next(rest, "") if char == "#" else char for char in template) + "".join(rest)


def build(part: str, positives: Mapping[str, Spec], negatives: Mapping[str, Spec], negatives_each: int) -> list[Column]:
    """All columns of a part: the same ones at every call."""
    columns = [
        _column(part, entity, number, spec, entity) for entity, spec in positives.items() for number in range(EACH)
    ]
    columns += [
        _column(part, family, number, spec, None)
        for family, spec in negatives.items()
        for number in range(negatives_each)
    ]
    return columns


def _column(part: str, kind: str, number: int, spec: Spec, entity: str | None) -> Column:
    r = Random(f"{part}/{kind}/{number}")
    names = spec.names.split()
    name = r.choice(VAGUE_NAMES) if r.random() < VAGUE else names[number % len(names)]
    how = spec.formats[number % len(spec.formats)]
    make: Maker = how if callable(how) else (lambda r: spelled(COMPACT[kind](r), how))
    return Column(name, entity, kind, tuple(make(r) for _ in range(ROWS)), spec.type)


def damaged(column: Column, share: float = 0.3) -> Column:
    """The column with a share of its cells spoilt: empty, a word for nothing, cut, mistyped, labelled or spaced."""
    r = Random(f"damage/{column.family}/{column.name}/{column.values[0]}")
    if column.type != "VARCHAR":
        return column._replace(values=tuple(None if r.random() < share else value for value in column.values))
    return column._replace(values=tuple(_spoilt(r, v) if r.random() < share else v for v in column.values))


def _spoilt(r: Random, value: str | None) -> str | None:
    text = value or ""
    at = r.randrange(len(text) + 1)
    spoilt = (
        None, "", "N/A", "unknown", "-", "see notes", f"  {text} ", f"{text} (old)", text[:at],
        text[:at] + r.choice("x7 ?") + text[at:], text[:at] + text[at + 1 :], f"no. {text}",
    )  # fmt: skip
    return r.choice(spoilt)


def hidden(columns: Sequence[Column]) -> list[Column]:
    """The columns with names that say nothing."""
    return [column._replace(name=f"c{number}") for number, column in enumerate(columns)]


def lines(columns: Sequence[Column]) -> Iterator[str]:
    """A column a line, as JSON."""
    for column in columns:
        yield json.dumps(column, ensure_ascii=False, separators=(",", ":"))


def digest(columns: Sequence[Column]) -> str:
    """The SHA-256 of a part: of every name, label and cell."""
    found = hashlib.sha256()
    for line in lines(columns):
        found.update(line.encode() + b"\n")
    return found.hexdigest()
