"""Marks: which columns of a result are masked, and what they hold, in the metadata of its Arrow fields.

A mark is set only where the column is plainly one of a relation's: named by itself, or by a star over one relation,
in a subquery too.
What an expression makes of such a column carries no mark.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import pyarrow as pa

from neurolake.governance.access import ColumnDecision, TableDecision
from neurolake.governance.actions import ABSENT
from neurolake.governance.facts import Finding

MASK: Final = b"neurolake.mask"
REASON: Final = b"neurolake.reason"
ENTITY: Final = b"neurolake.entity"
STATUS: Final = b"neurolake.entity_status"
CONFIDENCE: Final = b"neurolake.entity_confidence"

Relation = tuple[str, tuple[ColumnDecision, ...]]


def of_finding(finding: Finding | None, *, measured: bool) -> dict[bytes, bytes]:
    """The marks of what a column is said to hold.

    Args:
        finding: the finding; without one there is no mark.
        measured: with its confidence, which is reckoned from cells that a governed role may not see.
    """
    if finding is None or finding.entity is None:
        return {}
    marks = {ENTITY: finding.entity.encode(), STATUS: finding.status.encode()}
    return {**marks, CONFIDENCE: f"{finding.confidence:.2f}".encode()} if measured else marks


def marked(
    schema: pa.Schema | None,
    answer: Mapping[str, Any],
    shown: Mapping[tuple[str, ...], TableDecision],
    *,
    measured: bool = False,
) -> pa.Schema | None:
    """The schema with the fields of masked columns and of findings marked.

    Args:
        schema: of the statement's rows.
        answer: the tree of the statement that runs.
        shown: what was decided about each relation that it reads, by its path there.
        measured: see `of_finding`.
    """
    columns = [] if schema is None else _decisions(len(schema), answer, shown)
    if schema is None or not columns:
        return schema
    return pa.schema(
        [_field(field, decision, measured) for field, decision in zip(schema, columns, strict=True)],
        metadata=schema.metadata,
    )


def marked_columns(
    names: Sequence[str], answer: Mapping[str, Any], shown: Mapping[tuple[str, ...], TableDecision]
) -> dict[str, ColumnDecision]:
    """The columns of a query, by their names, of which a mark says something; arguments as those of `marked`."""
    columns = _decisions(len(names), answer, shown)
    return {
        name: decision
        for name, decision in zip(names, columns, strict=bool(columns))
        if decision is not None and _says(decision)
    }


def _decisions(
    width: int, answer: Mapping[str, Any], shown: Mapping[tuple[str, ...], TableDecision]
) -> list[ColumnDecision | None]:
    """What was decided about each column of a query; nothing where that cannot be told."""
    if not any(_says(c) for d in shown.values() for c in d.columns):
        return []
    node = answer["statements"][0]["node"]
    if node["type"] != "SELECT_NODE":
        return []
    relations = _relations(node["from_table"], shown)
    columns = None if relations is None else _columns(node["select_list"], relations)
    return columns if columns is not None and len(columns) == width else []


def tables_of(answer: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """The paths of the tables that stand in the FROM of a SELECT's tree, other than its common tables."""
    node = answer["statements"][0]["node"] if answer.get("statements") else {}
    if node.get("type") != "SELECT_NODE":
        return
    common = {entry["key"].casefold() for entry in node["cte_map"]["map"]}
    pending = [node["from_table"]]
    while pending:
        ref = pending.pop()
        if ref["type"] == "JOIN":
            pending += [ref["left"], ref["right"]]
        elif ref["type"] == "BASE_TABLE" and not ref["at_clause"]:
            path = tuple(ref["qualified_name"]["path"])
            if len(path) > 1 or path[0].casefold() not in common:
                yield path


def _says(decision: ColumnDecision) -> bool:
    return decision.action != ABSENT and (decision.action != "allow" or decision.finding is not None)


def _field(field: pa.Field, decision: ColumnDecision | None, measured: bool) -> pa.Field:
    if decision is None or not _says(decision):
        return field
    marks = of_finding(decision.finding, measured=measured)
    if decision.action != "allow":
        marks |= {MASK: decision.action.encode(), REASON: decision.reason.encode()}
    return field.with_metadata(marks)


def _relations(ref: Mapping[str, Any], shown: Mapping[tuple[str, ...], TableDecision]) -> list[Relation] | None:
    """The relations of a FROM with their columns; None where one of them cannot be told."""
    if ref["type"] == "BASE_TABLE" and not ref["column_name_alias"]:
        path = tuple(ref["qualified_name"]["path"])
        decision = None if ref["at_clause"] else shown.get(path)
        if decision is not None:
            return [((ref["alias"] or path[-1]).casefold(), tuple(c for c in decision.columns if c.action != ABSENT))]
    if ref["type"] == "JOIN" and ref["ref_type"] in ("REGULAR", "CROSS") and not ref["using_columns"]:
        left, right = _relations(ref["left"], shown), _relations(ref["right"], shown)
        if left is not None and right is not None and ref["join_type"] in ("INNER", "LEFT", "RIGHT", "FULL"):
            return left + right
    if ref["type"] == "SUBQUERY" and not ref["column_name_alias"]:
        columns = _of_subquery(ref["subquery"]["node"], shown)
        return None if columns is None else [(ref["alias"].casefold(), columns)]
    return None


def _of_subquery(
    node: Mapping[str, Any], shown: Mapping[tuple[str, ...], TableDecision]
) -> tuple[ColumnDecision, ...] | None:
    """The columns of a subquery under the names that it gives them; None where one of these cannot be told.

    Of two columns of one name the engine renames one, which might then have a third one's name.
    """
    relations = _relations(node["from_table"], shown) if node["type"] == "SELECT_NODE" else None
    if relations is None:
        return None
    found: list[ColumnDecision] = []
    for item in node["select_list"]:
        columns = _columns([item], relations)
        if columns is None:
            return None
        for column in columns:
            name = item["alias"] or (column.column if column is not None else "")
            decision = column if column is not None else ColumnDecision("", "allow", {}, None, "")
            found.append(dataclasses.replace(decision, column=name))
    names = [column.column.casefold() for column in found]
    return tuple(found) if all(names) and len(set(names)) == len(names) else None


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
