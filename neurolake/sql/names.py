"""Resolve the relations a statement names: only the name's own characters in the text are replaced.

Registered sources and system tables are no objects inside DuckDB, so that what a procedure changes holds for the very
next statement of every session, inside open transactions too. The rest of the user's text stays byte for byte.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from sqlglot import exp, parse_one
from sqlglot.errors import SqlglotError

from neurolake import errors
from neurolake.identifiers import fold
from neurolake.sql.text import DEFAULT_SCHEMA, Name, quote

_DOTTED = re.compile(r'(?:"(?:[^"]|"")+"|\w+)(?:\s*\.\s*(?:"(?:[^"]|"")+"|\w+))*')

Lookup = Callable[[Name], str | None]
"""Gives the SQL of a relation we resolve, None for one that DuckDB knows itself."""


class Resolved(NamedTuple):
    """The text with names replaced, and the names that were. `unread`: it may name more, where nobody can follow."""

    text: str
    found: tuple[Name, ...]
    unread: bool = False


class Edit(NamedTuple):
    """Replace text[start:end]."""

    start: int
    end: int
    text: str


def resolve(
    text: str,
    lookup: Lookup,
    schema: str = DEFAULT_SCHEMA,
    hidden: frozenset[str] = frozenset(),
    serialise: Callable[[str], Any] | None = None,
) -> Resolved:
    """Replace every relation that `lookup` knows.

    Args:
        text: one statement in DuckDB's dialect.
        lookup: gives a relation's SQL.
        schema: what an unqualified name belongs to.
        hidden: unqualified names, folded, that mean something else: the session's temporary tables.
        serialise: gives DuckDB's own tree of a SELECT, for the few that sqlglot cannot read.

    Raises:
        NotSupported: the statement writes to such a relation, or cannot be read closely enough.

    >>> sql = resolve("SELECT o.id FROM orders o JOIN x USING (id)", lambda n: "f(1)" if n.table == "orders" else None)
    >>> sql.text
    'SELECT o.id FROM f(1) o JOIN x USING (id)'
    """
    try:
        tree = parse_one(text, read="duckdb")
    except (SqlglotError, RecursionError):
        tree = None
    if tree is None or isinstance(tree, exp.Command):
        return _resolve_tree(text, serialise(text) if serialise else None, lookup, schema, hidden)
    edits: list[Edit] = []
    found: dict[Name, None] = {}
    for table in tree.find_all(exp.Table):
        name = _name(table, schema)
        if name is None or (not table.args.get("db") and (fold(name.table) in hidden or _is_cte(table))):
            continue
        relation = lookup(name)
        if relation is None:
            continue
        if _is_target(table):
            raise errors.NotSupported(
                f"{name} is a registered source, a system table or a governed role's view, and read-only.",
                code="read_only_relation",
                next_step="Write to a managed table, or unregister the source first.",
            )
        found[name.fold()] = None
        edits.append(_replacement(table, relation))
    if found:
        edits.extend(_qualified_columns(tree, found))
    return Resolved(_apply(text, edits), tuple(found), isinstance(tree, exp.Describe) and bool(tree.args.get("kind")))


def _name(table: exp.Table, schema: str) -> Name | None:
    parts = [part for part in table.parts if isinstance(part, exp.Identifier)]
    if len(parts) != len(table.parts) or not parts:
        return None
    if isinstance(table.parent, exp.Describe) and table.parent.args.get("kind"):
        return None  # DESCRIBE TABLE takes a name only
    if len(parts) == 3:
        if fold(parts[0].name) != "lake":
            return None
        parts = parts[1:]
    if len(parts) > 2:
        return None
    return Name(parts[0].name if len(parts) == 2 else schema, parts[-1].name)


def _is_cte(table: exp.Table) -> bool:
    """Whether an unqualified name means a common table expression in scope."""
    name = fold(table.name)
    node: exp.Expression = table
    while (parent := node.parent) is not None:
        if isinstance(parent, exp.With):
            names: Iterator[exp.CTE] = _visible(parent, node)
            parent = parent.parent or parent
        else:
            with_ = parent.args.get("with_")
            names = iter(with_.expressions if isinstance(with_, exp.With) else ())
        if any(fold(cte.alias) == name for cte in names):
            return True
        node = parent
    return False


def _visible(with_: exp.With, inside: exp.Expression) -> Iterator[exp.CTE]:
    for cte in with_.expressions:
        if cte is inside:
            if with_.args.get("recursive"):
                yield cte
            return
        yield cte


def _is_target(table: exp.Table) -> bool:
    parent = table.parent
    if isinstance(parent, exp.Schema):
        table, parent = parent, parent.parent
    if isinstance(parent, exp.Copy):
        return bool(parent.args.get("kind"))  # FROM
    named = (exp.Insert, exp.Update, exp.Delete, exp.Create, exp.Alter, exp.Merge)
    always = (exp.Drop, exp.TruncateTable, exp.Index, exp.Comment, exp.AlterRename, exp.Reference)
    return isinstance(parent, always) or (isinstance(parent, named) and parent.this is table)


def _span(first: exp.Expression, last: exp.Expression) -> tuple[int, int]:
    start, end = first.meta.get("start"), last.meta.get("end")
    if start is None or end is None:
        raise errors.NotSupported(
            "A registered source stands where its name cannot be resolved.",
            code="name_position",
            next_step="Write the source in a subquery: (SELECT * FROM name).",
        )
    return start, end + 1


def _replacement(table: exp.Table, relation: str) -> Edit:
    parts = table.parts
    start, end = _span(parts[0], parts[-1])
    if isinstance(table.parent, exp.Describe | exp.Summarize):
        return Edit(start, end, f"SELECT * FROM {relation}")
    if isinstance(table.parent, exp.Pivot | exp.Copy):
        return Edit(start, end, f"(SELECT * FROM {relation})")
    alias = "" if table.args.get("alias") or relation == quote(table.name) else f" AS {quote(table.name)}"
    return Edit(start, end, relation + alias)


def _qualified_columns(tree: exp.Expression, found: dict[Name, None]) -> Iterator[Edit]:
    """`main.orders.id` names a column through its schema, which a replaced relation no longer has."""
    for column in tree.find_all(exp.Column):
        parts = column.parts
        first = 1 if fold(parts[0].name) == "lake" else 0
        for start in {0, first}:
            # Fields of a structure follow its column: main.orders.info.k.
            if len(parts) > start + 2 and Name(parts[start].name, parts[start + 1].name).fold() in found:
                here, end = _span(parts[0], parts[start + 1])
                yield Edit(here, end, quote(parts[start + 1].name))
                break


def _resolve_tree(text: str, tree: Any, lookup: Lookup, schema: str, hidden: frozenset[str]) -> Resolved:
    """The same by DuckDB's own tree, whose relations carry their place in the UTF-8 bytes of the text."""
    data = text.encode()
    edits: list[Edit] = []
    found: dict[Name, None] = {}
    for node in _base_tables(tree, hidden):
        path = node["qualified_name"]["path"]
        path = path[1:] if len(path) == 3 and fold(path[0]) == "lake" else path
        name = Name(path[-2] if len(path) == 2 else schema, path[-1])
        relation = lookup(name) if len(path) < 3 else None
        written = _DOTTED.match(data.decode(), len(data[: node["query_location"]].decode()))
        if relation is None or written is None:
            continue
        found[name.fold()] = None
        alias = "" if node["alias"] or relation == quote(name.table) else f" AS {quote(name.table)}"
        edits.append(Edit(written.start(), written.end(), relation + alias))
    return Resolved(_apply(text, edits), tuple(found), tree is None or bool(tree["error"]))


def _base_tables(node: Any, ctes: frozenset[str]) -> Iterator[dict[str, Any]]:
    if isinstance(node, list):
        for item in node:
            yield from _base_tables(item, ctes)
    elif isinstance(node, dict):
        if node.get("type") == "BASE_TABLE":
            if node["schema_name"] or fold(node["table_name"]) not in ctes:
                yield node
            return
        for entry in (node.get("cte_map") or {}).get("map", ()):
            yield from _base_tables(entry["value"], ctes)
            ctes |= {fold(entry["key"])}
        for key, value in node.items():
            if key != "cte_map":
                yield from _base_tables(value, ctes)


def _apply(text: str, edits: list[Edit]) -> str:
    for edit in sorted(edits, reverse=True):
        text = text[: edit.start] + edit.text + text[edit.end :]
    return text
