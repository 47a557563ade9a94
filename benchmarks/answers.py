"""Whether two answers are the same: names, types, and rows in any order."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pyarrow as pa

__all__ = ["difference", "difference_of_tables"]

_TOLERANCE = 1e-9
"""Relative, for floating-point values: sums over threads add up in another order each time."""


def difference(ours: Path, theirs: Path) -> str:
    """What is not the same in two answers kept as Arrow files; empty where nothing differs."""
    return difference_of_tables(_read(ours), _read(theirs))


def _read(path: Path) -> pa.Table:
    with pa.OSFile(str(path)) as source, pa.ipc.open_file(source) as reader:
        return reader.read_all()


def difference_of_tables(ours: pa.Table, theirs: pa.Table) -> str:
    """What is not the same in two Arrow tables; empty where nothing differs.

    >>> difference_of_tables(pa.table({"a": [1, 2]}), pa.table({"a": [2, 1]}))
    ''
    >>> difference_of_tables(pa.table({"a": [1, 2]}), pa.table({"a": [1, 3]}))
    'row (2,) against (3,)'
    """
    columns = [f"{field.name} {field.type}" for field in ours.schema]
    expected = [f"{field.name} {field.type}" for field in theirs.schema]
    if columns != expected:
        return f"columns {columns} against {expected}"
    if ours.num_rows != theirs.num_rows:
        return f"{ours.num_rows} rows against {theirs.num_rows}"
    for row, other in zip(_rows(ours), _rows(theirs), strict=True):
        if not all(map(_same, row, other)):
            return f"row {row} against {other}"
    return ""


def _rows(table: pa.Table) -> list[tuple[Any, ...]]:
    rows = zip(*(column.to_pylist() for column in table.columns), strict=True)
    return sorted(rows, key=_place)


def _place(row: tuple[Any, ...]) -> tuple[str, ...]:
    """Where a row stands: by its exact values first, then by its floating-point ones without their last digits."""
    exact = [repr(value) for value in row if not isinstance(value, float)]
    return (*exact, *(f"{value:.6e}" for value in row if isinstance(value, float)))


def _same(value: object, other: object) -> bool:
    if isinstance(value, float) and isinstance(other, float):
        return math.isclose(value, other, rel_tol=_TOLERANCE) or (math.isnan(value) and math.isnan(other))
    return value == other
