"""Marks: which columns of a result are masked, and why, in the metadata of its Arrow fields.

A mark is set only where the column is plainly one of a relation's: named by itself, or by a star over one relation.
What an expression makes of a masked column carries no mark.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import pyarrow as pa

from neurolake.governance.access import ColumnDecision, TableDecision
from neurolake.governance.actions import ABSENT

MASK: Final = b"neurolake.mask"
REASON: Final = b"neurolake.reason"

Relation = tuple[str, tuple[ColumnDecision, ...]]


def marked(
    schema: pa.Schema | None, answer: Mapping[str, Any], shown: Mapping[tuple[str, ...], TableDecision]
) -> pa.Schema | None:
    """The schema with the fields of masked columns marked.

    Args:
        schema: of the statement's rows.
        answer: the tree of the statement that runs.
        shown: what was decided about each view that it reads.
    """
    if schema is None or not any(c.action not in ("allow", ABSENT) for d in shown.values() for c in d.columns):
        return schema
    node = answer["statements"][0]["node"]
    if node["type"] != "SELECT_NODE":
        return schema
    relations = _relations(node["from_table"], shown)
    columns = [] if relations is None else _columns(node["select_list"], relations)
    if columns is None or len(columns) != len(schema):
        return schema
    return pa.schema(
        [_field(field, decision) for field, decision in zip(schema, columns, strict=True)], metadata=schema.metadata
    )


def _field(field: pa.Field, decision: ColumnDecision | None) -> pa.Field:
    if decision is None or decision.action == "allow":
        return field
    return field.with_metadata({MASK: decision.action.encode(), REASON: decision.reason.encode()})


def _relations(ref: Mapping[str, Any], shown: Mapping[tuple[str, ...], TableDecision]) -> list[Relation] | None:
    """The relations of a FROM with their columns; None where one of them cannot be told."""
    if ref["type"] == "BASE_TABLE" and not ref["column_name_alias"]:
        decision = shown.get(tuple(ref["qualified_name"]["path"]))
        if decision is not None:
            return [(ref["alias"].casefold(), tuple(c for c in decision.columns if c.action != ABSENT))]
    if ref["type"] == "JOIN" and ref["ref_type"] in ("REGULAR", "CROSS") and not ref["using_columns"]:
        left, right = _relations(ref["left"], shown), _relations(ref["right"], shown)
        if left is not None and right is not None and ref["join_type"] in ("INNER", "LEFT", "RIGHT", "FULL"):
            return left + right
    return None


def _columns(items: list[Mapping[str, Any]], relations: list[Relation]) -> list[ColumnDecision | None] | None:
    found: list[ColumnDecision | None] = []
    for item in items:
        if item["class"] == "STAR":
            if any(item[key] for key in ("exclude_list", "replace_list", "columns", "expr", "qualified_exclude_list",
                                         "rename_list")):  # fmt: skip
                return None
            wanted = item["relation_name"].casefold()
            found += [column for name, columns in relations if wanted in ("", name) for column in columns]
        elif item["class"] == "COLUMN_REF" and len(item["column_names"]) < 3:
            found.append(_column([part.casefold() for part in item["column_names"]], relations))
        elif item["class"] in ("FUNCTION", "CONSTANT", "CAST", "OPERATOR", "COMPARISON", "CASE", "WINDOW"):
            if _spreads(item):
                return None
            found.append(None)
        else:
            return None
    return found


def _spreads(node: Any) -> bool:
    """Whether an expression may stand for several columns."""
    if isinstance(node, list):
        return any(map(_spreads, node))
    if isinstance(node, dict):
        several = node.get("class") == "STAR" or node.get("function_name") == "unnest"
        return several or any(map(_spreads, node.values()))
    return False


def _column(names: list[str], relations: list[Relation]) -> ColumnDecision | None:
    among = [
        column
        for name, columns in relations
        if len(names) == 1 or names[0] == name
        for column in columns
        if column.column.casefold() == names[-1]
    ]
    return among[0] if len(among) == 1 else None
