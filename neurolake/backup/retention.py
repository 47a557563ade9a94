"""Which snapshots stay: so many of each hour, day, week, month and year, and never fewer than the least."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

__all__ = ["PERIODS", "Kept", "Retention", "choose"]

PERIODS: Mapping[str, Callable[[datetime], object]] = {
    "hourly": lambda at: (at.date(), at.hour),
    "daily": lambda at: at.date(),
    "weekly": lambda at: at.isocalendar()[:2],
    "monthly": lambda at: (at.year, at.month),
    "yearly": lambda at: at.year,
}
"""For each period, what two moments of the same one share (in UTC)."""


@dataclass(frozen=True, slots=True)
class Retention:
    """How many periods keep their last snapshot; how many of the latest stay anyhow; how young is too young to go."""

    hourly: int = 0
    daily: int = 0
    weekly: int = 0
    monthly: int = 0
    yearly: int = 0
    last: int = 1
    days_min: int = 0


class Kept(NamedTuple):
    """One snapshot and why it stays; without a reason it goes."""

    snapshot_id: str
    at: datetime
    reasons: tuple[str, ...]


def choose(snapshots: Sequence[tuple[str, datetime]], rule: Retention, now: datetime) -> list[Kept]:
    """What happens to each snapshot, the newest first.

    Nothing depends on the clock alone: what is young is counted from the newest snapshot where the clock is ahead of
    it, so that one which has jumped takes nothing away.

    Args:
        snapshots: ids and times, in the order they were taken.
        rule: what stays.
        now: the time.

    >>> days = [(f"s{n}", datetime(2026, 1, n, tzinfo=UTC)) for n in (1, 2, 3)]
    >>> kept = choose(days, Retention(daily=2), datetime(2026, 2, 1, tzinfo=UTC))
    >>> [(one.snapshot_id, one.reasons) for one in kept]
    [('s3', ('last 1', 'daily 1')), ('s2', ('daily 2',)), ('s1', ())]
    """
    newest_first = list(reversed(snapshots))
    now = min([now, *(at for _, at in newest_first[:1])])
    reasons: dict[str, list[str]] = {snapshot_id: [] for snapshot_id, _ in newest_first}
    for place, (snapshot_id, at) in enumerate(newest_first, 1):
        if place <= max(1, rule.last):
            reasons[snapshot_id].append(f"last {place}")
        if rule.days_min and now - at < timedelta(days=rule.days_min):
            reasons[snapshot_id].append(f"younger than {rule.days_min} days")
    for period, share in PERIODS.items():
        seen: set[object] = set()
        for snapshot_id, at in newest_first:
            key = share(at.astimezone(UTC))
            if key not in seen and len(seen) < getattr(rule, period):
                seen.add(key)
                reasons[snapshot_id].append(f"{period} {len(seen)}")
    return [Kept(snapshot_id, at, tuple(reasons[snapshot_id])) for snapshot_id, at in newest_first]
