"""Who may do what, and what becomes of each column: the decisions, at one version of the policies.

A picture holds the roles and what is about the whole lake, schemas, tags and entities: a few rows. What is about one
table is read when a statement names it. So a lake of ten thousand tables costs a session nothing it does not name.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from neurolake.catalog.store import Store
from neurolake.governance import actions, facts
from neurolake.governance.facts import EVERY_ROLE, Facts, Finding, Policy, RowFilter
from neurolake.governance.objects import EVERY, LAKE, Object
from neurolake.identifiers import fold
from neurolake.query import Principal
from neurolake.sql.text import Name, words

ADMIN = "admin"
PRIVILEGES = ("read", "write", "create", "call", "admin")
"""`admin` on an object includes the others there. `create` is DDL, `call` runs procedures."""
DERIVED = "derived"
"""The status of a column of a governed role's view, which is as open as what it reads."""
NOT_GRANTED = "not granted"
WRITE_ONLY = "granted to be written, not to be read"
UNSCANNED = "not scanned since it came to be as it is, or the scan met no value of it, or too much to read all"
IN_DOUBT = "it has just been changed, and the metadata does not know it yet"
FORMERLY = (
    "policies, tags or findings from before the upgrade may be about it: an administrator sets them anew on this "
    "spelling, then grants the table by name"
)
WHOLE_KEPT_S = 30.0
"""How long a picture remembers the facts of every table."""
TABLES_KEPT_MAX = 2_000
"""How many tables' facts a picture remembers; what it forgets is read again."""
DECISIONS_KEPT_MAX = 1_000
"""How many decisions on a table a picture remembers, each for a role and for the columns as they were."""


@dataclass(frozen=True, slots=True)
class ColumnDecision:
    """What becomes of one column: `absent`, or an action of a policy with its options; and what it is said to hold."""

    column: str
    action: str
    options: Mapping[str, Any]
    policy: str | None
    reason: str
    finding: Finding | None = None


@dataclass(frozen=True, slots=True)
class TableDecision:
    """What becomes of one table: privileges on the whole of it, its columns in order, and the filters of its rows.

    A row is seen where every filter is true. Where `privileges` is empty and every column absent, `reason` says why.
    """

    privileges: frozenset[str]
    columns: tuple[ColumnDecision, ...]
    filters: tuple[RowFilter, ...]
    reason: str


class Access:
    """An immutable picture of roles, grants, policies, tags and findings, at one version. Cheap to make."""

    def __init__(
        self,
        version: int,
        store: Store,
        unsettled: Callable[[Name], bool] = lambda name: False,
        derived: Callable[[Name], bool] = lambda name: False,
    ) -> None:
        self.version = version
        self._store = store
        self._unsettled = unsettled
        self._derived = derived
        self._inherits: dict[str, list[str]] = {role: [] for (role,) in store.rows("SELECT role FROM roles")}
        for role, inherited in store.rows("SELECT role, inherited FROM role_inherits ORDER BY 1, 2"):
            self._inherits[role].append(inherited)
        sql = "SELECT role, privilege, kind, table_schema FROM grants WHERE table_name = ''"
        self._wide_grants = {(r, p, Object(kind, schema)) for r, p, kind, schema in store.rows(sql)}
        self.wide_policies: dict[Object, list[Policy]] = {}
        for policy in facts.wide_policies(store):
            self.wide_policies.setdefault(policy.target, []).append(policy)
        self.checks_results = any(target.kind == "result" for target in self.wide_policies)
        self.checks_literals = any(target.kind == "literal" for target in self.wide_policies)
        sql = "SELECT table_schema, tag FROM tags WHERE table_name = ''"
        self._schema_tags: set[tuple[str, str]] = {(schema, tag) for schema, tag in store.rows(sql)}
        self._lineages: dict[str, tuple[str, ...]] = {}
        self._facts: dict[Name, Facts] = {}
        self._decided: dict[tuple[object, ...], tuple[Facts, TableDecision]] = {}
        self._whole_until = 0.0
        self._words_found: frozenset[str] | None = None

    @property
    def roles(self) -> tuple[str, ...]:
        """Every role there is."""
        return (ADMIN, *sorted(self._inherits))

    def roles_of(self, role: str) -> tuple[str, ...]:
        """A role, then all that it inherits; nothing for one that is not there."""
        role = role.casefold()
        if (known := self._lineages.get(role)) is not None:
            return known
        found: list[str] = []
        pending = [role] if role in self._inherits or role == ADMIN else []
        while pending:
            if (one := pending.pop(0)) not in found:
                found.append(one)
                pending += self._inherits.get(one, ())
        return self._lineages.setdefault(role, tuple(found))

    def facts(self, table: Name) -> Facts:
        """What is known about one table."""
        name = table.fold()
        if self._whole_until and self._whole_until < time.monotonic():
            self._facts, self._whole_until = {}, 0.0
        found = self._facts.get(name)
        if found is None:
            if len(self._facts) >= TABLES_KEPT_MAX:
                self._facts.clear()
            found = self._facts[name] = facts.read(self._store, name)
        return found

    @property
    def words_found(self) -> frozenset[str]:
        """Every word of the names of tables that have findings: a text without one of them is about no finding."""
        if self._words_found is None:
            self._words_found = frozenset(chain.from_iterable(words(name) for name in facts.found_in(self._store)))
        return self._words_found

    def tags_of_schema(self, schema: str) -> frozenset[str]:
        """The tags of a schema, which hold for every column in it."""
        return frozenset(tag for of, tag in self._schema_tags if of == schema)

    def read_all(self) -> None:
        """Read the facts of every table at once, for who lists the whole catalog; they are kept for a while."""
        if not isinstance(self._facts, _Whole):
            self._facts = _Whole(facts.read_all(self._store))
            self._whole_until = time.monotonic() + WHOLE_KEPT_S

    def sees(self, principal: Principal, table: Name) -> bool:
        """Whether a principal may read a table or any column of it: whether they may know that it is there."""
        roles = self.roles_of(principal.role)
        return self.may(principal, "read", Object.of(table)) or any(
            role in roles and privilege in ("read", ADMIN) for role, privilege, _ in self.facts(table).grants
        )

    def may(self, principal: Principal, privilege: str, on: Object | str = LAKE) -> bool:
        """Whether the active role, or one that it inherits, has a privilege on an object or on what contains it."""
        if principal.is_admin:
            return True
        target = Object.parse(on) if isinstance(on, str) else on
        return any(
            self._granted(role, wanted, one)
            for one in target.above()
            for role in self.roles_of(principal.role)
            for wanted in {privilege, ADMIN}
        )

    def _granted(self, role: str, privilege: str, on: Object) -> bool:
        if on.kind in ("table", "column"):
            return (role, privilege, on.column) in self.facts(on.name).grants
        return (role, privilege, on) in self._wide_grants

    def decide(
        self, principal: Principal, table: Name, columns: Mapping[str, str], *, derived: bool | None = None
    ) -> TableDecision:
        """What becomes of a table for a principal.

        Args:
            principal: who asks, in which role.
            table: a managed table, a view or a source.
            columns: its columns as they are now, in order: names and DuckDB types.
            derived: whether it is a governed role's view, whose columns are as open as what they read; None asks.
        """
        if principal.is_admin:
            of = self.facts(table).finding
            open_ = tuple(ColumnDecision(column, "allow", {}, None, "admin", of(column)) for column in columns)
            return TableDecision(frozenset(PRIVILEGES), open_, (), "admin")
        name = table.fold()
        if self._unsettled(name):
            return _closed(columns, IN_DOUBT)
        known = self.facts(name)
        seen = self._derived(name) if derived is None else derived
        key = (principal.role, name, seen, *columns.items())
        facts_then, decision = self._decided.get(key, (None, None))
        if decision is None or facts_then is not known:
            decision = self._decide(principal, name, columns, known, seen=seen)
            if len(self._decided) >= DECISIONS_KEPT_MAX:
                self._decided.clear()
            self._decided[key] = known, decision
        return decision

    def _decide(
        self, principal: Principal, name: Name, columns: Mapping[str, str], known: Facts, *, seen: bool
    ) -> TableDecision:
        roles = self.roles_of(principal.role)
        if known.formerly and not any(role in roles for role, _, _ in known.grants):
            return _closed(columns, FORMERLY)
        if broken := self._broken(known, roles, columns):
            return _closed(columns, broken)
        on = Object.of(name)
        privileges = frozenset(p for p in PRIVILEGES if self.may(principal, p, on))
        met, readable = _Met(roles, on, known, self), "read" in privileges
        decided = tuple(
            self._column(met, known, column, kind, readable=readable, seen=seen) for column, kind in columns.items()
        )
        filters = tuple(_own_first(known.filters, roles))
        return TableDecision(privileges, decided, filters, _why(principal, privileges, decided))

    def shown_policy(self, principal: Principal, place: str, kind: str) -> Policy | None:
        """What is said of personal data of a kind that shows itself only in a place: the rows of a `result`, or the
        `literal`s of a statement; None: nothing. What is said of the kind counts before what is said of all kinds.
        """
        roles = self.roles_of(principal.role)
        for word in (kind, EVERY):
            meant: list[Policy] = _own_first(self.wide_policies.get(Object(place, word=word), ()), roles)
            if meant:
                return max(meant, key=lambda policy: (actions.SHOWN_RANKS[place][policy.action], policy.name))
        return None

    def _broken(self, known: Facts, roles: tuple[str, ...], columns: Mapping[str, str]) -> str | None:
        there = {fold(column) for column in columns}
        for policy in known.policies:
            if policy.target.column and policy.target.column not in there and _meant(policy.role, roles):
                return (
                    f"the policy {policy.name} names the column {policy.target.column}, which is not there: "
                    "an administrator drops the policy, or sets it anew"
                )
        return None

    def _column(
        self, met: _Met, known: Facts, column: str, data_type: str, *, readable: bool, seen: bool
    ) -> ColumnDecision:
        folded = fold(column)
        if not readable and not any(
            (role, privilege, folded) in known.grants for role in met.roles for privilege in ("read", ADMIN)
        ):
            written = any((role, "write", folded) in known.grants for role in met.roles)
            return ColumnDecision(column, actions.ABSENT, {}, None, WRITE_ONLY if written else NOT_GRANTED)
        status = known.status(folded, data_type)
        if status == "unscanned" and seen:
            status = DERIVED
        if status == "unscanned":
            return ColumnDecision(column, actions.ABSENT, {}, None, UNSCANNED)
        found, finding = self._matches(met, known, folded, data_type), known.finding(folded)
        if not found:
            return ColumnDecision(column, "allow", {}, None, status, finding)
        action, options, policy, reason = actions.strictest(found)
        return ColumnDecision(column, actions.ABSENT if action == "block" else action, options, policy, reason, finding)

    def _matches(
        self, met: _Met, known: Facts, column: str, data_type: str
    ) -> list[tuple[str, Mapping[str, Any], str | None]]:
        """(action, options, policy) of everything that has a say in a column."""
        on_it = met.by_column.get(column, ())
        policies = [*met.everywhere, *on_it]
        spoken_of = bool(on_it)
        for tag in known.tags.get(column, ()):
            meant = met.at(self.wide_policies, Object("tag", word=tag))
            policies += meant if tag not in met.tags_of_all else ()
            spoken_of |= bool(meant)
        found: list[tuple[str, Mapping[str, Any], str | None]] = []
        if column in known.findings:
            for entity in known.entities(column):
                meant = met.at(self.wide_policies, Object("entity", word=entity))
                policies += meant
                if not meant and not spoken_of:
                    found.append(("null", {}, None))
            if known.in_doubt(column) and not on_it:
                found.append(("null", {}, None))
        for policy in policies:
            keeps = actions.fits(policy.action, policy.options, data_type)
            found.append((policy.action, policy.options, policy.name) if keeps else ("null", {}, policy.name))
        return found


class _Met:
    """The policies that meet the columns of one table, for one line of roles."""

    def __init__(self, roles: tuple[str, ...], on: Object, known: Facts, access: Access) -> None:
        self.roles = roles
        self.tags_of_all = known.tags.get("", frozenset()) | access.tags_of_schema(on.schema)
        self.everywhere: list[Policy] = []
        self.by_column: dict[str, list[Policy]] = {}
        wide = access.wide_policies
        for target in (LAKE, Object("schema", on.schema), *(Object("tag", word=tag) for tag in self.tags_of_all)):
            self.everywhere += self.at(wide, target)
        own: dict[Object, list[Policy]] = {}
        for policy in known.policies:
            own.setdefault(policy.target, []).append(policy)
        self.everywhere += self.at(own, on)
        for target in own:
            if target.column:
                self.by_column[target.column] = self.at(own, target)

    def at(self, policies: Mapping[Object, Sequence[Policy]], target: Object) -> list[Policy]:
        """Those on one target that are meant for the roles."""
        return _own_first(policies.get(target, ()), self.roles)


class _Whole(dict[Name, Facts]):
    """The facts of every table; one that is not there has none."""

    def __missing__(self, name: Name) -> Facts:
        return facts.NOTHING

    def get(self, name: Name, default: Any = None) -> Any:
        return self[name]


def _meant(role: str, roles: tuple[str, ...]) -> bool:
    return role in (EVERY_ROLE, *roles)


def _own_first(found: Iterable[Any], roles: tuple[str, ...]) -> list[Any]:
    """What is meant for a role: where it has its own on the same target, that replaces what it would inherit."""
    meant = [one for one in found if _meant(one.role, roles)]
    own = [one for one in meant if roles and one.role == roles[0]]
    return own if any(one.replaces for one in own) else meant


def _closed(columns: Iterable[str], reason: str) -> TableDecision:
    absent = tuple(ColumnDecision(column, actions.ABSENT, {}, None, reason) for column in columns)
    return TableDecision(frozenset(), absent, (), reason)


def _why(principal: Principal, privileges: frozenset[str], columns: tuple[ColumnDecision, ...]) -> str:
    if any(column.action != actions.ABSENT for column in columns):
        return f"granted to {principal.role}"
    if "read" not in privileges and not any(c.reason not in (NOT_GRANTED, WRITE_ONLY) for c in columns):
        return f"the role {principal.role} may not read it" if principal.role else "no role is active"
    return "no column of it is open: each is blocked, or was not scanned or confirmed since it came to be as it is"
