"""Fetch all of lineitem through the stock driver, from a managed table and from Parquet."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from benchmarks import measure
from benchmarks.bench import Bench, Figure
from benchmarks.processes import Server, Worker

__all__ = ["managed", "parquet"]

_MB = 1_000_000
_RATIO_MAX = 1.2
_GROWTH_MB_MAX = 300.0

_FLOOR = "floor: the larger of bare Flight's wall time and (CPU of engine + bare Flight + client) ÷ cores"


class _Round(NamedTuple):
    """One round: each side's wall time, and the CPU it cost on either end, in seconds."""

    wall_s: float
    client_cpu_s: float
    server_cpu_s: float


def managed(bench: Bench) -> list[Figure]:
    """From a managed table; and what the fetches add to the server's memory."""
    home = bench.loaded_home
    with bench.serving(home) as server:
        rounds, growth_mb = _fetches(bench, server, "SELECT * FROM lineitem", "SELECT * FROM lineitem")
    growth = Figure(
        name="bulk fetch: server memory",
        against="growth over the idle server that was just started",
        value=growth_mb,
        unit="MB",
        target=_GROWTH_MB_MAX,
    )
    return [_figure("bulk fetch, managed table", rounds, _RATIO_MAX), growth]


def parquet(bench: Bench) -> list[Figure]:
    """From a registered Parquet file; published without a target."""
    home, file = bench.home(), bench.workload.file("lineitem")
    with bench.serving(home) as server:
        with Worker() as registrar:
            server.connect(registrar, "server")
            call = f"CALL neurolake.register('lineitem_parquet', {_literal(file)})"
            registrar.run("execute", name="server", statements=[call])
        plain = f"SELECT * FROM read_parquet({_literal(file)})"
        rounds, growth_mb = _fetches(bench, server, "SELECT * FROM lineitem_parquet", plain)
    figure = _figure("bulk fetch, Parquet", rounds, None)
    return [
        Figure(
            name=figure.name,
            against=figure.against,
            value=figure.value,
            raw={**figure.raw, "memory_growth_mb": growth_mb},
        )
    ]


def _literal(path: Path) -> str:
    quoted = str(path).replace("'", "''")
    return f"'{quoted}'"


def _fetches(bench: Bench, server: Server, sql: str, plain_sql: str) -> tuple[dict[str, list[_Round]], float]:
    """Interleaved rounds of all three sides, and by how many MB the server grew."""
    file = str(bench.workload.file("lineitem"))
    with bench.bare("stream", file) as bare, bench.workers(2) as (client, engine):
        engine.run("open", name="plain", path=str(bench.plain_database))
        server.connect(client, "server")
        bare.connect(client, "bare")
        client.run("answer", name="server", sql="SELECT 1")
        idle = measure.rss_bytes(server.pid)
        sides: dict[str, Callable[[], _Round]] = {
            "server": lambda: _round(server, client, "fetch", name="server", sql=sql),
            "bare": lambda: _round(bare, client, "fetch", name="bare", sql=sql),
            "engine": lambda: _round(None, engine, "drain", name="plain", sql=plain_sql),
        }
        with measure.MemoryPeak(server.pid) as peak:
            measure.interleaved(1, sides)  # Unmeasured: everybody's first time is slower.
            rounds = measure.interleaved(bench.rounds, sides)
    return rounds, (peak.bytes - idle) / _MB


def _round(server: Server | None, worker: Worker, job: str, **arguments: Any) -> _Round:
    before_s = server.settled_cpu_s() if server else 0.0
    answer = worker.run(job, **arguments)
    after_s = server.settled_cpu_s() if server else 0.0
    return _Round(answer["wall_s"], answer["cpu_s"], after_s - before_s)


def _figure(name: str, rounds: dict[str, list[_Round]], target: float | None) -> Figure:
    floors_s = [
        measure.bulk_floor_s(bare.wall_s, [engine.client_cpu_s, bare.server_cpu_s, bare.client_cpu_s], measure.cores())
        for bare, engine in zip(rounds["bare"], rounds["engine"], strict=True)
    ]
    walls_s = [side.wall_s for side in rounds["server"]]
    return Figure(
        name=name,
        against=_FLOOR,
        value=measure.median_ratio(walls_s, floors_s),
        target=target,
        raw={
            "wall_s": median(walls_s),
            "floor_s": median(floors_s),
            "in_process_wall_s": median(side.wall_s for side in rounds["engine"]),
            "bare_wall_s": median(side.wall_s for side in rounds["bare"]),
            "engine_cpu_s": median(side.client_cpu_s for side in rounds["engine"]),
            "bare_cpu_s": median(side.server_cpu_s for side in rounds["bare"]),
            "client_cpu_s": median(side.client_cpu_s for side in rounds["bare"]),
            "server_cpu_s": median(side.server_cpu_s for side in rounds["server"]),
        },
    )
