"""Procedures on policies and row filters."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa

from neurolake import errors
from neurolake.governance.actions import SHOWN_RANKS
from neurolake.governance.objects import EVERY, LAKE, Object
from neurolake.governance.policies import Policies, read_condition, without_attributes
from neurolake.pii.inside import INSIDE
from neurolake.procedures import Context, procedure
from neurolake.procedures.governance import columns_of, read_object, require, row, types_of
from neurolake.sql.text import Name, quote

_TARGETS = ("lake", "schema", "table", "column", "tag", "entity", "result", "literal")
POLICY = pa.schema(
    [
        pa.field("name", pa.string()),
        pa.field("role", pa.string()),
        pa.field("target", pa.string()),
        pa.field("action", pa.string()),
        pa.field("options", pa.string()),
    ]
)
ROW_FILTER = pa.schema(
    [
        pa.field("name", pa.string()),
        pa.field("role", pa.string()),
        pa.field("table_name", pa.string()),
        pa.field("condition", pa.string()),
    ]
)
DROPPED = pa.schema([pa.field("name", pa.string())])


def _policies(context: Context) -> Policies:
    return Policies(context.engine.governance, context.principal, context.query_id)


@procedure(POLICY, per_object=True)
def set_policy(
    context: Context, name: str, role: str, target: str, action: str, options: dict[str, Any] | None = None
) -> pa.Table:
    """Say what a role, or with '*' every role but admin, sees of a column, a table, a tag or an entity.

    On `result:*`, or `result:` and an entity, it says what becomes of personal data that only a result shows; on
    `literal:*`, or `literal:` and an entity, of what is written into a statement.

    Of the policies that meet a column the most restrictive wins; what a role has of its own on a target replaces what
    it would inherit there. A policy of the same name is replaced.
    """
    policies = _policies(context)
    on = read_object(context, target, _TARGETS)
    _refuse_unknown_kind(on)
    _require_to_replace(context, policies.target_of(name, "policies"))
    data_type = next(iter(columns_of(context, on).values())) if on.kind == "column" else None
    policy = policies.checked(name, role, on, action, options, data_type)
    policies.set_policies([policy])
    return row(POLICY, policy.name, policy.role, str(on), policy.action, json.dumps(policy.options))


@procedure(DROPPED, per_object=True)
def drop_policy(context: Context, name: str) -> pa.Table:
    """Drop a policy."""
    policies = _policies(context)
    require(context, policies.target_of(name, "policies") or LAKE)
    return row(DROPPED, policies.drop(name, "policies", "drop_policy"))


@procedure(ROW_FILTER, per_object=True)
def set_row_filter(context: Context, name: str, role: str, table_name: str, condition: str) -> pa.Table:
    """Let a role, or with '*' every role but admin, see only the rows of a table for which a condition is true.

    The condition is SQL over the table's columns and may ask for an attribute of the caller:
    `region = neurolake.attribute('region')`. Where a role has several filters, all must be true; filters of its own
    replace those it would inherit. A filter of the same name is replaced.
    """
    policies = _policies(context)
    on = read_object(context, table_name, ("table",))
    _require_to_replace(context, policies.target_of(name, "row_filters"))
    _check_condition(context, on.name, condition)
    key, meant = policies.set_row_filter(name, role, on, condition)
    return row(ROW_FILTER, key, meant, str(on.name), condition)


@procedure(DROPPED, per_object=True)
def drop_row_filter(context: Context, name: str) -> pa.Table:
    """Drop a row filter."""
    policies = _policies(context)
    require(context, policies.target_of(name, "row_filters") or LAKE)
    return row(DROPPED, policies.drop(name, "row_filters", "drop_row_filter"))


def _refuse_unknown_kind(on: Object) -> None:
    """A policy on a kind that nothing looks for would never act."""
    if on.kind in SHOWN_RANKS and on.word not in (EVERY, *INSIDE):
        raise errors.InvalidRequest(
            f"{on.word} is nothing that is looked for in {on.kind}s.", code="policy_target",
            next_step=f"There are: {', '.join(INSIDE)}, and * for all of them.",
        )  # fmt: skip


def _require_to_replace(context: Context, before: Object | None) -> None:
    if before is not None:
        require(context, before)


def _check_condition(context: Context, name: Name, condition: str) -> None:
    """Bind a condition as it will run, but over no rows."""
    engine = context.engine
    read_condition(condition, quote(name.table), engine.serialise)
    empty = ", ".join(f"CAST(NULL AS {kind}) AS {quote(column)}" for column, kind in types_of(context, name).items())
    tree = engine.serialise(
        f"SELECT ({condition}\n) FROM (SELECT {empty}) AS {quote(name.table)} WHERE ({condition}\n)"
    )
    bare = json.dumps(without_attributes(tree))

    def type_of(cursor: Any) -> str:
        ((text,),) = cursor.rows("SELECT json_deserialize_sql(?::JSON)", [bare])
        return str(cursor.bind(text).types[0])

    try:
        found = engine.instance.acquire_and(type_of)
    except errors.InvalidRequest as problem:
        raise errors.InvalidRequest(
            f"The condition of the row filter cannot be used: {problem.message}",
            code="row_filter",
            next_step="Write one condition over the table's own columns.",
        ) from None
    if found != "BOOLEAN":
        raise errors.InvalidRequest(
            f"The condition of the row filter is a {found}, neither true nor false.",
            code="row_filter",
            next_step="Write a comparison, such as region = 'north'.",
        )
