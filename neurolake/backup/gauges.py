"""The gauges of backup jobs: what is known of their last runs. What has never happened has no value, rather than 0."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from neurolake.observe import Gauges

if TYPE_CHECKING:
    from neurolake.backup.runs import Run

__all__ = ["gauges"]

_LABELS = ("job", "mode", "repository")


def gauges(
    ended: Sequence[Run], succeeded: Sequence[Run], scheduled: Mapping[str, float], now: float
) -> Iterator[Gauges]:
    """What /metrics says.

    Args:
        ended: the last run that ended of each job and mode in each repository, also by a crash.
        succeeded: the last of each that ended well.
        scheduled: when each job is due next; none where no scheduler runs.
        now: seconds since the epoch.
    """

    def of(runs: Sequence[Run], name: str, text: str, value: Callable[[Run], float | None]) -> Gauges:
        known = [((run.job, run.mode, run.repository), value(run)) for run in runs]
        samples = [(labels, float(found)) for labels, found in known if found is not None]
        return Gauges(f"neurolake_backup_{name}", text, _LABELS, samples)

    yield of(ended, "last_ok", "Whether the last run ended well.", lambda run: run.state == "done")
    yield of(succeeded, "last_success_at_seconds", "When the last success ended, Unix time.", lambda run: run.ended_at)
    yield of(
        succeeded, "last_success_age_seconds", "How long ago the last success ended.",
        lambda run: None if run.ended_at is None else max(0.0, now - run.ended_at),
    )  # fmt: skip
    yield of(
        succeeded, "last_success_duration_seconds", "How long the last success took.",
        lambda run: None if run.duration_ms is None else run.duration_ms / 1000,
    )  # fmt: skip
    yield of(succeeded, "last_success_bytes", "Bytes of Parquet of the snapshot it was about.", lambda run: run.bytes)
    yield of(succeeded, "last_success_bytes_new", "Bytes that it wrote to the repository.", lambda run: run.bytes_new)
    due = [((job,), at) for job, at in scheduled.items()]
    yield Gauges("neurolake_backup_next_run_at_seconds", "When a job is due next, Unix time.", ("job",), due)
