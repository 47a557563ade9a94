"""What follows a write: ON CONFLICT and RETURNING, composed of gated expressions over the columns that the role sees.

The caller's expressions stand there beside the table as it is. So each may name nothing but columns that the role sees
as they are, and calls what the gate lets it call; it holds no query, and nothing that stands for several columns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from neurolake.governance import masks
from neurolake.governance.access import TableDecision
from neurolake.governance.actions import ABSENT
from neurolake.governance.gate import Node, denied
from neurolake.identifiers import fold
from neurolake.sql.text import columns as listed
from neurolake.sql.text import quote

Show = Callable[[Node], str]
"""Takes an expression through the gate, and gives its text."""

REPLACING: Final = " OR REPLACE"
"""The one clause that stands ahead of the table's name."""
EXCLUDED: Final = "excluded"
ACTION: Final = "merge_action"
"""What a MERGE can return beside columns: INSERT, UPDATE or DELETE."""

_CLASSES: Final = frozenset(
    ("BETWEEN", "CASE", "CAST", "COLLATE", "COLUMN_REF", "COMPARISON", "CONJUNCTION", "CONSTANT", "FUNCTION",
     "OPERATOR", "PARAMETER", "TYPE")
)  # fmt: skip
_STARS: Final = ("exclude_list", "replace_list", "columns", "expr", "qualified_exclude_list", "rename_list")


def sees_whole(decision: TableDecision) -> bool:
    """Whether the role sees every row and every column of a table as it is."""
    return not decision.filters and all(column.action == "allow" for column in decision.columns)


def conflict(info: Node | None, target: str, alias: str, decision: TableDecision, show: Show) -> str:
    """What an INSERT does where a row is there already: only for who sees the whole table.

    Args:
        info: the clause.
        target: what the statement that runs calls the table.
        alias: what the caller calls it.
        decision: about it.
        show: see `Show`.

    Raises:
        AccessDenied: the role does not see all of it, or the clause holds what it may not.
    """
    if info is None:
        return ""
    if not sees_whole(decision):
        raise denied("ON CONFLICT on a table that it does not see as it is", code="write_denied")
    if info["condition"] is not None:
        raise denied("a condition on the index of ON CONFLICT", code="write_denied")
    columns = {fold(column.column): column.column for column in decision.columns}
    on = f" ({listed(_named(info['indexed_columns'], columns))})" if info["indexed_columns"] else ""
    change = info["set_info"]
    if info["action_type"] == "NOTHING" and change is None:
        return f" ON CONFLICT{on} DO NOTHING"
    scopes = {fold(alias): target, EXCLUDED: EXCLUDED}
    if info["action_type"] == "REPLACE" and change is None and not on:
        return REPLACING
    if info["action_type"] != "UPDATE":
        raise denied("this form of ON CONFLICT", code="write_denied")
    shown = [show(_own(node, columns, scopes, target)) for node in change["expressions"]]
    pairs = zip(_named(change["columns"], columns), shown, strict=True)
    sets = [f"{quote(name)} = {text}" for name, text in pairs]
    where = "" if change["condition"] is None else f" WHERE {show(_own(change['condition'], columns, scopes, target))}"
    return f" ON CONFLICT{on} DO UPDATE SET {', '.join(sets)}{where}"


def _named(names: Sequence[str], columns: Mapping[str, str]) -> list[str]:
    for name in names:
        if fold(name) not in columns:
            raise denied(f"the column {name} in this write", code="column_denied")
    return [columns[fold(name)] for name in names]


def _own(node: Node, columns: Mapping[str, str], scopes: Mapping[str, str], target: str | None) -> Node:
    """The same expression, in which every column is named through what the statement that runs calls its relation.

    Args:
        node: the tree of the caller's expression; it is changed in place.
        columns: the columns it may name, by their folded names.
        scopes: what the caller may call a relation, folded, and what that is called.
        target: what a column without a relation belongs to; None leaves all of them without one.
    """
    _walk(node, columns, scopes, target)
    return {**node, "alias": ""}


def _walk(value: Any, columns: Mapping[str, str], scopes: Mapping[str, str], target: str | None) -> None:
    if isinstance(value, list):
        for item in value:
            _walk(item, columns, scopes, target)
    elif isinstance(value, dict):
        if value.get("class", "CONSTANT") not in _CLASSES:
            raise denied(f"{str(value['class']).casefold()} in this part of a write", code="write_denied")
        if value.get("class") == "FUNCTION" and len(value["qualified_name"]["path"]) != 1:
            raise denied("functions by a qualified name", code="function_denied")
        if value.get("class") == "COLUMN_REF":
            *head, name = value["column_names"]
            known = len(head) < 2 and all(fold(part) in scopes for part in head)
            if not known or fold(name) not in columns:
                raise denied(f"the column {'.'.join(value['column_names'])} in this write", code="column_denied")
            relation = scopes[fold(head[0])] if head else target
            value["column_names"] = [*([relation] if target is not None and relation else []), columns[fold(name)]]
        for item in value.values():
            _walk(item, columns, scopes, target)


def returning(
    items: Sequence[Node], alias: str, decision: TableDecision, types: Mapping[str, str], show: Show, verb: str = ""
) -> str:
    """RETURNING: columns as the role sees them, and what is computed of those that it sees as they are.

    Args:
        items: what is to be returned.
        alias: what the caller calls the table.
        decision: about it.
        types: of its columns.
        show: see `Show`.
        verb: MERGE can return more.

    Raises:
        AccessDenied: an item is neither.
    """
    if not items:
        return ""
    seen = {fold(column.column): column for column in decision.columns if column.action != ABSENT}
    open_ = {key: column.column for key, column in seen.items() if column.action == "allow"}
    shown: list[str] = []
    for item in items:
        names = [fold(name) for name in item["column_names"]] if item["class"] == "COLUMN_REF" else []
        if item["class"] == "STAR" and not any(item[key] for key in _STARS):
            shown += [_column(column, types, column.column) for column in seen.values()]
        elif names and names[-1] in seen and names[:-1] in ([], [fold(alias)]):
            shown.append(_column(seen[names[-1]], types, item["alias"] or item["column_names"][-1]))
        elif names == [ACTION] and verb == "MERGE":
            shown.append(f"{ACTION} AS {quote(item['alias'] or ACTION)}")
        else:
            label = item["alias"]
            text = show(_own(item, open_, {fold(alias): ""}, None))
            shown.append(f"{text} AS {quote(label or text)}")
    return f" RETURNING {', '.join(shown)}"


def _column(column: Any, types: Mapping[str, str], label: str) -> str:
    made = masks.expression(column.action, column.options, quote(column.column), types[column.column])
    return f"{made} AS {quote(label)}"
