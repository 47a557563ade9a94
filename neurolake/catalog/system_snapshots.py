"""The system table of snapshots."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from neurolake import errors
from neurolake.catalog.system_governance import TIME

if TYPE_CHECKING:
    from neurolake.backup.manifest import Manifest
    from neurolake.backup.repository import Repository
    from neurolake.procedures import Context

SNAPSHOTS = pa.schema([
    ("snapshot_id", pa.string()), ("created_at", TIME), ("kind", pa.string()), ("tables", pa.int64()),
    ("rows", pa.int64()), ("bytes", pa.int64()), ("bytes_new", pa.int64()), ("repository", pa.string()),
    ("state", pa.string()), ("as_role", pa.string()),
])  # fmt: skip


def snapshots(context: Context) -> list[tuple[Any, ...]]:
    """Every snapshot in the repositories of the settings."""
    if not context.principal.is_admin:
        raise errors.AccessDenied("Only an administrator may list the snapshots.", next_step="Ask one.")
    from neurolake.backup.service import Backups

    found = Backups(context.engine, context.query_id, context.principal.name).snapshots()
    return [listed(*one) for one in found]


def listed(repository: Repository, snapshot_id: str, manifest: Manifest | None) -> tuple[Any, ...]:
    """One snapshot as a row; without a manifest it is damaged, or sealed with a key that is not here."""
    if manifest is None:
        problem = repository.unread.get(snapshot_id)
        state = "sealed" if isinstance(problem, errors.AccessDenied) else "damaged"
        return (snapshot_id, None, None, None, None, None, None, repository.location, state, None)
    return row(repository.location, manifest)


def row(repository: str, manifest: Manifest) -> tuple[Any, ...]:
    """One snapshot that can be read as a row."""
    return (
        manifest.snapshot_id, manifest.moment.timestamp(), manifest.kind, len(manifest.tables), manifest.rows,
        manifest.bytes, manifest.bytes_new, repository, "complete", manifest.role,
    )  # fmt: skip
