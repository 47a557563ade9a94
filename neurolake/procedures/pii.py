"""Procedures on personal data: scan, and propose policies."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import pyarrow as pa

from neurolake import errors
from neurolake.governance.facts import Finding
from neurolake.governance.objects import LAKE, Object
from neurolake.governance.policies import Policies
from neurolake.identifiers import fold
from neurolake.pii import masks
from neurolake.procedures import Context, procedure
from neurolake.procedures.governance import require, types_of
from neurolake.sql.text import Name, literal

FINDINGS = pa.schema([
    ("table_name", pa.string()), ("column_name", pa.string()), ("entity", pa.string()),
    ("confidence", pa.float64()), ("share", pa.float64()), ("evidence", pa.string()),
    ("sample_size", pa.int64()), ("status", pa.string()), ("detector", pa.string()),
])  # fmt: skip
COPIED = pa.schema([
    ("table_name", pa.string()), ("rows", pa.int64()), ("redacted", pa.list_(pa.string())),
    ("left_out", pa.list_(pa.string())),
])  # fmt: skip
PROPOSED = pa.schema([
    ("name", pa.string()), ("role", pa.string()), ("target", pa.string()), ("action", pa.string()),
    ("options", pa.string()), ("entity", pa.string()), ("confidence", pa.float64()),
])  # fmt: skip


@procedure(FINDINGS, per_object=True, long=True)
def scan_pii(context: Context, table_name: str | None = None, full: bool = False, only_new: bool = False) -> pa.Table:
    """Look for personal data in every column of a table, or of every table of the lake, and record what is found.

    A sample of some thousand rows is read. `full` also reads every row of text columns, for personal data that only
    few rows hold. `only_new` looks, of a source that was scanned before, only at files that have come since. The
    answer has a row for each finding. No value is stored, logged or shown.
    """
    from neurolake.pii.scan import scan

    engine, failed = context.engine, dict[Name, errors.NeuroLakeError]()
    rows: list[Finding] = []
    for name in _wanted(context, table_name):
        try:
            scan(
                engine, name, principal=context.principal, query_id=context.query_id, full=full, only_new=only_new,
                activity=engine.activities.get(context.query_id),
            )  # fmt: skip
        except errors.Stopped:
            raise
        except errors.NeuroLakeError as problem:
            if table_name is not None:
                raise
            failed[name] = problem
        rows += engine.governance.classification.findings(name)
    if failed:
        raise _incomplete(failed)
    return findings_table(rows)


def _incomplete(failed: Mapping[Name, errors.NeuroLakeError]) -> errors.NeuroLakeError:
    """What was found in the other tables is recorded; the caller must know that it is not all."""
    name, first = next(iter(failed.items()))
    return errors.SourceFailed(
        f"{len(failed)} tables could not be scanned. The first is {name}: {first.message}",
        code="scan_incomplete",
        next_step="The others are scanned. Mend or unregister these, then scan again.",
    )


@procedure(FINDINGS, per_object=True)
def pii_findings(context: Context, table_name: str | None = None) -> pa.Table:
    """Show what scans have found and people have said, of a table or of the whole lake, the surest first."""
    classification = context.engine.governance.classification
    return findings_table([one for name in _wanted(context, table_name) for one in classification.findings(name)])


def findings_table(findings: list[Finding]) -> pa.Table:
    """Findings as a table, the surest first."""
    ordered = sorted(findings, key=lambda one: (one.table, -one.confidence))
    return pa.Table.from_pylist(
        [
            {
                "table_name": str(one.table), "column_name": one.column, "entity": one.entity,
                "confidence": one.confidence, "share": one.share, "evidence": one.evidence,
                "sample_size": one.sample_size, "status": one.status, "detector": one.detector,
            }
            for one in ordered
        ],
        schema=FINDINGS,
    )  # fmt: skip


@procedure(COPIED, per_object=True, long=True)
def redact_deep(context: Context, table_name: str, destination: str, columns: Sequence[str] | None = None) -> pa.Table:
    """Copy a table into a new one whose free text lacks names of people, what Presidio finds, and what redact hides.

    Redacted are the columns in which a scan found free text, or the named ones; columns that hold anything else
    personal are left out. Types and NULLs stay; a cell that could not be looked at is NULL.
    """
    from neurolake.pii.deep import copy

    name, made = (Name.parse(text, context.session.schema) for text in (table_name, destination))
    require(context, Object.of(name))
    engine = context.engine
    activity = engine.activities.get(context.query_id)
    done = copy(engine, name, made, columns, principal=context.principal, activity=activity)
    rows = [{"table_name": str(made), "rows": done.rows, "redacted": done.redacted, "left_out": done.left_out}]
    return pa.Table.from_pylist(rows, schema=COPIED)


@procedure(PROPOSED, per_object=True)
def propose_policies(context: Context, table_name: str, apply: bool = False) -> pa.Table:
    """Propose a policy for each column of a table in which a scan has found something: what `set_policy` takes.

    With `apply` they hold from now on, all of them or none. `neurolake pii protect` shows the same, and sets the
    policies with --apply.
    """
    name = Name.parse(table_name, context.session.schema)
    require(context, Object.of(name))
    types, known = types_of(context, name), context.engine.access.facts(name)
    if not known.scans and not known.findings:
        raise errors.InvalidRequest(
            f"Nothing is known of the columns of {name}: it was not scanned for personal data, or has no rows yet.",
            code="not_scanned",
            next_step=f"CALL neurolake.scan_pii({literal(str(name))}), or say by set_pii what they hold.",
        )
    found = {column: [*known.findings.get(fold(column), ())] for column in types}
    proposed = masks.propose(name, found, types)
    if apply:
        _set(context, proposed, {Object.of(name, column): kind for column, kind in types.items()})
    return pa.Table.from_pylist(
        [
            {
                "name": p.name, "role": p.role, "target": str(p.target), "action": p.action,
                "options": json.dumps(dict(p.options)), "entity": p.entity, "confidence": p.confidence,
            }
            for p in proposed
        ],
        schema=PROPOSED,
    )  # fmt: skip


def _set(context: Context, proposed: Sequence[masks.Proposal], types: Mapping[Object, str]) -> None:
    policies = Policies(context.engine.governance, context.principal, context.query_id)
    for one in proposed:
        if (before := policies.target_of(one.name, "policies")) is not None:
            require(context, before)
    policies.set_policies(
        [policies.checked(p.name, p.role, p.target, p.action, p.options, types[p.target]) for p in proposed]
    )


def _wanted(context: Context, table_name: str | None) -> list[Name]:
    if table_name is not None:
        name = Name.parse(table_name, context.session.schema)
        require(context, Object.of(name))
        if name.fold() in context.engine.catalog.views:
            raise errors.NotSupported(
                f"{name} is a view of a governed role, and as open as what it reads.",
                next_step="Scan the tables that it reads.",
            )
        return [name]
    require(context, LAKE)
    from neurolake.catalog.browse import Browser

    found = [
        Name(schema, table)
        for schema, table, kind in Browser(context.engine, context.session).relations()
        if kind in ("BASE TABLE", "VIEW", "EXTERNAL TABLE")
    ]
    return sorted(name for name in found if name.fold() not in context.engine.catalog.views)
