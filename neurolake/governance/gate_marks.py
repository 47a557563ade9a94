"""Marks: which columns of a result are masked, and what they hold, in the metadata of its Arrow fields.

A mark is set only where the column is plainly one of a relation's: named by itself, or by a star over one relation,
in a subquery and a common table too, and in a UNION where the same is known of every side. What an expression makes of
such a column carries no mark; where it cannot be told what a column is, neither.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import pyarrow as pa

from neurolake.governance.access import ColumnDecision, TableDecision
from neurolake.governance.actions import ABSENT
from neurolake.governance.facts import Finding
from neurolake.identifiers import fold

MASK: Final = b"neurolake.mask"
REASON: Final = b"neurolake.reason"
ENTITY: Final = b"neurolake.entity"
STATUS: Final = b"neurolake.entity_status"
CONFIDENCE: Final = b"neurolake.entity_confidence"

Columns = tuple[ColumnDecision, ...]
Relation = tuple[str, Columns]
NOTHING: Final = ColumnDecision("", "allow", {}, None, "")
"""What is known of an expression."""


class Scope(NamedTuple):
    """The tables that a name may mean: what was `shown` of them by path, and `common` tables, None where not told."""

    shown: Mapping[tuple[str, ...], TableDecision]
    common: Mapping[str, Columns | None]

    def columns(self, path: tuple[str, ...]) -> Columns | None:
        """The columns of what a path means; None where that cannot be told."""
        if len(path) == 1 and fold(path[0]) in self.common:
            return self.common[fold(path[0])]
        decision = self.shown.get(path)
        return None if decision is None else tuple(c for c in decision.columns if c.action != ABSENT)


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
    return {name: decision for name, decision in zip(names, columns, strict=bool(columns)) if _says(decision)}


def _decisions(
    width: int, answer: Mapping[str, Any], shown: Mapping[tuple[str, ...], TableDecision]
) -> list[ColumnDecision]:
    """What was decided about each column of a query; nothing where that cannot be told."""
    if not any(_says(c) for d in shown.values() for c in d.columns):
        return []
    columns = _outputs(answer["statements"][0]["node"], Scope(shown, {}))
    return columns if columns is not None and len(columns) == width else []


def tables_of(answer: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """The paths of the tables that a SELECT's tree reads, other than those with the name of a common table in it."""
    nodes = list(_dicts(answer.get("statements", ())))
    common = {fold(entry["key"]) for node in nodes if "cte_map" in node for entry in node["cte_map"]["map"]}
    for node in nodes:
        if node.get("type") == "BASE_TABLE" and not node["at_clause"]:
            path = tuple(node["qualified_name"]["path"])
            if len(path) > 1 or fold(path[0]) not in common:
                yield path


def _dicts(tree: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(tree, dict):
        yield tree
        tree = list(tree.values())
    if isinstance(tree, list | tuple):
        for part in tree:
            yield from _dicts(part)


def _says(decision: ColumnDecision) -> bool:
    return decision.action != ABSENT and (decision.action != "allow" or decision.finding is not None)


def _field(field: pa.Field, decision: ColumnDecision, measured: bool) -> pa.Field:
    if not _says(decision):
        return field
    marks = of_finding(decision.finding, measured=measured)
    if decision.action != "allow":
        marks |= {MASK: decision.action.encode(), REASON: decision.reason.encode()}
    return field.with_metadata(marks)


def _inside(node: Mapping[str, Any], scope: Scope) -> Scope:
    """The scope of what stands in a node: with its common tables, each of which sees those before it."""
    entries = node["cte_map"]["map"]
    if not entries:
        return scope
    later: dict[str, Columns | None] = {fold(entry["key"]): None for entry in entries}
    common = dict(scope.common)
    for entry in entries:
        name, value = fold(entry["key"]), entry["value"]
        del later[name]
        common[name] = _named(value["query_node"], Scope(scope.shown, common | later), value["aliases"])
    return Scope(scope.shown, common)


def _relations(ref: Mapping[str, Any], scope: Scope) -> list[Relation] | None:
    """The relations of a FROM with their columns; None where one of them cannot be told."""
    if ref["type"] == "EMPTY":
        return []
    if ref["type"] == "BASE_TABLE" and not ref["column_name_alias"] and not ref["at_clause"]:
        columns = scope.columns(tuple(ref["qualified_name"]["path"]))
        return None if columns is None else [(fold(ref["alias"] or ref["qualified_name"]["path"][-1]), columns)]
    if ref["type"] == "JOIN" and ref["ref_type"] in ("REGULAR", "CROSS") and not ref["using_columns"]:
        left, right = _relations(ref["left"], scope), _relations(ref["right"], scope)
        if left is not None and right is not None and ref["join_type"] in ("INNER", "LEFT", "RIGHT", "FULL"):
            return left + right
    if ref["type"] == "SUBQUERY":
        columns = _named(ref["subquery"]["node"], scope, ref["column_name_alias"])
        return None if columns is None else [(fold(ref["alias"]), columns)]
    return None


def _named(node: Mapping[str, Any], scope: Scope, aliases: Sequence[str]) -> Columns | None:
    """The columns of a subquery or a common table; None where one of them, or its name, cannot be told.

    Of two columns of one name the engine renames one, which might then have a third one's name.

    Args:
        node: its query.
        scope: what stands around it.
        aliases: other names of its first columns.
    """
    found = _outputs(node, scope) or []
    found = [dataclasses.replace(column, column=alias) for column, alias in zip(found, aliases, strict=False)] + found[
        len(aliases) :
    ]
    names = [fold(column.column) for column in found]
    return tuple(found) if all(names) and 0 < len(set(names)) == len(names) else None


def _outputs(node: Mapping[str, Any], scope: Scope) -> list[ColumnDecision] | None:
    """The columns of a query under the names that it gives them, "" for what it does not name; None: not to be told."""
    scope = _inside(node, scope)
    if node["type"] == "SET_OPERATION_NODE" and node["setop_type"] == "UNION":
        sides = [_outputs(child, scope) for child in node["children"]]
        told = [side for side in sides if side is not None]
        if len(told) < len(sides) or len({len(side) for side in told}) != 1:
            return None
        return [_of_all(columns) for columns in zip(*told, strict=True)]
    relations = _relations(node["from_table"], scope) if node["type"] == "SELECT_NODE" else None
    if relations is None:
        return None
    found: list[ColumnDecision] = []
    for item in node["select_list"]:
        columns = _columns([item], relations)
        if columns is None:
            return None
        for column in columns:
            name = item["alias"] or (column.column if column is not None else "")
            found.append(dataclasses.replace(column or NOTHING, column=name))
    return found


def _of_all(columns: Sequence[ColumnDecision]) -> ColumnDecision:
    """What holds for a column that is put together from several: what was decided about each alike, else nothing."""
    first, findings = columns[0], [column.finding for column in columns if column.finding is not None]
    alike = {(c.action, repr(c.options), c.finding and (c.finding.entity, c.finding.status)) for c in columns}
    if len(alike) > 1:
        return dataclasses.replace(NOTHING, column=first.column)
    return dataclasses.replace(
        first,
        reason="; ".join(dict.fromkeys(column.reason for column in columns)),
        finding=min(findings, key=lambda finding: finding.confidence, default=None),
    )


def _columns(items: list[Mapping[str, Any]], relations: list[Relation]) -> list[ColumnDecision | None] | None:
    found: list[ColumnDecision | None] = []
    for item in items:
        if item["class"] == "STAR":
            if any(item[key] for key in ("exclude_list", "replace_list", "columns", "expr", "qualified_exclude_list",
                                         "rename_list")):  # fmt: skip
                return None
            wanted = fold(item["relation_name"])
            found += [column for name, columns in relations if wanted in ("", name) for column in columns]
        elif item["class"] == "COLUMN_REF" and len(item["column_names"]) < 3:
            found.append(_column([fold(part) for part in item["column_names"]], relations))
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
        if fold(column.column) == names[-1]
    ]
    return among[0] if len(among) == 1 else None
