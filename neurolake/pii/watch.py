"""Scan what has just been made, where the setting `pii_scan` says so: a table is looked at before roles may see it."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING

from neurolake import errors
from neurolake.governance.facts import read
from neurolake.governance.tables import names
from neurolake.pii.scan import scan
from neurolake.query import Principal
from neurolake.sql.text import Name

if TYPE_CHECKING:
    from neurolake.catalog import Event
    from neurolake.engine import Engine

__all__ = ["after_writes", "scan_made"]

logger = logging.getLogger("neurolake")

MAKING = ("CREATE TABLE", "CREATE VIEW")
WRITING = ("INSERT", "COPY", "MERGE", "UPDATE", "ALTER TABLE")
"""Verbs that may bring data into columns that nobody has looked at yet."""


def after_writes(engine: Engine, events: Iterable[Event]) -> None:
    """Scan the tables of committed writes: new ones, and those that have a column nobody has looked at."""
    if engine.settings.pii_scan != "made":
        return
    for event in events:
        for name in names(event.object):
            made = event.verb in MAKING and name not in engine.catalog.views  # which are as open as what they read
            if made or (event.verb in WRITING and _is_open(engine, name)):
                scan_made(engine, name, event.user_name, event.query_id)


def scan_made(engine: Engine, name: Name, user_name: str, query_id: str) -> None:
    """Scan one table. What was written is written: a scan that fails is logged, and the columns stay closed."""
    try:
        scan(engine, name, principal=Principal(user_name, "", is_admin=True), query_id=query_id)
    except errors.NeuroLakeError as problem:
        logger.warning("%s was not scanned for personal data, and governed roles do not see it: %s", name, problem)


def _is_open(engine: Engine, name: Name) -> bool:
    found = read(engine.store, name)
    if not found.scans:
        return True
    binding = engine.instance.acquire_and(lambda cursor: cursor.bind(f"SELECT * FROM {name.sql()}"))
    return any(found.status(column) == "unscanned" for column in binding.names)
