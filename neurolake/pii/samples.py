"""The cells of a sample, taken apart: one leaf for each column, field of a struct, element of a list, key of JSON."""

from __future__ import annotations

import datetime
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from neurolake.pii.inside import ANYTHING

__all__ = ["DISTINCT_MAX", "Leaf", "Taken", "take"]

DISTINCT_MAX = 400
"""Distinct cells of a leaf that are looked at."""
FIRST_CHARACTERS, LAST_CHARACTERS = 250, 150
"""What is looked at of a longer cell, which is free text."""
LEAVES_MAX, DEPTH_MAX = 200, 20
"""Leaves looked at in one column, and how deep: a wide JSON document must not cost what a table costs."""
DOCUMENTS_CHARACTERS_MAX = 20_000_000
"""JSON that is parsed of one column; what comes after it is not in the sample."""
DOCUMENTS_MIN = 0.6
"""The share of a column's cells that must be JSON for them to be looked into."""
NAMES_MAX = 100
"""Keys of an object that stands nearly alone: with more of them they are no names of fields."""
FEW_OBJECTS = 4
"""Of so few objects it cannot be told which keys are rare."""
NAME_SHARE_MIN = 0.02
HIDDEN = "*"
"""Stands in a path for a key that may be a value: paths are kept and shown, values never."""
_HALF = re.compile(r"\\u[dD][89a-fA-F]")
"""A letter beyond the first 65,536 as JSON may write it, in two escapes, of which one may be missing."""
_NAME = re.compile(r"[^\W\d][\w-]{0,62}")
_NUMBERED = re.compile(r"\d{4}")
_PERSONAL = re.compile(ANYTHING, re.IGNORECASE)

MISSING = frozenset(
    ("", "-", "--", "?", ".", "n/a", "na", "n.a.", "none", "null", "nil", "nan", "unknown", "unbekannt", "tbd", "tba",
     "not available", "not applicable", "missing", "empty", "undefined", "inconnu", "desconocido", "(null)", "xxx")
)  # fmt: skip
"""Words that stand for nothing."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """The distinct cells of one leaf, trimmed.

    Args:
        column: the column it is in.
        path: names from the column down, between dots: the column's own name where nothing is nested. Behind a list
            stands `[]`, and `*` for keys that are values rather than names.
        type: `text`, `number`, `day` or `other`.
        values: distinct cells, without those that stand for nothing.
        cells: how many cells the sample had that are not empty.
    """

    column: str
    path: str
    type: str
    values: tuple[str, ...]
    cells: int

    @property
    def nested(self) -> bool:
        """Whether it is a part of its column."""
        return self.path != self.column


class Taken(NamedTuple):
    """The leaves of a sample, the columns in which no cell holds anything, and those that hold too much."""

    leaves: list[Leaf]
    empty: frozenset[str]
    left_out: frozenset[str]


def take(sample: pa.Table) -> Taken:
    """Every leaf of a sample.

    >>> taken = take(pa.table({"a": [{"b": 1.0}], "c": pa.nulls(1)}))
    >>> [(leaf.path, leaf.type, leaf.values) for leaf in taken.leaves if leaf.values], sorted(taken.empty)
    ([('a.b', 'number', ('1',))], ['c'])
    """
    columns = []
    for name, cells in zip(sample.column_names, sample.columns, strict=True):
        column = _Column(name)
        column.arrow(name, cells, 0)
        columns.append(column)
    return Taken(
        [leaf for column in columns for leaf in column.leaves],
        frozenset(column.name for column in columns if not any(leaf.cells for leaf in column.leaves)),
        frozenset(column.name for column in columns if column.left_out),
    )


class _Column:
    """The leaves of one column, and whether something of it was left out."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.leaves: list[Leaf] = []
        self.left_out = False
        self._characters = 0

    def arrow(self, path: str, cells: pa.ChunkedArray, depth: int) -> None:
        """The leaves below an array."""
        kind = cells.type.value_type if pa.types.is_dictionary(cells.type) else cells.type
        filled = len(cells) - cells.null_count
        if depth > DEPTH_MAX:
            self.left_out = True
        elif pa.types.is_struct(kind):
            for place in range(kind.num_fields):
                below = f"{path}.{HIDDEN if _PERSONAL.search(kind.field(place).name) else kind.field(place).name}"
                self.arrow(below, pc.struct_field(cells, [place]), depth + 1)
        elif pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
            self.arrow(_of_list(path), pc.list_flatten(cells), depth + 1)
        elif pa.types.is_map(kind):
            self._objects(path, [_mapping(pairs) for pairs in _python(cells)], depth)
        elif pa.types.is_nested(kind):
            self._values(path, _python(cells), depth)
        elif pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
            self._texts(path, _distinct(cells), filled, depth)
        else:
            self._leaf(path, *_plain(_distinct(cells) if _is_plain(kind) else ()), filled)

    def _leaf(self, path: str, kind: str, values: Iterable[str], cells: int) -> None:
        if len(self.leaves) >= LEAVES_MAX:
            self.left_out = True
            return
        self.leaves.append(Leaf(self.name, path, kind, tuple(dict.fromkeys(values))[:DISTINCT_MAX], cells))

    def _texts(self, path: str, values: Iterable[str], cells: int, depth: int) -> None:
        """Text, which may be JSON: that is looked into, and the rest is a leaf of its own."""
        kept = [text for value in values if (text := value.strip()).casefold() not in MISSING]
        documents: list[Any] = []
        others: list[str] = []
        for text in kept:
            parsed = self._document(text)
            (others if parsed is None else documents).append(text if parsed is None else parsed)
        if documents and len(documents) >= DOCUMENTS_MIN * len(kept):
            self._values(path, documents, depth)
            kept, cells = others, len(others)
            if not others:
                return
        self._leaf(path, "text", map(_cut, kept), cells)

    def _document(self, text: str) -> Any:
        """What a text is as JSON; None where it is none, or holds nothing."""
        if text[0] not in '{["' or self._characters > DOCUMENTS_CHARACTERS_MAX:
            return None
        self._characters += len(text)
        try:
            parsed = json.loads(text)
            if _HALF.search(text):  # half of a pair is no text: what has it alone cannot leave Python again
                parsed = json.loads(json.dumps(parsed, ensure_ascii=False).encode(errors="replace"))
            return parsed
        except ValueError:
            return None
        except RecursionError:
            self.left_out = True
            return None

    def _values(self, path: str, values: Sequence[Any], depth: int) -> None:
        """What stands at one path of several documents, without nulls."""
        objects = [value for value in values if isinstance(value, dict)]
        lists = [value for value in values if isinstance(value, list | tuple)]
        plain = [value for value in values if not isinstance(value, dict | list | tuple)]
        if (objects or lists) and depth >= DEPTH_MAX:
            self.left_out = True
            return
        if objects:
            self._objects(path, objects, depth)
        if lists:
            inner = [value for one in lists for value in one if value is not None]
            self._values(_of_list(path), inner, depth + 1)
        if any(isinstance(value, str) for value in plain):
            self._texts(path, map(str, plain), len(plain), depth + 1)
        elif plain:
            self._leaf(path, *_plain(plain), len(plain))

    def _objects(self, path: str, objects: Sequence[dict[str, Any]], depth: int) -> None:
        """Objects at one path: names of fields lead to leaves of their own, keys that are values are a leaf."""
        counts = Counter(key for one in objects for key in one)
        names = _names(counts, len(objects))
        if hidden := [key for key in counts if key not in names]:
            self._leaf(f"{path}.{HIDDEN}", "text", map(_cut, hidden), sum(counts[key] for key in hidden))
        below: defaultdict[str, list[Any]] = defaultdict(list)
        for one in objects:
            for key, value in one.items():
                if value is not None:
                    below[key if key in names else HIDDEN].append(value)
        for key, values in below.items():
            self._values(f"{path}.{key}", values, depth + 1)


def _names(counts: Counter[str], objects: int) -> frozenset[str]:
    """The keys that are names of fields: words that many of the objects have, and that hold nothing personal.

    >>> sorted(_names(Counter({"mail": 90, "ann@example.org": 90, "u4711": 90, "anna": 1}), 100))
    ['mail']
    """
    least = 1.0 if objects < FEW_OBJECTS else max(2, NAME_SHARE_MIN * objects)
    names = frozenset(
        key
        for key, count in counts.items()
        if count >= least and _NAME.fullmatch(key) and not _NUMBERED.search(key) and not _PERSONAL.search(key)
    )
    return frozenset() if objects < FEW_OBJECTS and len(names) > NAMES_MAX else names


def _of_list(path: str) -> str:
    return path if path.endswith("[]") else f"{path}[]"


def _mapping(pairs: Iterable[tuple[Any, Any]]) -> dict[str, Any]:
    return {str(key): value for key, value in pairs}


def _distinct(cells: pa.ChunkedArray) -> list[Any]:
    return _python(cells.unique())


def _python(cells: pa.Array | pa.ChunkedArray) -> list[Any]:
    """The values that are not NULL, without those that Python has not: infinite days, and years beyond four digits."""
    try:
        return [value for value in cells.to_pylist() if value is not None]
    except (OverflowError, ValueError):
        return [value for cell in cells for value in _as_python(cell) if value is not None]


def _as_python(cell: pa.Scalar) -> Iterator[Any]:
    with suppress(OverflowError, ValueError):
        yield cell.as_py()


def _cut(text: str) -> str:
    if len(text) <= FIRST_CHARACTERS + LAST_CHARACTERS:
        return text
    return f"{text[:FIRST_CHARACTERS]}\n{text[-LAST_CHARACTERS:]}"


def _is_plain(kind: pa.DataType) -> bool:
    """Whether its values may be numbers of persons, or days."""
    return bool(
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_decimal(kind)
        or pa.types.is_date(kind)
        or pa.types.is_timestamp(kind)
    )


def _plain(values: Sequence[Any]) -> tuple[str, list[str]]:
    """The type and the texts of values that are neither text nor nested.

    >>> _plain([4930123456.0, 12]), _plain([1.5, 2]), _plain([datetime.date(1980, 5, 3)]), _plain([True])
    (('number', ['4930123456', '12']), ('other', []), ('day', ['1980-05-03']), ('other', []))
    """
    if values and all(isinstance(value, datetime.date) for value in values):
        return "day", [str(value) for value in values]
    numbers = [value for value in values if value == value]  # a number that is none differs from itself
    if all(isinstance(n, int | float | Decimal) and not isinstance(n, bool) and _is_whole(n) for n in numbers):
        return "number", [str(int(number)) for number in numbers]
    return "other", []


def _is_whole(number: int | float | Decimal) -> bool:
    return isinstance(number, int) or (-1e30 < number < 1e30 and number == int(number))
