"""Short queries: what one costs the server, how many connections change, and a look-up of one row in a million."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from contextlib import ExitStack
from statistics import median
from typing import Any

from benchmarks import measure
from benchmarks.bench import Bench, Figure
from benchmarks.processes import Server, Worker

__all__ = ["lookup", "lookup_throughput", "single", "throughput"]

_CPU_RATIO_MAX = 2.0
_SCALING_MIN = 0.95
_CONNECTIONS = (1, 8, 64)
_LOAD_ROUNDS = 5
_CONSTANT = "a pyarrow.flight server that answers the same RPCs with a constant"


def single(bench: Bench) -> list[Figure]:
    """SELECT <n> over one connection: the server's CPU for one query."""
    figure = _cost(bench, "select")
    return [Figure(name="SELECT n: server CPU", against=_CONSTANT, target=_CPU_RATIO_MAX, **figure)]


def lookup(bench: Bench) -> list[Figure]:
    """One row of a million by its id, over one connection: the server's CPU for one query."""
    return [Figure(name="point look-up: server CPU", against=_CONSTANT, **_cost(bench, "point"))]


def _cost(bench: Bench, kind: str) -> dict[str, Any]:
    """The value and raw figures of a short query's cost; all sides are told apart by their processes' CPU."""
    first = itertools.count(1_000_000, bench.queries)
    with ExitStack() as stack:
        server = stack.enter_context(bench.serving(bench.loaded_home))
        constant = stack.enter_context(bench.bare("constant"))
        client, engine = stack.enter_context(bench.workers(2))
        engine.run("open", name="plain", path=str(bench.plain_database))
        server.connect(client, "server")
        constant.connect(client, "constant")

        def over(side: Server, name: str) -> dict[str, float]:
            return _cpu_of(side, client, "short", name=name, kind=kind, first=next(first), count=bench.queries)

        def in_process() -> dict[str, float]:
            return engine.run("short_in_process", name="plain", kind=kind, first=next(first), count=bench.queries)

        sides: dict[str, Callable[[], dict[str, float]]] = {
            "server": lambda: over(server, "server"),
            "constant": lambda: over(constant, "constant"),
            "engine": in_process,
        }
        measure.interleaved(1, sides)
        rounds = measure.interleaved(bench.rounds, sides)
    costs_s = {name: [side["server_cpu_s"] for side in rounds[name]] for name in ("server", "constant")}
    ms = 1_000
    raw = {
        "server_cpu_ms": median(costs_s["server"]) * ms,
        "constant_cpu_ms": median(costs_s["constant"]) * ms,
        "p50_ms": median(side["p50_s"] for side in rounds["server"]) * ms,
        "p99_ms": median(side["p99_s"] for side in rounds["server"]) * ms,
        "constant_p50_ms": median(side["p50_s"] for side in rounds["constant"]) * ms,
        "in_process_p50_ms": median(side["p50_s"] for side in rounds["engine"]) * ms,
    }
    return {"value": measure.median_ratio(costs_s["server"], costs_s["constant"]), "raw": raw}


def _cpu_of(server: Server, client: Worker, job: str, **arguments: Any) -> dict[str, float]:
    """A job's answer with the CPU the server spent on each query of it."""
    before_s = server.settled_cpu_s()
    answer = client.run(job, **arguments)
    return answer | {"server_cpu_s": (server.settled_cpu_s() - before_s) / answer["count"]}


def throughput(bench: Bench) -> list[Figure]:
    """SELECT <n> over 1, 8 and 64 connections, spread over several client processes."""
    return [_throughput(bench, "select", "SELECT n", target=_SCALING_MIN)]


def lookup_throughput(bench: Bench) -> list[Figure]:
    """One row of a million by its id over 1, 8 and 64 connections."""
    return [_throughput(bench, "point", "point look-up")]


def _throughput(bench: Bench, kind: str, shown: str, *, target: float | None = None) -> Figure:
    first = itertools.count(100_000_000, 10_000_000)
    with ExitStack() as stack:
        server = stack.enter_context(bench.serving(bench.loaded_home))
        # One client process cannot load a server: its own interpreter lock would be measured.
        clients = stack.enter_context(bench.workers(min(8, 2 * measure.cores())))
        spread = {count: clients[: min(count, len(clients))] for count in _CONNECTIONS}
        for count, workers in spread.items():
            for worker in workers:
                server.connect(worker, str(count), count // len(workers))

        def side(count: int) -> Callable[[], float]:
            return lambda: _load(spread[count], str(count), kind, next(first), bench.load_s)

        sides = {str(count): side(count) for count in _CONNECTIONS}
        measure.interleaved(1, sides)
        rates = measure.interleaved(max(bench.rounds, _LOAD_ROUNDS), sides)
    few, many = rates["8"], rates["64"]
    return Figure(
        name=f"{shown}: throughput of 64 connections",
        against="8 connections",
        value=measure.median_ratio(many, few),
        target=target,
        at_least=True,
        raw={f"at_{name}_per_s": median(values) for name, values in rates.items()},
    )


def _load(workers: list[Worker], name: str, kind: str, first: int, duration_s: float) -> float:
    """Queries a second over all the connections of a name."""
    for number, worker in enumerate(workers):
        worker.ask("load", name=name, kind=kind, first=first + number, step=len(workers), duration_s=duration_s)
    answers = [worker.take() for worker in workers]
    return float(sum(answer["count"] for answer in answers)) / duration_s
