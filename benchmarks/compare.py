"""Two reports side by side: what got better, what got worse."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.bench import Figure
from benchmarks.report import Report, table

__all__ = ["Change", "changes", "text"]

TOLERANCE = 0.1
"""Changes below this share are taken as noise."""


@dataclass(frozen=True, slots=True)
class Change:
    """One figure in two reports; None where a report lacks it."""

    name: str
    before: Figure | None
    after: Figure | None

    @property
    def relative(self) -> float | None:
        """How much the value grew: 0.1 is 10 % more."""
        if self.before is None or self.after is None or self.before.value == 0:
            return None
        return self.after.value / self.before.value - 1

    def verdict(self, tolerance: float = TOLERANCE) -> str:
        """In one word: better | worse | same | new | gone | missed, the last for a target met before and not now."""
        if self.before is None:
            return "new"
        if self.after is None:
            return "gone"
        if self.before.met and self.after.met is False:
            return "missed"
        growth = self.relative or 0.0
        if abs(growth) <= tolerance:
            return "same"
        return "better" if (growth > 0) == self.after.at_least else "worse"


def changes(before: Report, after: Report) -> list[Change]:
    """Every figure of either report, in the order of the first."""
    old = {figure.name: figure for figure in before.figures}
    new = {figure.name: figure for figure in after.figures}
    return [Change(name, old.get(name), new.get(name)) for name in old | new]


def text(found: list[Change], tolerance: float = TOLERANCE) -> str:
    """The changes as a table."""
    rows = [("measure", "before", "after", "change", "verdict")]
    for change in found:
        grown = "" if change.relative is None else f"{change.relative:+.1%}"
        rows.append((change.name, _value(change.before), _value(change.after), grown, change.verdict(tolerance)))
    return table(rows)


def _value(figure: Figure | None) -> str:
    return "" if figure is None else f"{figure.value:.3g} {figure.unit}"
