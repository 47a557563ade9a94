"""The lake's metadata in a snapshot: tables of the catalog, without secrets.

Only what is named here is kept. Passwords and tokens are not, so a restored user needs a new password; what was found
by a scan is not taken as scanned again, so that a restored table is under the same rule as any new one. The keys of
masks are kept apart, for snapshots that are sealed: without them all tokens and shifted dates would be others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from neurolake.catalog.store import Store

__all__ = ["KEPT", "read_mask_keys", "read_metadata", "write_mask_keys", "write_metadata"]

KEPT = (
    "users", "roles", "role_inherits", "user_roles", "user_attributes", "grants", "policies", "row_filters", "tags",
    "descriptions", "findings", "former_names",
)  # fmt: skip
"""The tables, where this release has them."""
SECRET = frozenset(("password", "token", "secret", "hash", "key"))
"""Columns that are never kept, whatever table they stand in."""

Metadata = Mapping[str, Sequence[Mapping[str, Any]]]


def read_metadata(store: Store) -> dict[str, list[dict[str, Any]]]:
    """The rows of every kept table, by the names of their columns."""
    found = {}
    for table in KEPT:
        columns = _columns(store, table)
        if columns:
            rows = store.rows(f"SELECT {', '.join(columns)} FROM {table}")
            found[table] = [dict(zip(columns, row, strict=True)) for row in rows]
    return found


def write_metadata(store: Store, metadata: Metadata) -> None:
    """Bring rows into the metadata of a new home. What is there already stays; tables it does not know are left out."""
    with store.durable() as db:
        for table in KEPT:
            known = set(_columns(store, table))
            for row in metadata.get(table, ()):
                names = [name for name in row if name in known]
                marks = ", ".join("?" * len(names))
                db.execute(
                    f"INSERT OR IGNORE INTO {table} ({', '.join(names)}) VALUES ({marks})", [row[n] for n in names]
                )


def read_mask_keys(store: Store) -> dict[str, Any]:
    """The secrets behind tokens and shifted dates, of every version; nothing where no mask has needed one."""
    return dict(store.rows("SELECT name, value FROM facts WHERE name GLOB 'mask_key_*'"))


def write_mask_keys(store: Store, keys: Mapping[str, Any]) -> None:
    """Bring the secrets into the metadata of a new home."""
    with store.durable() as db:
        db.executemany("INSERT OR IGNORE INTO facts VALUES (?, ?)", keys.items())


def _columns(store: Store, table: str) -> list[str]:
    names = [row[0] for row in store.rows("SELECT name FROM pragma_table_info(?)", (table,))]
    return [name for name in names if name not in SECRET]
