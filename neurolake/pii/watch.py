"""Have scanned what has just been made or written, as `pii_scan` says: a table is looked at before roles may see it."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING

from neurolake import errors
from neurolake.governance.facts import read
from neurolake.governance.tables import names
from neurolake.pii import reading
from neurolake.pii.scan import scan
from neurolake.query import Principal
from neurolake.sql.text import Name

if TYPE_CHECKING:
    from neurolake.catalog import Event
    from neurolake.engine import Engine

__all__ = ["after_writes", "look"]

logger = logging.getLogger("neurolake")

MAKING = ("CREATE TABLE", "CREATE VIEW")
ROWS = ("INSERT", "COPY", "MERGE", "UPDATE")
WRITING = (*ROWS, "ALTER TABLE")
"""Verbs that may bring data into columns that nobody has looked at yet."""


def after_writes(engine: Engine, events: Iterable[Event]) -> None:
    """Look at the tables of committed writes: new ones and those with a column nobody has looked at; others later."""
    for event in events:
        for name in names(event.object):
            if event.verb in ROWS and engine.settings.pii_scan != "made" and engine.background.waits(name):
                continue  # it is looked at soon, with these rows
            made = event.verb in MAKING and name not in engine.catalog.views  # which are as open as what they read
            if made or (event.verb in WRITING and _is_open(engine, name)):
                look(engine, name, event.user_name, event.query_id)
            elif event.verb in WRITING:
                engine.background.later(name, event.user_name)


def look(engine: Engine, name: Name, user_name: str, query_id: str) -> None:
    """Scan a table now, or have it scanned in the background, as the setting says."""
    if engine.settings.pii_scan == "background":
        engine.background.add(name, user_name)
    elif engine.settings.pii_scan == "made":
        _scan(engine, name, user_name, query_id)
        engine.background.later(name, user_name)  # a sample does not show what only few rows hold


def _scan(engine: Engine, name: Name, user_name: str, query_id: str) -> None:
    """Scan one table. What was written is written: a scan that fails is logged, and the columns stay closed."""
    try:
        scan(engine, name, principal=Principal(user_name, "", is_admin=True), query_id=query_id)
    except errors.NeuroLakeError as problem:
        why = problem.code  # the message may quote a row; `scan_pii` tells it to who may hear it
        logger.warning("%s was not scanned for personal data, and governed roles do not see it: %s", name, why)


def _is_open(engine: Engine, name: Name) -> bool:
    """Whether a table has a column that nobody has looked at and that has something to be looked at."""
    found = read(engine.store, name)
    if not found.scans:
        return True
    binding = engine.instance.acquire_and(lambda cursor: cursor.bind(f"SELECT * FROM {name.sql()}"))
    unseen = [column for column in binding.names if found.status(column) == "unscanned"]
    return bool(unseen) and reading.any_value(engine, name, unseen)
