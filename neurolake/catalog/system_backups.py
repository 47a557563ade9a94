"""The system tables of backup jobs: what became of their runs, and when they are due."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from neurolake import errors
from neurolake.backup.runs import state_of
from neurolake.backup.schedule import schedules
from neurolake.catalog.system_governance import TIME

if TYPE_CHECKING:
    from neurolake.backup.runs import Run
    from neurolake.procedures import Context

BACKUP_RUNS = pa.schema([
    ("query_id", pa.string()), ("job", pa.string()), ("mode", pa.string()), ("repository", pa.string()),
    ("started_by", pa.string()), ("due_at", TIME), ("started_at", TIME), ("ended_at", TIME),
    ("duration_ms", pa.float64()), ("state", pa.string()), ("error_code", pa.string()), ("snapshot_id", pa.string()),
    ("tables", pa.int64()), ("rows", pa.int64()), ("bytes", pa.int64()), ("bytes_new", pa.int64()),
    ("detail", pa.string()), ("notified", pa.string()),
])  # fmt: skip
BACKUP_SCHEDULE = pa.schema([
    ("job", pa.string()), ("schedule", pa.string()), ("time_zone", pa.string()), ("next_run_at", TIME),
    ("last_started_at", TIME), ("last_ended_at", TIME), ("last_state", pa.string()), ("last_error_code", pa.string()),
])  # fmt: skip


def backup_runs(context: Context) -> list[tuple[Any, ...]]:
    """Every run that is kept, oldest first."""
    _refuse_others(context)
    return list(context.engine.backup_runs.rows())


def backup_schedule(context: Context) -> list[tuple[Any, ...]]:
    """Every job that has a schedule; without a next time where no server runs it."""
    _refuse_others(context)
    runs = context.engine.backup_runs
    return [
        (one.job, one.expression, one.zone, runs.scheduled.get(one.job), *_last(runs.last(one.job)))
        for one in schedules(context.engine.settings)
    ]


def _last(runs: Sequence[Run]) -> tuple[Any, ...]:
    """When the last run began and ended, and how; `partial` where it did not end alike in all repositories."""
    if not runs:
        return (None,) * 4
    ends = [run.ended_at for run in runs if run.ended_at is not None]
    code = next((run.error_code for run in runs if run.error_code is not None), None)
    return (
        min(run.started_at for run in runs), max(ends) if len(ends) == len(runs) else None,
        state_of(runs), code,
    )  # fmt: skip


def _refuse_others(context: Context) -> None:
    if not context.principal.is_admin:
        raise errors.AccessDenied("Only an administrator may see the backup jobs.", next_step="Ask one.")
