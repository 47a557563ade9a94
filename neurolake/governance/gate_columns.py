"""Which columns a statement can mean at all: what it does not name need not stand in the views that it reads.

A masked column costs time to bind even where nobody asks for it. Nothing here decides what may be seen: a column that
is wrongly left out is not found, and one that is wrongly kept is masked.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from neurolake.identifiers import fold

_UNNAMED: Final = frozenset(("STAR", "POSITIONAL_REFERENCE", "PIVOT", "SHOW_REF"))
"""Kinds of nodes that mean columns without their names."""

_WITHOUT_COLUMNS: Final = frozenset(("where_clause", "having", "qualify", "modifiers"))
"""Parts of a SELECT that decide about rows, and not about columns."""


def named(tree: Any) -> frozenset[str] | None:
    """Every word in a statement by which it may mean a column, folded; None where it may mean others too.

    Args:
        tree: what json_serialize_sql gave, before any relation was replaced.
    """
    words: set[str] = set()
    relations: set[str] = set()
    columns: set[str] = set()
    for node in _dicts(tree):
        kind = str(node.get("type", ""))  # that of a constant is no text
        if kind in _UNNAMED or node.get("column_name_alias") or node.get("ref_type") == "NATURAL":
            return None
        if kind in ("BASE_TABLE", "SUBQUERY", "TABLE_FUNCTION", "EXPRESSION_LIST", "JOIN"):
            relations |= {str(node.get("alias", "")), str(node.get("table_name", ""))}
        elif kind == "COLUMN_REF":
            columns.add(node["column_names"][-1])
        elif kind == "FUNCTION":
            columns.update(node["qualified_name"]["path"][:-1])  # p.to_json() is to_json(p)
        words.update(_strings(node))
    if {fold(one) for one in relations} & {fold(one) for one in columns}:
        return None  # a whole row
    return frozenset(fold(word) for word in words)


def settled(tree: Any) -> bool:
    """Whether what the literals of a statement say can change neither a name nor a type of its columns.

    They all stand in conditions, in orders or in limits of its one SELECT, and it has no parameters.
    """
    node = tree["statements"][0]["node"]
    if node["type"] != "SELECT_NODE":
        return False
    others = {key: value for key, value in node.items() if key not in _WITHOUT_COLUMNS}
    return not any(one.get("type") in ("VALUE_CONSTANT", "VALUE_PARAMETER", "SHOW_REF") for one in _dicts(others)) and (
        not any(one.get("type") == "VALUE_PARAMETER" for one in _dicts(tree))
    )


def _dicts(value: Any) -> Iterator[dict[str, Any]]:
    pending = [value]
    while pending:
        one = pending.pop()
        if isinstance(one, dict):
            yield one
            pending.extend(one.values())
        elif isinstance(one, list):
            pending.extend(one)


def _strings(node: dict[str, Any]) -> Iterator[str]:
    for value in node.values():
        if isinstance(value, str):
            yield value
        elif isinstance(value, list):
            yield from (one for one in value if isinstance(one, str))
