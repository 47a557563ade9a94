"""What was decided about a statement, as its record in the audit log tells it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from neurolake.governance.access import ColumnDecision, TableDecision
from neurolake.query import Principal
from neurolake.sql.text import Name


@dataclass(frozen=True, slots=True)
class Ruling:
    """What was decided about a statement: each relation it reads, and under which version of the policies."""

    version: int
    tables: Mapping[Name, TableDecision]

    def masked(self) -> dict[str, str]:
        """The columns that are masked or absent, and how."""
        return {name: column.action for name, column in self._closed()}

    def policies(self) -> dict[str, str]:
        """The policy that decided about a column, for each that is masked or absent by one."""
        return {name: column.policy for name, column in self._closed() if column.policy is not None}

    def _closed(self) -> Iterator[tuple[str, ColumnDecision]]:
        for name, decision in self.tables.items():
            for column in decision.columns:
                if column.action != "allow":
                    yield f"{name}.{column.column}", column

    def filters(self) -> dict[str, list[str]]:
        """The row filters of each relation that has any."""
        return {
            str(name): [one.name for one in decision.filters]
            for name, decision in self.tables.items()
            if decision.filters
        }


NOTHING = Ruling(0, {})


@dataclass(slots=True)
class Decided:
    """A statement, or one step of a script, as far as it has come: what its record will say of it.

    Attributes:
        principal: who asks, in the role that this step is planned in; None before it is.
        version: of the policies, when planning began.
        text: what was asked; only its words are compared, it is kept nowhere.
        verb: what it does, in a word.
        procedure: which one it calls.
        target: the table or view that it writes, makes, changes or drops.
        ruling: grows while it is planned, so that a denial leaves what was decided before it.
    """

    principal: Principal | None = None
    version: int = 0
    text: str = ""
    verb: str = ""
    procedure: str = ""
    target: str = ""
    ruling: Ruling = NOTHING
