"""What roles and masks cost: the same statements by an analyst, under policies, and by an administrator, under none."""

from __future__ import annotations

import dataclasses
import itertools
import secrets
from collections.abc import Callable
from contextlib import ExitStack
from statistics import median
from typing import Any

from benchmarks import measure
from benchmarks.bench import Bench, Figure
from benchmarks.jobs import PERSON_ROWS
from benchmarks.processes import Server, Worker
from benchmarks.workload import literal

__all__ = ["governed"]

_AGGREGATE_RATIO_MAX, _EXPORT_RATIO_MAX, _PLANNING_MS_MAX = 1.05, 3.0, 1.0
_ROWS = 1_000_000
_REPEATS = {"aggregate": 10, "export": 1, "tokens": 1}
"""How often a statement runs in one round, so that it costs far more than the 10 ms in which CPU is charged."""
_AGAINST = "the same statements on the same server by an administrator"

_PERSON = {
    "id": "i", "kind": "'kind ' || (i % 7)", "amount": "i * 0.5",
    "name": "'Person Number ' || (i % 100003)", "email": "'user' || i || '@example.com'",
    "phone": "'+49 30 ' || (1000000 + i)", "postcode": "(10000 + i % 89999)::VARCHAR",
    "ip": "'10.' || (i % 200) || '.' || (i % 251) || '.' || (i % 256)",
    "code": "'C-' || (i * 7919 % 1000003)",
    "born": "DATE '1950-01-01' + (i % 20000)::INTEGER", "salary": "20000 + i * 7919 % 90000",
}  # fmt: skip
_MASKS = {
    "name": "'partial', {'first': 1}", "email": "'partial', {'email': true}", "phone": "'partial', {'last': 4}",
    "ip": "'ip_prefix'", "postcode": "'postcode'", "born": "'date_trunc'", "salary": "'bucket', {'width': 1000}",
}  # fmt: skip
"""Seven columns, each masked in another way; what a token costs is published beside them."""

_STATEMENTS = {
    "aggregate": "SELECT l_returnflag, l_linestatus, sum(l_quantity), sum(l_extendedprice * (1 - l_discount)), count(*)"
    " FROM lineitem WHERE l_shipdate <= DATE '1998-09-02' GROUP BY ALL",
    "export": f"SELECT {', '.join(_MASKS)} FROM persons",
    "tokens": "SELECT id, code FROM persons",
}
_FRESH = {"person": "planning of a fresh statement", "person_shape": "planning of a fresh statement of a new form"}


def governed(bench: Bench) -> list[Figure]:
    """An aggregate that touches no mask, an export of seven masked columns, and the planning of fresh statements."""
    with ExitStack() as stack:
        server = stack.enter_context(bench.serving(bench.loaded_home))
        (client,) = stack.enter_context(bench.workers(1))
        server.connect(client, "admin", autocommit=True)
        analyst = {"username": "analyst", "password": secrets.token_urlsafe(18)}
        client.run("execute", name="admin", statements=_rules(bench, analyst["password"]))
        server.connect(client, "admin")
        dataclasses.replace(server, options=analyst).connect(client, "analyst")
        figures = [
            _ratio(bench, server, client, "aggregate", "governed aggregate, no masked column", _AGGREGATE_RATIO_MAX),
            _ratio(bench, server, client, "export", "export of seven masked columns", _EXPORT_RATIO_MAX),
            _ratio(bench, server, client, "tokens", "export of an id and a keyed token", None),
        ]
        return figures + [_planning(bench, server, client, kind) for kind in _FRESH]


def _rules(bench: Bench, password: str) -> list[str]:
    """The table, and who may see what of it and of lineitem."""
    rows = max(PERSON_ROWS, int(_ROWS * bench.scale))
    columns = ", ".join(f"{made} AS {name}" for name, made in _PERSON.items())
    return [
        f"CREATE OR REPLACE TABLE persons AS SELECT {columns} FROM range({rows}) n(i)",
        "CALL neurolake.create_role('analyst')",
        f"CALL neurolake.create_user('analyst', {literal(password)}, ['analyst'])",
        *(f"CALL neurolake.set_pii('{table}', null, 'confirmed')" for table in ("persons", "lineitem")),
        *(f"CALL neurolake.grant('read', '{table}', 'analyst')" for table in ("persons", "lineitem")),
        "CALL neurolake.set_policy('comment', 'analyst', 'column:lineitem.l_comment', 'redact')",
        *(
            f"CALL neurolake.set_policy('{column}', 'analyst', 'column:persons.{column}', {mask})"
            for column, mask in {**_MASKS, "code": "'token'"}.items()
        ),
    ]


def _ratio(bench: Bench, server: Server, client: Worker, kind: str, name: str, target: float | None) -> Figure:
    """A statement's cost to the server for the one over the other."""

    def side(who: str) -> Callable[[], float]:
        return lambda: _server_cpu_s(server, client, "repeat", name=who, sql=_STATEMENTS[kind], count=_REPEATS[kind])

    rounds = _rounds(bench, side)
    return Figure(
        name=f"{name}: server CPU",
        against=_AGAINST,
        value=measure.median_ratio(rounds["analyst"], rounds["admin"]),
        target=target,
        raw={f"{who}_cpu_s": median(costs) for who, costs in rounds.items()},
    )


def _planning(bench: Bench, server: Server, client: Worker, kind: str) -> Figure:
    """What a statement of a text that is new costs the server for the one more than for the other."""
    first = itertools.count(1_000_000, bench.queries)

    def side(who: str) -> Callable[[], float]:
        return lambda: _server_cpu_s(
            server, client, "short", name=who, kind=kind, first=next(first), count=bench.queries
        )

    rounds = _rounds(bench, side)
    added_ms = [(ours - theirs) * 1_000 for ours, theirs in zip(rounds["analyst"], rounds["admin"], strict=True)]
    return Figure(
        name=f"{_FRESH[kind]}, governed: server CPU added",
        against=_AGAINST,
        value=median(added_ms),
        unit="ms",
        target=_PLANNING_MS_MAX,
        raw={f"{who}_cpu_ms": median(costs) * 1_000 for who, costs in rounds.items()},
    )


def _rounds(bench: Bench, side: Callable[[str], Callable[[], float]]) -> dict[str, list[float]]:
    sides = {who: side(who) for who in ("analyst", "admin")}
    measure.interleaved(1, sides)
    return measure.interleaved(bench.rounds, sides)


def _server_cpu_s(server: Server, client: Worker, job: str, count: int, **arguments: Any) -> float:
    """The CPU the server spent on each of so many statements."""
    before_s = server.settled_cpu_s()
    client.run(job, count=count, **arguments)
    return (server.settled_cpu_s() - before_s) / count
