"""Which snapshots stay."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from neurolake.backup.retention import Retention, choose

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
MOMENTS = st.lists(st.datetimes(datetime(2020, 1, 1), datetime(2026, 11, 23)), max_size=40).map(
    lambda found: [(f"s{n}", at.replace(tzinfo=UTC)) for n, at in enumerate(found)]
)
COUNTS = st.integers(0, 5)
RULES = st.builds(Retention, hourly=COUNTS, daily=COUNTS, weekly=COUNTS, monthly=COUNTS, yearly=COUNTS, last=COUNTS)


@given(MOMENTS, RULES)
def test_the_latest_stays_and_pruning_again_removes_nothing(
    snapshots: list[tuple[str, datetime]], rule: Retention
) -> None:
    chosen = choose(snapshots, rule, NOW)
    assert len(chosen) == len(snapshots)
    if chosen:
        assert chosen[0].reasons
    kept = [(one.snapshot_id, one.at) for one in reversed(chosen) if one.reasons]
    assert all(one.reasons for one in choose(kept, rule, NOW))


@given(MOMENTS, RULES)
def test_more_to_keep_never_removes_more(snapshots: list[tuple[str, datetime]], rule: Retention) -> None:
    wider = replace(rule, daily=rule.daily + 1, last=rule.last + 1)
    narrow = {one.snapshot_id for one in choose(snapshots, rule, NOW) if one.reasons}
    assert narrow <= {one.snapshot_id for one in choose(snapshots, wider, NOW) if one.reasons}


def test_of_each_day_the_last_stays() -> None:
    hours = [(f"h{n}", NOW - timedelta(hours=n)) for n in reversed(range(72))]
    kept = [one.snapshot_id for one in choose(hours, Retention(daily=3), NOW) if one.reasons]
    assert kept == ["h0", "h13", "h37"]


def test_the_young_stay() -> None:
    days = [(f"d{n}", NOW - timedelta(days=n)) for n in reversed(range(10))]
    kept = [one.snapshot_id for one in choose(days, Retention(days_min=3), NOW) if one.reasons]
    assert kept == ["d0", "d1", "d2"]
