"""When jobs are due."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from neurolake import errors
from neurolake.backup.schedule import Schedule, schedules
from neurolake.config import Settings


def times(schedule: Schedule, begin: str, count: int) -> list[str]:
    """The next times after a moment, in the schedule's own time zone."""
    zone = ZoneInfo(schedule.zone)
    moment, found = datetime.fromisoformat(begin).replace(tzinfo=UTC).timestamp(), []
    for _ in range(count):
        moment = schedule.after(moment)
        found.append(datetime.fromtimestamp(moment, zone).strftime("%m-%d %H:%M %Z"))
    return found


def test_nothing_is_scheduled_until_somebody_says_so() -> None:
    assert schedules(Settings()) == ()


def test_each_setting_is_a_job() -> None:
    found = schedules(Settings(snapshot_schedule="15  * * * *", snapshot_verify_schedule="30 3 * * SUN"))
    assert [(one.job, one.expression) for one in found] == [("create", "15 * * * *"), ("verify", "30 3 * * SUN")]


def test_a_night_job_runs_once_on_the_days_that_clocks_change() -> None:
    nightly = Schedule("create", "30 2 * * *", "Europe/Berlin")
    assert times(nightly, "2026-03-28T00:00", 3) == ["03-28 02:30 CET", "03-29 03:00 CEST", "03-30 02:30 CEST"]
    assert times(nightly, "2026-10-24T00:00", 3) == ["10-24 02:30 CEST", "10-25 02:30 CEST", "10-26 02:30 CET"]


def test_an_hourly_job_runs_every_hour_that_passes() -> None:
    hourly = Schedule("create", "0 * * * *", "Europe/Berlin")
    autumn = times(hourly, "2026-10-24T23:30", 3)
    assert autumn == ["10-25 02:00 CEST", "10-25 02:00 CET", "10-25 03:00 CET"]


@pytest.mark.parametrize(
    ("expression", "why"),
    [("61 * * * *", "minute"), ("every day", "fields"), ("0 0 31 2 *", "day-of-month"), ("* * * * * * *", "fields")],
)
def test_what_is_no_time_is_refused_by_name(expression: str, why: str) -> None:
    with pytest.raises(errors.InvalidRequest, match=why) as refused:
        schedules(Settings(snapshot_verify_schedule=expression))
    assert refused.value.code == "setting_invalid"
    assert "snapshot_verify_schedule" in refused.value.message


@pytest.mark.parametrize("zone", ["Mars/Olympus", "../etc/passwd", ""])
def test_what_is_no_time_zone_is_refused_by_name(zone: str) -> None:
    with pytest.raises(errors.InvalidRequest, match="snapshot_schedule_zone") as refused:
        schedules(Settings(snapshot_schedule="0 * * * *", snapshot_schedule_zone=zone))
    assert refused.value.code == "setting_invalid"
