"""Procedures on what the catalog says of schemas, tables and columns: tags, descriptions, and what columns hold."""

from __future__ import annotations

import pyarrow as pa

from neurolake.governance.objects import word
from neurolake.procedures import Context, procedure
from neurolake.procedures.governance import columns_of, read_object, row

_DESCRIBED = ("schema", "table", "column")
TAGGED = pa.schema([pa.field("object", pa.string()), pa.field("tag", pa.string())])
DESCRIBED = pa.schema([pa.field("object", pa.string()), pa.field("description", pa.string())])
REVIEWED = pa.schema(
    [pa.field("object", pa.string()), pa.field("entity", pa.string()), pa.field("status", pa.string())]
)
DECLASSIFIED = pa.schema([pa.field("object", pa.string()), pa.field("reason", pa.string())])


@procedure(TAGGED, per_object=True)
def tag(context: Context, object: str, tag: str) -> pa.Table:
    """Put a tag on a schema, a table or a column. Policies on `tag:…` hold for the columns of what is tagged."""
    on = read_object(context, object, _DESCRIBED)
    context.engine.governance.classification.tag(on, [tag], context.principal, context.query_id)
    return row(TAGGED, str(on), word(tag))


@procedure(TAGGED, per_object=True)
def untag(context: Context, object: str, tag: str) -> pa.Table:
    """Take a tag away."""
    on = read_object(context, object, _DESCRIBED)
    context.engine.governance.classification.untag(on, tag, context.principal, context.query_id)
    return row(TAGGED, str(on), word(tag))


@procedure(DESCRIBED, per_object=True)
def set_description(context: Context, object: str, text: str) -> pa.Table:
    """Describe a schema, a table or a column; an empty text removes the description."""
    on = read_object(context, object, _DESCRIBED)
    context.engine.governance.classification.set_description(on, text, context.principal, context.query_id)
    return row(DESCRIBED, str(on), text)


@procedure(REVIEWED, per_object=True)
def set_pii(context: Context, object: str, entity: str | None, status: str) -> pa.Table:
    """Say what a column, or every column of a table, holds.

    `confirmed`: it holds the entity; with the entity null it was reviewed and holds none. `rejected`: it does not
    hold the entity. `auto`: a scan decides again, and until it has, the column is closed to governed roles.
    """
    on = read_object(context, object, ("table", "column"))
    columns = columns_of(context, on)
    wanted = status.strip().casefold()
    context.engine.governance.classification.set_pii(columns, entity, wanted, context.principal, context.query_id)
    return row(REVIEWED, str(on), None if entity is None else word(entity, upper=True), wanted)


@procedure(DECLASSIFIED, per_object=True)
def declassify(context: Context, object: str, reason: str) -> pa.Table:
    """Say that a column, or every column of a table, holds nothing personal, and why; the audit log keeps the reason.

    What was found there counts no more. Tags, and policies on the column itself, stay.
    """
    on = read_object(context, object, ("table", "column"))
    columns = columns_of(context, on)
    context.engine.governance.classification.declassify(columns, reason, context.principal, context.query_id)
    return row(DECLASSIFIED, str(on), reason)
