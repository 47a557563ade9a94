"""What a lake knows of the snapshots it took, whatever a repository says: their order, and where they must be."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from neurolake.backup.manifest import Manifest
    from neurolake.backup.repository import Repository
    from neurolake.catalog.store import Store

__all__ = ["Known", "next_number"]

_NUMBER = "snapshot_number"


def next_number(store: Store, lake_id: str, there: Iterable[Manifest]) -> int:
    """The number of the snapshot that is taken next: above all that the lake or the repository has seen of it."""
    seen = [manifest.number for manifest in there if manifest.lake_id == lake_id]
    number = max([int(store.fact(_NUMBER, 0)), *seen]) + 1
    store.set_fact(_NUMBER, number)
    return number


class Known:
    """The snapshots that a lake has brought to one repository, and not taken away since."""

    def __init__(self, store: Store, repository: Repository) -> None:
        self._store = store
        self._end = f" in {repository.location}"

    def add(self, snapshot_id: str) -> None:
        """It is there now."""
        self._store.set_fact(f"published {snapshot_id}{self._end}", 1)

    def ids(self) -> frozenset[str]:
        """Those that must be there, unless somebody else has removed them."""
        rows = self._store.rows("SELECT name FROM facts WHERE name LIKE 'published %'")
        names = (str(name).removeprefix("published ") for (name,) in rows)
        return frozenset(name.removesuffix(self._end) for name in names if name.endswith(self._end))

    def keep(self, snapshot_ids: Iterable[str]) -> None:
        """Forget all others."""
        gone = self.ids() - set(snapshot_ids)
        with self._store.durable() as db:
            db.executemany("DELETE FROM facts WHERE name = ?", [(f"published {one}{self._end}",) for one in gone])
