"""When jobs are due: cron expressions of the settings, read by cronsim, which keeps to Debian's cron.

Where clocks are put forward a job of the hour that is left out runs at the hour's end; where they are put back it runs
once. An expression of six fields begins with seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING

from neurolake import errors

if TYPE_CHECKING:
    from neurolake.config import Settings

__all__ = ["Schedule", "schedules"]

_SETTINGS = {
    "create": "snapshot_schedule", "verify": "snapshot_verify_schedule", "drill": "snapshot_drill_schedule",
}  # fmt: skip
"""The setting of each job that can be scheduled, in the order in which they run when several are due."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """One job's times.

    Attributes:
        job: create | verify | drill.
        expression: a cron expression of five fields, or of six with seconds before them.
        zone: the time zone it is written in, by name.
    """

    job: str
    expression: str
    zone: str = "UTC"

    def after(self, moment: float) -> float:
        """The first time it is due after a moment, both in seconds since the epoch.

        >>> Schedule("create", "15 * * * *").after(0.0)
        900.0

        On the day that clocks in Berlin are put forward, half past two is at three:

        >>> spring = datetime(2026, 3, 29, tzinfo=UTC).timestamp()
        >>> datetime.fromtimestamp(Schedule("create", "30 2 * * *", "Europe/Berlin").after(spring), UTC).isoformat()
        '2026-03-29T01:00:00+00:00'
        """
        from cronsim import CronSim

        return next(CronSim(self.expression, datetime.fromtimestamp(moment, _zone(self.zone)))).timestamp()


def schedules(settings: Settings) -> tuple[Schedule, ...]:
    """The schedules that are set.

    Raises:
        InvalidRequest: `setting_invalid`: an expression or the time zone cannot be read, or its time never comes.
    """
    found = []
    for job, setting in _SETTINGS.items():
        expression = getattr(settings, setting)
        if expression.strip():
            found.append(
                _checked(setting, Schedule(job, " ".join(expression.split()), settings.snapshot_schedule_zone))
            )
    return tuple(found)


def _checked(setting: str, schedule: Schedule) -> Schedule:
    from cronsim import CronSimError

    _zone(schedule.zone)
    try:
        schedule.after(datetime.now(UTC).timestamp())
    except (CronSimError, StopIteration) as problem:
        why = str(problem) or "its time never comes"
        raise errors.InvalidRequest(
            f"{setting} takes a cron expression, not {schedule.expression[:60]!r}: {why}.",
            code="setting_invalid",
            next_step="Minute, hour, day of the month, month, weekday: 15 * * * * is a quarter past every hour.",
        ) from None
    return schedule


def _zone(name: str) -> tzinfo:
    from zoneinfo import ZoneInfo

    if name == "UTC":
        return UTC  # also where the machine has no time zone database
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise errors.InvalidRequest(
            f"snapshot_schedule_zone takes the name of a time zone, not {name[:60]!r}.",
            code="setting_invalid",
            next_step="Write one such as Europe/Berlin; where the system has no such names, `pip install tzdata`.",
        ) from None
