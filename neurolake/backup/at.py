"""A table as a snapshot has it, read from the snapshot's files, by a function and by DuckDB's own words.

`neurolake.at('orders', '<snapshot or time>')` stands wherever a relation does; `orders AT (TIMESTAMP => '<time>')` and
`orders AT (VERSION => '<id>')` in a SELECT.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from neurolake import errors
from neurolake._duckdb import CATALOG
from neurolake.backup.restore import select_of
from neurolake.backup.service import Backups, moment_of
from neurolake.identifiers import fold
from neurolake.sql.text import Name, quote

if TYPE_CHECKING:
    from neurolake.backup.repository import Repository
    from neurolake.engine import Engine
    from neurolake.query import Request

__all__ = ["replace_at", "replace_clauses"]

_TEXT = r"'((?:[^']|'')*)'"
_NAME = r"(?:(?:\"lake\"|\blake)\s*\.\s*)?(?:\"neurolake\"|\bneurolake)\s*\.\s*(?:\"at\"|at)\s*\("
_CALL = re.compile(rf"{_NAME}\s*{_TEXT}\s*,\s*{_TEXT}\s*\)", re.IGNORECASE)
_ANY = re.compile(_NAME, re.IGNORECASE)
_CLAUSE = re.compile(r"\bat\s*\(\s*(?:timestamp|version)\s*=>", re.IGNORECASE)
_SKIPPED = re.compile(r"'(?:[^']|'')*'|--[^\n]*|/\*.*?\*/", re.DOTALL)


def replace_at(engine: Engine, request: Request, text: str) -> tuple[str, tuple[Repository, ...]]:
    """The text with every `neurolake.at(…)` replaced by a SELECT over the snapshot's files.

    Also the repositories whose files were opened for it: they stay readable as long as those are kept.

    Raises:
        AccessDenied: only an administrator reads snapshots: their files hold what policies mask.
        InvalidRequest: its arguments are not two constant texts.
        NotFound: there is no such snapshot, or no such table in it.
    """
    skipped = [match.span() for match in _SKIPPED.finditer(text)]

    def stands(at: int) -> bool:
        return not any(start <= at < end for start, end in skipped)

    named = [match for match in _ANY.finditer(text) if stands(match.start())]
    calls = [match for match in _CALL.finditer(text) if stands(match.start())]
    if not named:
        return text, ()
    _check(request)
    if len(calls) != len(named):
        raise errors.InvalidRequest(
            "neurolake.at takes two constant texts.", code="argument",
            next_step="Write neurolake.at('orders', '2026-11-23'), or with a snapshot's id.",
        )  # fmt: skip
    backups = Backups(engine, request.query_id, request.principal.name)
    opened: list[Repository] = []
    for match in reversed(calls):
        table, wanted = (part.replace("''", "'") for part in match.groups())
        text = f"{text[: match.start()]}({_select(backups, table, wanted, opened)}){text[match.end() :]}"
    return text, tuple(opened)


def replace_clauses(engine: Engine, request: Request, text: str) -> tuple[str, tuple[Repository, ...]]:
    """The text of a SELECT with every `t AT (…)` replaced by a SELECT over a snapshot's files; else as `replace_at`.

    DuckDB's own parser says where they stand, and what their aliases are.

    Raises:
        AccessDenied: only an administrator reads snapshots.
        InvalidRequest: what stands there is no constant, or no time, or the table is sampled.
        NotFound: there is no such snapshot, or no such table in it.
    """
    if _CLAUSE.search(text) is None:
        return text, ()
    _check(request)
    found = list(_clauses(engine.serialise(text)))
    backups = Backups(engine, request.query_id, request.principal.name)
    opened: list[Repository] = []
    data = text.encode()
    for node in sorted(found, key=lambda node: int(node["query_location"]), reverse=True):
        path = node["qualified_name"]["path"]
        name = Name(path[-2] if len(path) > 1 else request.session.schema, path[-1])
        read = _select(backups, str(name), _wanted(node), opened)
        alias = quote(node["alias"] or path[-1])
        if node["column_name_alias"]:
            alias += f"({', '.join(map(quote, node['column_name_alias']))})"
        start = int(node["query_location"])
        end = start + int(node["query_location_length"])
        data = data[:start] + f"({read}) AS {alias}".encode() + data[end:]
    return data.decode(), tuple(opened)


def _check(request: Request) -> None:
    if not request.principal.is_admin:
        raise errors.AccessDenied("Only an administrator may read snapshots.", next_step="Ask one for what you need.")


def _clauses(node: Any) -> Iterator[dict[str, Any]]:
    """Every relation of a tree that has such a clause and is not another catalog's."""
    if isinstance(node, list):
        for item in node:
            yield from _clauses(item)
    elif isinstance(node, dict):
        if node.get("type") == "BASE_TABLE" and node.get("at_clause"):
            path = node["qualified_name"]["path"]
            if len(path) < 3 or fold(path[0]) == CATALOG:
                yield node
        for value in node.values():
            yield from _clauses(value)


def _wanted(node: Mapping[str, Any]) -> str:
    """Which snapshot a clause means: its id, or the last one not after a time."""
    unit, said = node["at_clause"]["unit"].upper(), node["at_clause"]["expr"]
    if said["class"] == "CAST":
        said = said["child"]
    text = str(said["literal"]["text"]) if said.get("class") == "CONSTANT" and "text" in said["literal"] else None
    if text is None or node["sample"] is not None or (unit == "TIMESTAMP") != (moment_of(text) is not None):
        raise errors.InvalidRequest(
            "AT takes a constant: a time after TIMESTAMP, a snapshot's id after VERSION; and no sample.",
            code="argument",
            next_step="Write AT (TIMESTAMP => '2026-11-23 13:05') or AT (VERSION => '<id>').",
        )
    return text


def _select(backups: Backups, table: str, wanted: str, opened: list[Repository]) -> str:
    repository, manifest = backups.manifest(wanted)
    found = manifest.table(Name.parse(table))
    if found is None or manifest.kind == "schema":
        raise errors.NotFound(
            f"There is no table {table} in the snapshot {manifest.snapshot_id}.",
            code="snapshot_table_unknown",
            next_step=f"`neurolake backup show {manifest.snapshot_id}` lists its tables.",
        )
    for part in found.parts:
        repository.check_there(part)
    files = [repository.readable(part) for part in found.parts]
    if None in files:
        opened.append(repository)
    return select_of(found, [f or str(repository.fetch(p)) for f, p in zip(files, found.parts, strict=True)])
