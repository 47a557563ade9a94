"""Decisions against a naive model: what a role sees of a table, by the rules as the page on governance states them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from neurolake.catalog.store import Store
from neurolake.governance import actions
from neurolake.governance.classification import Finding
from neurolake.governance.model import Governance
from neurolake.governance.objects import Object
from neurolake.governance.policies import Policies
from neurolake.governance.roles import Roles
from neurolake.query import OWNER, Principal
from neurolake.sql.text import Name

TABLES = (Name("main", "People"), Name("sales", "people"))
TYPES = {"Id": "BIGINT", "Mail": "VARCHAR", "Born": "DATE"}
ROLES = ("base", "staff", "analyst", "auditor")
TAGS = ("secret", "internal")
ENTITIES = ("EMAIL_ADDRESS", "PERSON")
ORDER = ("block", "null", "constant", "redact", "token", "partial", "date_shift", "allow")
"""From the most restrictive on; of those of equal rank one stands here, and `EQUAL` has the rest."""
EQUAL = ("partial", "bucket", "date_trunc", "ip_prefix", "postcode")
KEEPS = {
    "VARCHAR": {"redact", "token", "partial", "ip_prefix", "postcode"},
    "BIGINT": {"bucket"},
    "DATE": {"date_trunc", "date_shift"},
}


@dataclass
class World:
    """What was said, as plain lists."""

    inherits: dict[str, list[str]] = field(default_factory=dict)
    grants: set[tuple[str, str, str]] = field(default_factory=set)
    policies: dict[str, tuple[str, str, str, dict[str, Any]]] = field(default_factory=dict)
    filters: dict[str, tuple[str, Name, str]] = field(default_factory=dict)
    tags: set[tuple[str, str]] = field(default_factory=set)
    entities: dict[tuple[Name, str], dict[str, bool]] = field(default_factory=dict)
    """By column what it holds, and whether that is sure."""
    looked: set[tuple[Name, str]] = field(default_factory=set)

    # The rules, one sentence each

    def lineage(self, role: str) -> set[str]:
        """A role and all that it inherits."""
        found = {role}
        for above in self.inherits.get(role, ()):
            found |= self.lineage(above)
        return found

    def where(self, table: Name, column: str | None) -> list[str]:
        """What an object is, and what contains it."""
        names = ["lake", f"schema:{table.schema}", f"table:{table.schema}.{table.table}"]
        return names + ([f"column:{table.schema}.{table.table}.{column}"] if column else [])

    def may(self, role: str, privilege: str, table: Name, column: str | None) -> bool:
        return any(
            (one, wanted, on) in self.grants
            for one in self.lineage(role)
            for wanted in (privilege, "admin")
            for on in self.where(table, column)
        )

    def targets(self, table: Name, column: str) -> list[str]:
        """What a policy can name so that it meets a column."""
        tags = {tag for on, tag in self.tags if on in self.where(table, column)}
        held = self.entities.get((table, column), {})
        return [*self.where(table, column), *(f"tag:{t}" for t in tags), *(f"entity:{e}" for e in held)]

    def column(self, role: str, table: Name, column: str) -> tuple[str, dict[str, Any]]:
        """The action on a column, with its options."""
        if not self.may(role, "read", table, column) or (table, column) not in self.looked:
            return "absent", {}
        said: list[tuple[str, dict[str, Any]]] = []
        for target in self.targets(table, column):
            here = [p for p in self.policies.values() if p[1] == target]
            own = [p for p in here if p[0] == role]
            inherited = [p for p in here if p[0] == "*" or p[0] in self.lineage(role)]
            for _, _, action, options in own or inherited:
                fits = action in ("allow", "null", "block") or action in KEEPS[TYPES[column]]
                if action == "constant":
                    fits = isinstance(options["value"], int) == (TYPES[column] == "BIGINT") and column != "Born"
                said.append((action, options) if fits else ("null", {}))
        held = self.entities.get((table, column), {})
        itself = self.where(table, column)[-1]
        tags = {f"tag:{tag}" for on, tag in self.tags if on == itself}
        meant = {p[1] for p in self.policies.values() if p[0] == "*" or p[0] in self.lineage(role)}
        if any(f"entity:{entity}" not in meant for entity in held) and not meant & {itself, *tags}:
            said.append(("null", {}))
        if not all(held.values()) and itself not in meant:
            said.append(("null", {}))
        for rank in ORDER:
            most = [s for s in said if s[0] == rank or (rank == "partial" and s[0] in EQUAL)]
            if most:
                same = all(one == most[0] for one in most)
                action, options = most[0] if same else ("null", {})
                return ("absent", {}) if action == "block" else (action, options)
        return "allow", {}

    def rows(self, role: str, table: Name) -> set[str]:
        """The conditions of the rows."""
        here = [f for f in self.filters.values() if f[1] == table]
        own = [f for f in here if f[0] == role]
        return {condition for of, _, condition in own or here if own or of == "*" or of in self.lineage(role)}


@contextmanager
def governance() -> Iterator[Governance]:
    """Governance of a lake in memory."""
    store = Store(None)
    made = Governance(store)
    yield made
    made.close()
    store.close()


role_names = st.sampled_from(ROLES)
objects = st.one_of(
    st.just("lake"),
    st.sampled_from(TABLES).map(lambda t: f"schema:{t.schema}"),
    st.sampled_from(TABLES).map(lambda t: f"table:{t.schema}.{t.table}"),
    st.tuples(st.sampled_from(TABLES), st.sampled_from(list(TYPES))).map(
        lambda pair: f"column:{pair[0].schema}.{pair[0].table}.{pair[1]}"
    ),
)
targets = st.one_of(
    objects, st.sampled_from(TAGS).map("tag:{}".format), st.sampled_from(ENTITIES).map("entity:{}".format)
)
deeds = st.one_of(
    st.tuples(st.just("constant"), st.fixed_dictionaries({"value": st.sampled_from([0, 1, "x"])})),
    st.tuples(st.just("partial"), st.fixed_dictionaries({"last": st.integers(1, 2)})),
    st.tuples(st.just("bucket"), st.fixed_dictionaries({"width": st.sampled_from([10, 100])})),
    st.tuples(st.sampled_from(list(actions.RANKS.keys() - {"constant", "partial", "bucket"})), st.just({})),
)
findings = st.tuples(
    st.sampled_from(TABLES), st.sampled_from(list(TYPES)), st.sampled_from(ENTITIES), st.sampled_from([0.5, 0.95])
)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    world = World()
    for place, role in enumerate(ROLES):
        world.inherits[role] = draw(st.lists(st.sampled_from(ROLES[:place]), unique=True)) if place else []
    world.grants = draw(
        st.sets(st.tuples(role_names, st.sampled_from(["read", "write", "admin"]), objects), max_size=6)
    )
    for number in range(draw(st.integers(0, 7))):
        action, options = draw(deeds)
        role, target = draw(st.one_of(role_names, st.just("*"))), draw(targets)
        world.policies[f"p{number}"] = (role, target, action, actions.check(action, options))
    for number in range(draw(st.integers(0, 4))):
        role, table = draw(st.one_of(role_names, st.just("*"))), draw(st.sampled_from(TABLES))
        world.filters[f"f{number}"] = (role, table, f"id > {number}")
    world.tags = draw(st.sets(st.tuples(objects.filter(lambda on: on != "lake"), st.sampled_from(TAGS)), max_size=4))
    for table, column, entity, confidence in draw(st.lists(findings, max_size=5)):
        world.entities.setdefault((table, column), {}).setdefault(entity, confidence > 0.8)
    world.looked = {(table, c) for table in TABLES for c in TYPES if draw(st.integers(0, 4))} | set(world.entities)
    return world


def build(world: World, made: Governance) -> None:
    """Say all of it."""
    roles, policies = Roles(made, OWNER, ""), Policies(made, OWNER, "")
    for role, above in world.inherits.items():
        roles.create(role, above)
    for role, privilege, on in world.grants:
        roles.grant(privilege, Object.parse(on), role)
    for name, (role, target, action, options) in world.policies.items():
        policies.set_policies([policies.checked(name, role, Object.parse(target), action, options)])
    for name, (role, table, condition) in world.filters.items():
        policies.set_row_filter(name, role, Object.of(table), condition)
    for on, tag in world.tags:
        made.classification.tag(Object.parse(on), [tag])
    for table in TABLES:
        looked = {column: kind for column, kind in TYPES.items() if (table, column) in world.looked}
        found = [
            Finding(table, column, entity, 0.95 if sure else 0.5, "share", 1.0, 10, "test")
            for (of, column), held in world.entities.items()
            for entity, sure in held.items()
            if of == table
        ]
        made.classification.record(table, looked, found)


@settings(max_examples=150, deadline=None)
@given(worlds())
def test_a_decision_is_what_the_rules_say(world: World) -> None:
    with governance() as made:
        build(world, made)
        access = made.access
        for role in (*ROLES, "nobody"):
            for table in TABLES:
                decision = access.decide(Principal("ann", role), table, TYPES)
                lineage = world.lineage(role)
                assert set(access.roles_of(role)) == (lineage if role in ROLES else set())
                assert {(c.column, c.action, tuple(sorted(c.options.items()))) for c in decision.columns} == {
                    (column, action, tuple(sorted(options.items())))
                    for column in TYPES
                    for action, options in [world.column(role, table, column)]
                }
                assert {one.condition for one in decision.filters} == (
                    world.rows(role, table)
                    if role in ROLES
                    else {c for r, t, c in world.filters.values() if r == "*" and t == table}
                )
                for privilege in ("read", "write", "create"):
                    assert (privilege in decision.privileges) == world.may(role, privilege, table, None)


@settings(max_examples=60, deadline=None)
@given(worlds(), st.sampled_from(TABLES))
def test_a_new_table_of_an_old_name_is_closed_and_no_less_protected(world: World, table: Name) -> None:
    """Dropped and made anew, granted anew and scanned as before, it shows no role more than it showed before."""
    ranks = {**actions.RANKS, "absent": 7}
    with governance() as made:
        build(world, made)
        before = {role: made.access.decide(Principal("ann", role), table, TYPES) for role in ROLES}
        with made.store.durable() as db:
            made.follow(db, [_event("DROP TABLE", table), _event("CREATE TABLE", table)])
        made.moved()
        for role in ROLES:
            after = made.access.decide(Principal("ann", role), table, TYPES)
            assert all(column.action == "absent" for column in after.columns)
        roles = Roles(made, OWNER, "")
        for role, privilege, on in world.grants:
            roles.grant(privilege, Object.parse(on), role)
        looked = {column: kind for column, kind in TYPES.items() if (table, column) in world.looked}
        found = [
            Finding(table, column, entity, 0.95 if sure else 0.5, "share", 1.0, 10, "test")
            for (of, column), held in world.entities.items()
            for entity, sure in held.items()
            if of == table
        ]
        made.classification.record(table, looked, found)
        for role in ROLES:
            after = made.access.decide(Principal("ann", role), table, TYPES)
            for old, new in zip(before[role].columns, after.columns, strict=True):
                assert ranks[new.action] >= ranks[old.action]
            assert {f.condition for f in before[role].filters} <= {f.condition for f in after.filters}


def _event(verb: str, table: Name) -> Any:
    from neurolake.catalog import Event

    return Event(verb, "", verb, ".".join(table), "somebody", 0.0)
