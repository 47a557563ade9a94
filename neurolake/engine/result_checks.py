"""What becomes of personal data that only the rows of a result show: by policies on `result:…`, then by settings."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from neurolake.governance.gate_marks import ENTITY, MASK
from neurolake.pii import results
from neurolake.pii.inside import INSIDE
from neurolake.query import Plan, evolve
from neurolake.result import Stream
from neurolake.sql.text import mentions

if TYPE_CHECKING:
    from neurolake.activity import Activity
    from neurolake.engine import Engine

logger = logging.getLogger("neurolake")

RESULT_CHECK: Final = b"neurolake.result_check"
"""In the metadata of a result's schema: the strictest of what its rows are checked for."""
KNOWN: Final = (MASK, ENTITY)
"""Marks of fields that are masked, or known to hold something: what the role sees of them is decided already."""

SNAPSHOT: Final = "snapshot"
"""What a masked snapshot calls itself as a client. Who else does so is only refused more."""

_NONE: Final[Mapping[str, str]] = {}


def actions_of(engine: Engine, plan: Plan) -> Mapping[str, str]:
    """What is looked for in the rows of a plan, and what becomes of it; nothing where nothing says so.

    A governed statement that reads no table shows only what it says itself, and what the system tables say.
    """
    settings, principal = engine.settings, plan.request.principal
    if principal.is_admin:
        return _all(settings.pii_results) if settings.pii_results_admins else _NONE
    access = engine.access
    if settings.pii_results == "off" and not access.checks_results:
        return _NONE
    if plan.verb == "EXPLAIN" or not _reads(plan):
        return _NONE
    said = {kind: access.shown_policy(principal, "result", kind) for kind in INSIDE}
    found = {kind: settings.pii_results if policy is None else policy.action for kind, policy in said.items()}
    return {kind: action for kind, action in found.items() if action in results.ACTIONS}


def _all(action: str) -> Mapping[str, str]:
    return dict.fromkeys(INSIDE, action) if action in results.ACTIONS else _NONE


def _reads(plan: Plan) -> bool:
    return bool(plan.ruling.tables) or mentions(plan.request.text, plan.request.session.temporary)


def _said(schema: pa.Schema, actions: Mapping[str, str]) -> dict[bytes, bytes]:
    strictest = max(actions.values(), key=results.ACTIONS.index)
    return {**(schema.metadata or {}), RESULT_CHECK: strictest.encode()}


def announced(engine: Engine, plan: Plan) -> Plan:
    """The plan, whose schema says to the client that the rows are checked."""
    if plan.schema is None or not plan.returns_rows or not (actions := actions_of(engine, plan)):
        return plan
    return evolve(plan, schema=plan.schema.with_metadata(_said(plan.schema, actions)))


def checked(engine: Engine, plan: Plan, stream: Stream, schema: pa.Schema, activity: Activity) -> Stream:
    """The rows of a plan, looked at on their way out where something says so."""
    actions = actions_of(engine, plan)
    if plan.request.client == SNAPSHOT:  # its sums are of the rows as they are: others would count as damaged
        actions = {kind: "block" if action == "redact" else action for kind, action in actions.items()}
    columns = results.watched(schema, KNOWN) if actions else ()
    return results.CheckedStream(stream, columns, actions, activity) if columns else stream


def checked_answer(engine: Engine, plan: Plan, table: pa.Table, activity: Activity) -> pa.Table:
    """The answer of a write, by RETURNING: redacted where it would be blocked, since what is written is written."""
    actions = {kind: "redact" if action == "block" else action for kind, action in actions_of(engine, plan).items()}
    if not actions:
        return table
    looked = results.checked_table(table, results.watched(table.schema, ()), actions, activity)
    return looked.replace_schema_metadata(_said(table.schema, actions))


def told(engine: Engine, activity: Activity) -> dict[str, list[str]]:
    """What a statement's rows turned out to hold, for the audit log; it is counted and logged, too."""
    for kinds in activity.personal.values():
        engine.metrics.personal(kinds)
    for sentence in results.described(activity.personal):
        logger.info("the result of query %s: %s", activity.query_id, sentence)
    return {column: sorted(kinds) for column, kinds in activity.personal.items()}
