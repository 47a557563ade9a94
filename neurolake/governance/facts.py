"""What the metadata file knows about one table: read when a statement names the table, and not before."""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from neurolake.catalog.store import Store
from neurolake.governance.objects import Object
from neurolake.identifiers import fold
from neurolake.sql.text import Name

EVERY_ROLE = "*"
CONFIDENT_MIN = 0.8
"""A finding below it that nobody has reviewed masks its column until somebody does."""

WITHIN = " in "
"""Stands in the evidence of a finding in a nested column, before the path."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found in a column. `entity` None: nothing. `status`: auto, confirmed or rejected."""

    table: Name
    column: str
    entity: str | None
    confidence: float
    evidence: str
    share: float
    sample_size: int
    detector: str
    status: str = "auto"

    @property
    def nested(self) -> bool:
        """Whether it is about a part of the column, which its evidence names, and not about whole cells."""
        return WITHIN in self.evidence


@dataclass(frozen=True, slots=True)
class Policy:
    """One policy: for whom, about what, and what it does. `role` is '*' for all but admin.

    `replaces`: for its role it stands in place of what that would inherit on the same target.
    """

    name: str
    role: str
    target: Object
    action: str
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    replaces: bool = True


@dataclass(frozen=True, slots=True)
class RowFilter:
    """One row filter: the rows for which `condition`, in SQL, is true are seen."""

    name: str
    role: str
    table: Name
    condition: str
    replaces: bool = True


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known about one table. Columns are folded; '' stands for the table itself."""

    grants: frozenset[tuple[str, str, str]] = frozenset()
    """(role, privilege, column)"""
    policies: tuple[Policy, ...] = ()
    filters: tuple[RowFilter, ...] = ()
    tags: Mapping[str, frozenset[str]] = field(default_factory=dict)
    findings: Mapping[str, tuple[Finding, ...]] = field(default_factory=dict)
    scans: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """column: (its type when it was looked at, scanned or confirmed)"""
    formerly: bool = False
    """Whether protection that an earlier release stored may be about the table: its name did not say which it meant."""

    def entities(self, column: str) -> frozenset[str]:
        """What a column holds, by findings that were not rejected."""
        found = self.findings.get(fold(column), ())
        return frozenset(one.entity for one in found if one.entity is not None and one.status != "rejected")

    def finding(self, column: str) -> Finding | None:
        """What a column is said to hold: of findings that were not rejected the surest, confirmed ones first."""
        held = (one for one in self.findings.get(fold(column), ()) if one.status != "rejected")
        return max(held, key=lambda one: one.confidence + (one.status == "confirmed"), default=None)

    def status(self, column: str, data_type: str | None = None) -> str:
        """unscanned, scanned or confirmed. A column whose type has changed since counts as unscanned."""
        seen_type, status = self.scans.get(fold(column), ("", "unscanned"))
        return status if data_type is None or seen_type == same_type(data_type) else "unscanned"

    def in_doubt(self, column: str) -> tuple[Finding, ...]:
        """Findings that are not sure, and that nobody has reviewed."""
        found = self.findings.get(fold(column), ())
        return tuple(one for one in found if one.status == "auto" and one.confidence < CONFIDENT_MIN)


NOTHING = Facts()


def same_type(data_type: str) -> str:
    """A DuckDB type in the form that its spellings share.

    >>> same_type("decimal(18, 2)") == same_type("DECIMAL(18,2)")
    True
    """
    return data_type.upper().replace(" ", "")


def read(store: Store, name: Name) -> Facts:
    """The facts of one table."""
    found = _read(store, "WHERE table_schema = ? AND table_name = ?", tuple(name)).get(name, NOTHING)
    return found if all(map(str.isascii, name)) else replace(found, formerly=_formerly(store, name))


def read_all(store: Store) -> dict[Name, Facts]:
    """The facts of every table that has any, in a few passes: for those who list the whole catalog."""
    found = _read(store, "WHERE table_name <> ''", ())
    for name in found:
        if not all(map(str.isascii, name)):
            found[name] = replace(found[name], formerly=_formerly(store, name))
    return found


def _formerly(store: Store, name: Name) -> bool:
    before = tuple(part.casefold() for part in name)
    sql = "SELECT 1 FROM former_names WHERE table_schema = ? AND table_name = ?"
    return before != name and bool(store.rows(sql, before))


def found_in(store: Store) -> list[str]:
    """The names, without their schemas, of tables of which anything was found."""
    return [name for _, name in store.rows("SELECT DISTINCT table_schema, table_name FROM findings", ())]


def wide_policies(store: Store) -> tuple[Policy, ...]:
    """The policies that are about no single table."""
    return tuple(policy for _, policy in _policies(store, "WHERE table_name = ''", ()))


def _read(store: Store, where: str, values: tuple[object, ...]) -> dict[Name, Facts]:
    grants = _grouped(
        store, f"role, privilege, column_name FROM grants {where}", values, lambda row: (row[0], row[1], row[2])
    )
    seen: dict[Any, Any] = {}  # of a hundred thousand columns few differ in type and status
    tags = _grouped(store, f"column_name, tag FROM tags {where}", values, lambda row: (row[0], row[1]))
    scans = _grouped(
        store,
        f"column_name, data_type, status FROM scans {where}",
        values,
        lambda row: (sys.intern(row[0]), seen.setdefault(row[1:], row[1:])),
    )
    filters = _grouped(store, f"name, role, condition, replaces FROM row_filters {where}", values, lambda row: row)
    found = _grouped(
        store, f"column_name, entity, confidence, evidence, share, sample_size, detector, status FROM findings {where}",
        values, lambda row: row,
    )  # fmt: skip
    policies: dict[Name, list[Policy]] = defaultdict(list)
    for name, policy in _policies(store, where, values):
        policies[name].append(policy)
    names = {*grants, *tags, *scans, *filters, *found, *policies}
    return {
        name: Facts(
            frozenset(grants.get(name, ())),
            tuple(policies.get(name, ())),
            tuple(RowFilter(row[0], row[1], name, row[2], bool(row[3])) for row in filters.get(name, ())),
            {column: frozenset(words) for column, words in _by_first(tags.get(name, ())).items()},
            {
                column: tuple(Finding(name, column, *rest) for rest in rows)
                for column, rows in _by_first([(row[0], row[1:]) for row in found.get(name, ())]).items()
            },
            dict(scans.get(name, ())),
        )
        for name in names
    }


def _grouped(
    store: Store, rest: str, values: tuple[object, ...], make: Callable[[tuple[Any, ...]], Any]
) -> dict[Name, list[Any]]:
    grouped: dict[Name, list[Any]] = defaultdict(list)
    for schema, table, *row in store.rows(f"SELECT table_schema, table_name, {rest}", values):
        grouped[Name(schema, table)].append(make(tuple(row)))
    return grouped


def _by_first(pairs: Iterable[tuple[str, Any]]) -> dict[str, list[Any]]:
    grouped: dict[str, list[Any]] = defaultdict(list)
    for key, value in pairs:
        grouped[key].append(value)
    return grouped


def _policies(store: Store, where: str, values: tuple[object, ...]) -> Iterable[tuple[Name, Policy]]:
    sql = (
        "SELECT table_schema, table_name, name, role, kind, column_name, word, action, options, replaces "
        f"FROM policies {where} ORDER BY name"
    )
    for schema, table, name, role, kind, column, word, action, options, replaces in store.rows(sql, values):
        target = Object(kind, schema, table, column, word)
        yield Name(schema, table), Policy(name, role, target, action, json.loads(options), bool(replaces))
