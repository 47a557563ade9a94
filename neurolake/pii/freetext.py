"""Sparse personal data inside free text: native expressions that find it within a cell, in a sample or in every row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from neurolake._duckdb import Cursor
from neurolake.pii.classify import Verdict
from neurolake.pii.inside import ANYTHING, CHECKS, INSIDE
from neurolake.pii.samples import Leaf
from neurolake.sql.text import literal, quote

__all__ = ["ENTITY", "is_text", "sparse", "whole"]

ENTITY = "FREE_TEXT"
"""What a column of text with personal data here and there is called: a policy on it redacts within the cell."""

TEXT_LENGTH_MIN, TEXT_SPACES_MIN = 20, 3
CANDIDATES_MAX = 60
CELLS = "_neurolake_pii_text"


def is_text(leaf: Leaf) -> bool:
    """Whether a leaf's cells are running text."""
    if leaf.type != "text" or not leaf.values:
        return False
    some = leaf.values[:100]
    return (
        sum(map(len, some)) >= TEXT_LENGTH_MIN * len(some)
        and sum(value.count(" ") for value in some) >= TEXT_SPACES_MIN * len(some)
    )  # fmt: skip


def sparse(cursor: Cursor, leaves: Sequence[Leaf], verdicts: Iterable[Verdict]) -> list[Verdict]:
    """Look into the text of a sample; one verdict for each column of text that holds any personal data."""
    known = {verdict.leaf for verdict in verdicts}
    texts = [leaf for leaf in leaves if leaf not in known and is_text(leaf)]
    if not texts:
        return []
    rows = [(place, value) for place, leaf in enumerate(texts) for value in leaf.values]
    cursor.attach(CELLS, pa.table({"leaf": pa.array([r[0] for r in rows], pa.int32()), "v": [r[1] for r in rows]}))
    try:
        counted = ", ".join(_found("v", entity, pattern) for entity, pattern in INSIDE.items())
        found = cursor.rows(f"SELECT leaf, {counted} FROM {CELLS} GROUP BY leaf")
    finally:
        cursor.detach(CELLS)
    verdicts = []
    for place, *cells in found:
        leaf = texts[place]
        hits = _confirmed(cells)
        if hits:
            share = max(hits.values()) / len(leaf.values)
            verdicts.append(Verdict(leaf, ENTITY, 0.75, _evidence(hits, len(leaf.values)), round(share, 4)))
    return verdicts


def _found(column: str, entity: str, pattern: str) -> str:
    """How many cells hold it, and a few of what was found, to be checked and forgotten."""
    test = f"regexp_matches({column}, {literal(pattern)}, 'i')"
    if entity not in CHECKS:
        return f"{{'n': count(*) FILTER ({test}), 'some': NULL::VARCHAR[]}}"
    few = f"list(regexp_extract({column}, {literal(pattern)}, 0, 'i')) FILTER ({test})"
    return f"{{'n': count(*) FILTER ({test}), 'some': list_slice({few}, 1, {CANDIDATES_MAX})}}"


def _added(before: Mapping[str, Any], here: Mapping[str, Any]) -> Mapping[str, object]:
    some = [*(before["some"] or ()), *(here["some"] or ())]
    return {"n": before["n"] + here["n"], "some": some[:CANDIDATES_MAX] or None}


def _confirmed(cells: Sequence[Mapping[str, object]]) -> dict[str, int]:
    hits = {}
    for (entity, _), cell in zip(INSIDE.items(), cells, strict=True):
        number, some = cell["n"], cell["some"]
        assert isinstance(number, int)
        if isinstance(some, list) and some and entity in CHECKS:
            true = sum(CHECKS[entity](value) for value in some)
            number = number if true >= len(some) / 2 else 0
        if number:
            hits[entity] = number
    return hits


def _evidence(hits: Mapping[str, int], cells: int) -> str:
    return "in text: " + ", ".join(f"{entity} {number / max(1, cells):.4f}" for entity, number in hits.items())


def whole(cursor: Cursor, pieces: Iterable[str], columns: Sequence[str]) -> list[tuple[str, float, str, int]]:
    """Look into every row of columns of text, inside DuckDB, in one pass.

    Args:
        cursor: where it runs.
        pieces: the table, as SQL of one relation or of several with some of its rows each.
        columns: columns that are, or hold, text; it is looked for in their form as text, nested or not.

    Returns:
        (column, the largest share of cells that hold one entity, evidence, cells) where any was found.
    """
    if not columns:
        return []
    names = [quote(column) for column in columns]
    counted = [_found(name, entity, pattern) for name in names for entity, pattern in INSIDE.items()]
    # One expression for everything decides about a row; the rows that pass, a few, are asked about each kind.
    texts = ", ".join(f"CAST({name} AS VARCHAR) AS {name}" for name in names)
    any_hit = " OR ".join(f"regexp_matches({name}, {literal(ANYTHING)}, 'i')" for name in names)
    row: list[Mapping[str, object]] = [{"n": 0, "some": None}] * len(counted)
    filled = [0] * len(names)
    for piece in pieces:
        (hits_here,) = cursor.rows(
            f"SELECT {', '.join(counted)} FROM (SELECT * FROM (SELECT {texts} FROM {piece}) WHERE {any_hit})"
        )
        (filled_here,) = cursor.rows(f"SELECT {', '.join(f'count({name})' for name in names)} FROM {piece}")
        row = [_added(before, here) for before, here in zip(row, hits_here, strict=True)]
        filled = [before + here for before, here in zip(filled, filled_here, strict=True)]
    width = len(INSIDE)
    found = []
    for place, column in enumerate(columns):
        cells = filled[place]
        if hits := _confirmed(row[place * width : (place + 1) * width]):
            found.append((column, round(max(hits.values()) / max(1, cells), 6), _evidence(hits, cells), int(cells)))
    return found
