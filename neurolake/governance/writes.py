"""Writes of governed roles, taken apart by DuckDB's own parser and put together anew.

`json_serialize_sql` reads a SELECT only, but a common table expression may hold an INSERT, UPDATE or DELETE: so a write
is read as the body of one. Its target becomes a quoted, fully qualified name; what it reads becomes a SELECT that goes
through the gate like any other; what cannot be told apart so is denied. The caller's own text never runs.

An UPDATE or DELETE finds its rows through a view of the target that has only the columns the role sees as they are,
and only the rows it sees. So a predicate on a masked column finds no such column.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from neurolake import errors
from neurolake.governance import clauses
from neurolake.governance.access import NOT_GRANTED, TableDecision
from neurolake.governance.actions import ABSENT
from neurolake.governance.gate import Node, Path, denied
from neurolake.identifiers import fold
from neurolake.sql.text import columns as listed
from neurolake.sql.text import quote

TARGET: Final = "__neurolake_target"
"""Stands for the target inside the SELECT of an UPDATE or DELETE."""

ROW: Final = "__neurolake_row"
ROWS: Final = "__neurolake_rows"
_BODY: Final = "__neurolake_write"
_OURS: Final = "__neurolake_"

_KEYS: Final[Mapping[str, frozenset[str]]] = {
    "INSERT_QUERY_NODE": frozenset(
        ("type", "modifiers", "cte_map", "select_statement", "columns", "table", "schema", "catalog", "returning_list",
         "on_conflict_info", "table_ref", "default_values", "column_order", "qualified_name")
    ),
    "UPDATE_QUERY_NODE": frozenset(
        ("type", "modifiers", "cte_map", "table", "from_table", "returning_list", "set_info",
         "prioritize_table_when_binding")
    ),
    "DELETE_QUERY_NODE": frozenset(
        ("type", "modifiers", "cte_map", "condition", "table", "using_clauses", "returning_list")
    ),
}  # fmt: skip


def wrapped(text: str) -> str:
    """The query that holds a write as its only common table expression, to be parsed and never run."""
    return f"WITH {quote(_BODY)} AS (\n{text}\n) SELECT 1"


@dataclass(slots=True)
class Write:
    """A write taken apart.

    `select` is the tree of what it reads, for the gate; None where it reads nothing. `assigned` are the columns that
    it names as written, `expressions` what an UPDATE sets them to: a place in the SELECT, or the keyword DEFAULT.
    `alias` is what the caller calls the target.
    """

    verb: str
    target: Path
    select: Node | None
    assigned: tuple[str, ...] = ()
    by_name: bool = False
    expressions: tuple[str, ...] = ()
    returning: Sequence[Node] = ()
    conflict: Node | None = None
    alias: str = ""
    parameters: Sequence[Node] = field(default_factory=list)


def taken_apart(answer: Node) -> Write:
    """Read what json_serialize_sql made of a wrapped write.

    Raises:
        AccessDenied: it is not one INSERT, UPDATE or DELETE that can be told apart.
        SyntaxProblem: it does not parse.
    """
    if answer.get("error") is not False:
        message = str(answer.get("error_message", ""))
        if "syntax error" in message.casefold():
            raise errors.SyntaxProblem(message.split("\n", 1)[0])
        raise denied("a write that the gate cannot take apart", code="write_denied")
    try:
        node, parameters = body_of(answer)
        write = _READERS[node["type"]](node)
    except (KeyError, TypeError, ValueError, IndexError):
        raise denied("a write that the gate cannot take apart", code="write_denied") from None
    write.parameters = parameters
    if write.select is not None:
        write.select = {
            "error": False,
            "statements": [{"node": write.select, "named_param_map": parameters}],
        }
    return write


def body_of(answer: Node) -> tuple[Node, Sequence[Node]]:
    """The write inside a wrapped one, and its parameters.

    Raises:
        ValueError, KeyError, TypeError: there is anything else.
    """
    (statement,) = answer["statements"]
    outer = statement["node"]
    (entry,) = outer["cte_map"]["map"]
    (item,) = outer["select_list"]
    # Were the text to close the parenthesis by itself, something else would stand behind it.
    alone = outer["from_table"]["type"] == "EMPTY" and item["class"] == "CONSTANT" and outer["where_clause"] is None
    node = entry["value"]["query_node"]
    if entry["key"] != _BODY or not alone or outer["modifiers"] or node["modifiers"]:
        raise ValueError
    if not _KEYS[node["type"]] >= node.keys():
        raise ValueError
    return node, statement["named_param_map"]


def _read_insert(node: Node) -> Write:
    if node["default_values"]:
        raise ValueError
    select = node["select_statement"]["node"]
    _hand_down(node, select)
    return Write(
        "INSERT", tuple(node["qualified_name"]["path"]), select, tuple(node["columns"]),
        node["column_order"] == "INSERT_BY_NAME", returning=node["returning_list"], conflict=node["on_conflict_info"],
        alias=alias_of(node["table_ref"] or node),
    )  # fmt: skip


def _read_update(node: Node) -> Write:
    change = node["set_info"]
    check_rows(node["table"], change["expressions"], change["condition"], node["from_table"])
    computed = [place for place, item in enumerate(change["expressions"]) if item["class"] != "DEFAULT"]
    items = [change["expressions"][place] for place in computed]
    relations = [node["from_table"]] if node["from_table"] is not None else []
    select = select_of(node["table"], relations, items, change["condition"])
    _hand_down(node, select)
    expressions = tuple(
        f"{ROWS}.v{computed.index(place)}" if place in computed else "DEFAULT"
        for place in range(len(change["expressions"]))
    )
    return Write(
        "UPDATE", tuple(node["table"]["qualified_name"]["path"]), select, tuple(change["columns"]),
        expressions=expressions, returning=node["returning_list"], alias=alias_of(node["table"]),
    )  # fmt: skip


def _read_delete(node: Node) -> Write:
    check_rows(node["table"], node["condition"], node["using_clauses"])
    select = select_of(node["table"], node["using_clauses"], [], node["condition"])
    _hand_down(node, select)
    return Write(
        "DELETE", tuple(node["table"]["qualified_name"]["path"]), select, returning=node["returning_list"],
        alias=alias_of(node["table"]),
    )  # fmt: skip


_READERS: Final[Mapping[str, Callable[[Node], Write]]] = {
    "INSERT_QUERY_NODE": _read_insert,
    "UPDATE_QUERY_NODE": _read_update,
    "DELETE_QUERY_NODE": _read_delete,
}


def _hand_down(node: Node, select: Node) -> None:
    """The common table expressions ahead of a write belong to what it reads."""
    select["cte_map"]["map"] = [*node["cte_map"]["map"], *select["cte_map"]["map"]]


def alias_of(table: Node) -> str:
    """What a write calls its target."""
    return str(table.get("alias") or table["qualified_name"]["path"][-1])


def check_rows(table: Node, *parts: Any) -> None:
    """Refuse expressions that could read where in the target a row stands: that would tell how many are hidden.

    Args:
        table: the target.
        parts: all that the caller says of its rows.

    Raises:
        AccessDenied: they name the row as a whole, or its columns by their places or by a star.
    """
    if table["column_name_alias"]:
        raise ValueError
    _check_rows(fold(alias_of(table)), parts, inside=False)


def _check_rows(alias: str, value: Any, *, inside: bool) -> None:
    if isinstance(value, list | tuple):
        for item in value:
            _check_rows(alias, item, inside=inside)
    elif isinstance(value, dict):
        kind = value.get("class")
        names = [fold(name) for name in value["column_names"]] if kind == "COLUMN_REF" else []
        called = [fold(name) for name in value["qualified_name"]["path"]] if kind == "FUNCTION" else []
        if (
            kind == "POSITIONAL_REFERENCE"
            or (kind == "STAR" and (not inside or fold(value["relation_name"]) == alias))
            or names == [alias]
            or (len(called) > 1 and alias in called)
            or any(name.startswith(_OURS) for name in (*names, *called))
        ):
            raise denied("the target's rows as a whole in a write, or its columns by a star or a number",
                         code="write_denied")  # fmt: skip
        inside = inside or kind == "SUBQUERY" or value.get("type") == "SUBQUERY"
        for item in value.values():
            _check_rows(alias, item, inside=inside)


def select_of(table: Node, relations: Sequence[Node], items: Sequence[Node], condition: Node | None) -> Node:
    """The SELECT that finds the rows of an UPDATE or DELETE, and what they are set to."""
    alias = alias_of(table)
    target = {
        **table, "alias": alias, "qualified_name": {"path": [TARGET]}, "table_name": TARGET, "schema_name": "",
        "catalog_name": "",
    }  # fmt: skip
    source = target
    for relation in relations:
        source = _crossed(source, relation)
    return {
        "type": "SELECT_NODE", "modifiers": [], "cte_map": {"map": []},
        "select_list": [column(alias, ROW), *items], "from_table": source, "where_clause": condition,
        "group_expressions": [], "group_sets": [], "aggregate_handling": "STANDARD_HANDLING", "having": None,
        "sample": None, "qualify": None,
    }  # fmt: skip


NOWHERE: Final = {"query_location": 18446744073709551615, "query_location_length": 0}


def column(*names: str) -> Node:
    """The node of a column."""
    return {"class": "COLUMN_REF", "type": "COLUMN_REF", "alias": "", "column_names": list(names), **NOWHERE}


def _crossed(left: Node, right: Node) -> Node:
    return {
        "type": "JOIN", "alias": "", "sample": None, "left": left, "right": right, "condition": None,
        "join_type": "INNER", "ref_type": "CROSS", "using_columns": [], "delim_flipped": False,
        "duplicate_eliminated_columns": [], "is_implicit": False, "ranking_expression": None, "nearest_count": 1,
        "nearest_order_type": "ASCENDING", "nearest_approx": False, **NOWHERE,
    }  # fmt: skip


# What the role may do with the target


def target_view(relation: str, decision: TableDecision, rows: str | None) -> str:
    """The SELECT of the view through which an UPDATE, DELETE or MERGE finds its rows.

    Raises:
        AccessDenied: the table has a column that hides the numbers of its rows: others may have the same value in it.
    """
    if any(fold(column.column) == "rowid" for column in decision.columns):
        raise denied(
            "UPDATE, DELETE or MERGE on a table with a column called rowid",
            code="write_denied",
            next_step="Have an administrator give the column another name.",
        )
    seen = [quote(column.column) for column in decision.columns if column.action == "allow"]
    shown = ", ".join((f"t.rowid AS {ROW}", *(f"t.{name} AS {name}" for name in seen)))
    where = "" if rows is None else f" WHERE {rows}"
    return f"SELECT {shown} FROM {relation} AS t{where}"


def check_columns(write: Write, decision: TableDecision) -> tuple[str, ...]:
    """The columns that a write assigns, as they are spelled in the table.

    Raises:
        AccessDenied: the role does not see one of them, or an UPDATE would set one that it sees masked.
    """
    known = {fold(name): name for name in (writable(decision) if write.verb == "INSERT" else _as_they_are(decision))}
    if write.verb == "INSERT" and not write.assigned:
        return visible(decision) or writable(decision)
    for name in write.assigned:
        if fold(name) not in known:
            raise denied(f"the column {name} in this write", code="column_denied")
    return tuple(known[fold(name)] for name in write.assigned)


def visible(decision: TableDecision) -> tuple[str, ...]:
    """The columns that the role sees, as they are or masked."""
    return tuple(column.column for column in decision.columns if column.action != ABSENT)


def writable(decision: TableDecision) -> tuple[str, ...]:
    """The columns that a new row may bring, since who writes a value knows it already.

    Those that no policy blocks and that the role may know of: what is granted to it in any way, looked at or not. A
    role that reads nothing of the table writes all of it.
    """
    free = [column for column in decision.columns if column.action != ABSENT or column.policy is None]
    granted = [column for column in free if column.reason != NOT_GRANTED]
    return tuple(column.column for column in granted or free)


def _as_they_are(decision: TableDecision) -> tuple[str, ...]:
    return tuple(column.column for column in decision.columns if column.action == "allow")


def composed(
    write: Write,
    target: str,
    select: str,
    decision: TableDecision,
    types: Mapping[str, str],
    show: clauses.Show,
) -> str:
    """The statement that runs.

    Args:
        write: what was taken apart.
        target: the SQL of the target's name, quoted and in full.
        select: the gated text of what it reads. It must bind by itself: inside an UPDATE or DELETE a name that it
            does not find would be looked for in the target as it is.
        decision: about the target.
        types: of the target's columns.
        show: takes an expression through the gate, and gives its text.

    Raises:
        AccessDenied: it returns or sets what the role may not.
    """
    columns = check_columns(write, decision)
    returning = clauses.returning(write.returning, write.alias, decision, types, show)
    if write.verb == "INSERT":
        what = "BY NAME" if write.by_name else f"({listed(columns)})"
        more = clauses.conflict(write.conflict, TARGET, write.alias, decision, show)
        ahead, more = (more, "") if more == clauses.REPLACING else ("", more)
        return f"INSERT{ahead} INTO {target} AS {TARGET} {what} {select}{more}{returning}"
    if write.verb == "DELETE":
        rows = f"({select}) AS {ROWS}({ROW})"
        return f"DELETE FROM {target} AS {TARGET} USING {rows} WHERE {TARGET}.rowid = {ROWS}.{ROW}{returning}"
    names = listed([ROW, *(f"v{place}" for place in range(sum(e != "DEFAULT" for e in write.expressions)))])
    changes = ", ".join(f"{quote(c)} = {e}" for c, e in zip(columns, write.expressions, strict=True))
    where = f"{TARGET}.rowid = {ROWS}.{ROW}"
    return f"UPDATE {target} AS {TARGET} SET {changes} FROM ({select}) AS {ROWS}({names}) WHERE {where}{returning}"
