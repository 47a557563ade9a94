"""`neurolake upgrade`: what makes a home of an older format one of this release's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from neurolake import home as homes
from neurolake._duckdb import Instance, InstanceOptions
from neurolake.catalog.store import Store
from neurolake.governance.model import Governance
from neurolake.governance.refolding import places, refold
from neurolake.query import OWNER

__all__ = ["MIGRATIONS", "upgrade"]

_MEMORY_BYTES_MAX = 1 << 30


def upgrade(folder: str | Path) -> int:
    """Migrate a home to this release's format, and return the one that it had.

    Raises:
        HomeProblem: as `neurolake.home.upgrade`.
    """
    return homes.upgrade(folder, MIGRATIONS)


def _refold(folder: Path) -> None:
    """Format 1 folded names further than the engine does; see `neurolake.governance.refolding`."""
    if not (folder / "system.sqlite").exists():
        return
    store = Store(folder / "system.sqlite")
    try:
        instance = Instance(
            InstanceOptions(str(folder / "lake.duckdb"), str(folder / "tmp"), _MEMORY_BYTES_MAX, _MEMORY_BYTES_MAX, 1)
        )
        try:
            governance, cursor = Governance(store), instance.cursor()
            with governance.change("upgrade", OWNER, "", format=2) as db:
                refold(db, places(cursor, db))
            cursor.close()
        finally:
            instance.close()
    finally:
        store.close()


MIGRATIONS: Mapping[int, Callable[[Path], None]] = {1: _refold}
"""By format version: what makes a home of that version one of the next. Each must stand being run again."""
