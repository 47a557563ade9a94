"""The system table of snapshots."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from neurolake import errors
from neurolake.catalog.system_governance import TIME

if TYPE_CHECKING:
    from neurolake.backup.manifest import Manifest
    from neurolake.procedures import Context

SNAPSHOTS = pa.schema([
    ("snapshot_id", pa.string()), ("created_at", TIME), ("kind", pa.string()), ("tables", pa.int64()),
    ("rows", pa.int64()), ("bytes", pa.int64()), ("bytes_new", pa.int64()), ("repository", pa.string()),
    ("state", pa.string()), ("as_role", pa.string()),
])  # fmt: skip


def snapshots(context: Context) -> list[tuple[Any, ...]]:
    """Every snapshot in the repositories of the settings."""
    if not context.principal.is_admin:
        raise errors.AccessDenied("Only an administrator may list the snapshots.")
    from neurolake.backup.service import Backups

    found = Backups(context.engine, context.query_id, context.principal.name).snapshots()
    return [row(repository.location, snapshot_id, manifest) for repository, snapshot_id, manifest in found]


def row(repository: str, snapshot_id: str, manifest: Manifest | None) -> tuple[Any, ...]:
    """One snapshot as a row; without a manifest it is damaged."""
    if manifest is None:
        return (snapshot_id, None, None, None, None, None, None, repository, "damaged", None)
    return (
        snapshot_id, manifest.moment.timestamp(), manifest.kind, len(manifest.tables), manifest.rows, manifest.bytes,
        manifest.bytes_new, repository, "complete", manifest.role,
    )  # fmt: skip
