"""Policies and row filters: how they are set and dropped. Every change is durable and audited."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from neurolake import errors
from neurolake.governance import actions
from neurolake.governance.access import ADMIN
from neurolake.governance.facts import EVERY_ROLE, Policy
from neurolake.governance.gate_functions import OPERATORS, SCALARS
from neurolake.governance.model import Governance
from neurolake.governance.objects import Object, word
from neurolake.identifiers import fold
from neurolake.query import Principal

ATTRIBUTE = ["neurolake", "attribute"]
"""The function by which a row filter asks for an attribute of the caller."""

_LEAVES = frozenset(("COLUMN_REF", "CONSTANT", "TYPE"))
_BRANCHES = frozenset(("COMPARISON", "CONJUNCTION", "OPERATOR", "CAST", "BETWEEN", "CASE", "FUNCTION"))


class Policies:
    """Changes of policies and row filters.

    Args:
        governance: of the lake.
        by: who changes.
        query_id: the statement in which.
    """

    def __init__(self, governance: Governance, by: Principal, query_id: str) -> None:
        self._governance = governance
        self._by = by
        self._query_id = query_id

    def checked(
        self,
        name: str,
        role: str,
        target: Object,
        action: str,
        options: Mapping[str, Any] | None,
        data_type: str | None = None,
    ) -> Policy:
        """A policy as it would be kept.

        Args:
            name: of the policy.
            role: whom it is for; '*' for all but admin.
            target: what it is about.
            action: what it does.
            options: of the action; the defaults for those that are not given.
            data_type: of the column, where the target is one.

        Raises:
            InvalidRequest: the action, its options and the target do not go together.
        """
        key, wanted = word(name, what="a policy"), action.strip().casefold()
        shown = target.kind in actions.SHOWN_RANKS
        checked = actions.check_shown(target.kind, wanted, options) if shown else actions.check(wanted, options)
        meant = self._role(role)
        if data_type is not None and not actions.fits(wanted, checked, data_type):
            raise errors.InvalidRequest(
                f"{wanted} cannot keep {target} a {data_type}.",
                code="policy_type",
                next_step="Use null, constant with a value of that type, or block.",
            )
        return Policy(key, meant, target, wanted, checked)

    def set_policies(self, policies: Sequence[Policy]) -> None:
        """Set policies that were checked, in place of those of the same names: all or, where anything fails, none."""
        if not policies:
            return
        shown: list[dict[str, object]] = [
            {"policy": one.name, "role": one.role, "target": str(one.target), "action": one.action,
             "options": one.options}
            for one in policies
        ]  # fmt: skip
        governance, now = self._governance, time.time()
        with governance.change("set_policy", self._by, self._query_id, **shown[0]) as db:
            for details in shown[1:]:
                governance.audit.write(db, "set_policy", self._by, self._query_id, governance.version + 1, details)
            db.executemany(
                "INSERT OR REPLACE INTO policies VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1)",
                [
                    (one.name, one.role, one.target.kind, one.target.schema, one.target.table, one.target.column,
                     one.target.word, one.action, json.dumps(one.options), self._by.name, now)
                    for one in policies
                ],
            )  # fmt: skip

    def set_row_filter(self, name: str, role: str, on: Object, condition: str) -> tuple[str, str]:
        """Set a row filter, in place of one of the same name; its name and role as they are kept.

        The condition must have been checked: see `read_condition`.
        """
        key, meant = word(name, what="a row filter"), self._role(role)
        shown = {"policy": key, "role": meant, "table": str(on), "condition": condition}
        with self._governance.change("set_row_filter", self._by, self._query_id, **shown) as db:
            db.execute(
                "INSERT OR REPLACE INTO row_filters VALUES (?, ?, ?, ?, ?, ?, ?, 1)",
                (key, meant, on.schema, on.table, condition, self._by.name, time.time()),
            )
        return key, meant

    def drop(self, name: str, table: str, event: str) -> str:
        """Drop a policy (`policies`) or a row filter (`row_filters`).

        Raises:
            NotFound: there is none of that name.
        """
        key = word(name, what="a policy")
        with self._governance.change(event, self._by, self._query_id, policy=key) as db:
            if not db.execute(f"DELETE FROM {table} WHERE name = ?", (key,)).rowcount:
                raise errors.NotFound(
                    f"There is no {'policy' if table == 'policies' else 'row filter'} named {name}.",
                    code="policy_unknown",
                    next_step="SELECT * FROM neurolake.policies lists them.",
                )
        return key

    def target_of(self, name: str, table: str) -> Object | None:
        """What a policy or row filter is about; None where there is none of that name."""
        columns = "kind, table_schema, table_name, column_name, word"
        if table == "row_filters":
            columns = "'table', table_schema, table_name, '', ''"
        rows = self._governance.store.rows(f"SELECT {columns} FROM {table} WHERE name = ?", (word(name),))
        return Object(*rows[0]) if rows else None

    def _role(self, role: str) -> str:
        if role.strip() == EVERY_ROLE:
            return EVERY_ROLE
        name = role.strip().casefold()
        if name == ADMIN:
            raise errors.InvalidRequest(
                "No policy restricts the role admin.", code="role_fixed", next_step="Give the user another role."
            )
        if name not in self._governance.access.roles:
            raise errors.NotFound(
                f"There is no role {role}.", code="role_unknown", next_step="SELECT * FROM neurolake.roles lists them."
            )
        return name


def read_condition(condition: str, table: str, serialise: Callable[[str], Any]) -> dict[str, Any]:
    """The tree of `SELECT * FROM table WHERE condition`, in which the condition is one expression over the table.

    Args:
        condition: the SQL of a row filter.
        table: the table's full name, quoted.
        serialise: DuckDB's parser.

    Raises:
        InvalidRequest: it is no expression, or holds a query, a window or an aggregate.
    """
    tree = serialise(f"SELECT * FROM {table} WHERE ({condition}\n)")
    problem = tree["error_message"] if tree["error"] else None
    if problem is None:
        node = tree["statements"][0]["node"] if len(tree["statements"]) == 1 else {}
        plain = node.get("type") == "SELECT_NODE" and not node["modifiers"] and not node["cte_map"]["map"]
        empty = plain and not (node["group_expressions"] or node["having"] or node["qualify"] or node["sample"])
        if not empty or node["from_table"]["type"] != "BASE_TABLE":
            problem = "it is more than one condition"
        else:
            problem = next(filter(None, map(_oddity, _expressions(node["where_clause"]))), None)
    if problem is not None:
        raise errors.InvalidRequest(
            f"The condition of the row filter cannot be used: {problem}.",
            code="row_filter",
            next_step="Write one condition over the columns of the table, such as region = 'north'.",
        )
    found: dict[str, Any] = tree
    return found


def _oddity(node: Mapping[str, Any]) -> str | None:
    """What does not belong into a condition; None for an expression that does."""
    kind = str(node["class"])
    if kind not in _LEAVES | _BRANCHES:
        return f"it holds a {kind.lower()}"
    if kind == "FUNCTION":
        path = node["qualified_name"]["path"]
        if path != ATTRIBUTE and (len(path) > 1 or fold(path[0]) not in SCALARS | OPERATORS):
            return f"it calls {'.'.join(path)}"
    return None


def _expressions(node: Any) -> Iterator[Mapping[str, Any]]:
    """Every expression in a tree."""
    if isinstance(node, list):
        for item in node:
            yield from _expressions(item)
    elif isinstance(node, dict):
        if "class" in node:
            yield node
        for value in node.values():
            yield from _expressions(value)


def without_attributes(node: Any) -> Any:
    """A tree with each call of `neurolake.attribute` as an unknown text: what a filter is bound by when it is set."""
    if isinstance(node, list):
        return [without_attributes(item) for item in node]
    if not isinstance(node, dict):
        return node
    if node.get("class") == "FUNCTION" and node["qualified_name"]["path"] == ATTRIBUTE:
        arguments = [argument["expression"] for argument in node["arguments"]]
        if len(arguments) != 1 or arguments[0]["class"] != "CONSTANT":
            raise errors.InvalidRequest(
                "neurolake.attribute takes the name of an attribute, in quotes.", code="row_filter"
            )
        return arguments[0]
    return {key: without_attributes(value) for key, value in node.items()}
