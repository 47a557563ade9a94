"""`neurolake.at('orders', '<snapshot or time>')`: a table as a snapshot has it, read from the snapshot's files."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from neurolake import errors
from neurolake.backup.restore import select_of
from neurolake.backup.service import Backups
from neurolake.sql.text import Name

if TYPE_CHECKING:
    from neurolake.backup.repository import Repository
    from neurolake.engine import Engine
    from neurolake.query import Request

__all__ = ["replace_at"]

_TEXT = r"'((?:[^']|'')*)'"
_NAME = r"(?:(?:\"lake\"|\blake)\s*\.\s*)?(?:\"neurolake\"|\bneurolake)\s*\.\s*(?:\"at\"|at)\s*\("
_CALL = re.compile(rf"{_NAME}\s*{_TEXT}\s*,\s*{_TEXT}\s*\)", re.IGNORECASE)
_ANY = re.compile(_NAME, re.IGNORECASE)
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
    if not request.principal.is_admin:
        raise errors.AccessDenied("Only an administrator may read snapshots.")
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
