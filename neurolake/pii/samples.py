"""The cells of a sample, taken apart: one leaf for each column, field of a struct, element of a list, key of JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

__all__ = ["DISTINCT_MAX", "Leaf", "leaves", "of_column"]

DISTINCT_MAX = 400
"""Distinct cells of a leaf that are looked at."""
LENGTH_MAX = 400
"""Longer cells are cut: what they hold is free text."""
LEAVES_MAX = 40
"""Leaves looked at in one column, so that a wide JSON document does not cost what a table costs."""
DEPTH_MAX = 4

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
        path: names from the column down, between dots: the column's own name where nothing is nested.
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


def leaves(sample: pa.Table) -> list[Leaf]:
    """Every leaf of a sample."""
    return [
        leaf
        for name, column in zip(sample.column_names, sample.columns, strict=True)
        for leaf in of_column(name, column)
    ]


def of_column(name: str, column: pa.ChunkedArray) -> Iterator[Leaf]:
    """The leaves of one column."""
    kind = _type(column.type)
    if kind == "nested":
        yield from _flattened(name, column.to_pylist())
        return
    values = [_text(value) for value in _distinct(column)] if kind != "other" else []
    filled = len(column) - column.null_count
    leaf = _leaf(name, name, kind, values, filled)
    documents = list(_documents(leaf.values)) if kind == "text" else []
    if leaf.values and len(documents) >= 0.6 * len(leaf.values):
        yield from _flattened(name, documents)
    else:
        yield leaf


def _distinct(column: pa.ChunkedArray) -> list[Any]:
    return [value for value in column.unique().to_pylist() if value is not None]


def _text(value: Any) -> str:
    return str(value)[:LENGTH_MAX].strip()


def _leaf(column: str, path: str, kind: str, values: Iterable[str], cells: int) -> Leaf:
    kept = dict.fromkeys(value for value in values if value.casefold() not in MISSING)
    return Leaf(column, path, kind, tuple(kept)[:DISTINCT_MAX], cells)


def _type(kind: pa.DataType) -> str:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return "text"
    if pa.types.is_nested(kind):
        return "nested"
    if pa.types.is_integer(kind) or (pa.types.is_decimal(kind) and kind.scale == 0):
        return "number"
    return "day" if pa.types.is_date(kind) or pa.types.is_timestamp(kind) else "other"


def _documents(values: Iterable[str]) -> Iterator[Any]:
    for value in values:
        if value[:1] in "{[":
            try:
                yield json.loads(value)
            except ValueError:
                continue


def _flattened(column: str, documents: Iterable[Any]) -> Iterator[Leaf]:
    found: dict[str, list[Any]] = {}
    for document in documents:
        _collect(document, column, found, 0)
    for path, values in found.items():
        kinds = {type(value) for value in values}
        kind = "text" if str in kinds else "number" if kinds == {int} else "other"
        yield _leaf(column, path, kind, map(_text, values) if kind != "other" else (), len(values))


def _collect(value: Any, path: str, found: dict[str, list[Any]], depth: int) -> None:
    if isinstance(value, dict):
        if depth < DEPTH_MAX:
            for key, inner in value.items():
                _collect(inner, f"{path}.{key}", found, depth + 1)
    elif isinstance(value, list | tuple):
        if depth < DEPTH_MAX:
            for inner in value:
                _collect(inner, f"{path.removesuffix('[]')}[]", found, depth + 1)
    elif value is not None and (path in found or len(found) < LEAVES_MAX):
        found.setdefault(path, []).append(value)
