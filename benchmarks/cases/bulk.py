"""Fetch all of lineitem through the stock driver, from a managed table and from Parquet."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from typing import Any, NamedTuple

from benchmarks import measure
from benchmarks.bench import Bench, Figure
from benchmarks.processes import JobFailed, Server, Worker
from benchmarks.workload import literal

__all__ = ["managed", "parquet"]

_MB = 1_000_000
_RATIO_MAX = 1.2
_GROWTH_MB_MAX = 300.0

_FLOOR = "floor: the larger of bare Flight's wall time and (CPU of engine + bare Flight + client) ÷ cores"


class _Round(NamedTuple):
    """One side of a round: its rows, its wall time, and the CPU it cost on either end, in seconds."""

    rows: int
    wall_s: float
    client_cpu_s: float
    server_cpu_s: float


class _Memory(NamedTuple):
    """Resident memory of the server, MB: after its first query, and at most during the fetches."""

    idle: float
    peak: float

    @property
    def growth(self) -> float:
        return self.peak - self.idle


def managed(bench: Bench) -> list[Figure]:
    """Fetch lineitem from a managed table; and what the fetches add to the server's memory."""
    home = bench.loaded_home
    with bench.serving(home) as server:
        rounds, memory_mb = _fetches(bench, server, "SELECT * FROM lineitem", "SELECT * FROM lineitem")
    growth = Figure(
        name="bulk fetch: server memory",
        against="growth over the idle server that was just started",
        value=memory_mb.growth,
        unit="MB",
        target=_GROWTH_MB_MAX,
        raw={"idle_mb": memory_mb.idle, "peak_mb": memory_mb.peak},
    )
    return [_figure("bulk fetch, managed table", rounds, _RATIO_MAX), growth]


def parquet(bench: Bench) -> list[Figure]:
    """Fetch lineitem from a registered Parquet file; published without a target."""
    home, file = bench.home(), bench.workload.file("lineitem")
    with bench.serving(home) as server:
        with Worker() as registrar:
            server.connect(registrar, "server")
            call = f"CALL neurolake.register('lineitem_parquet', {literal(file)})"
            registrar.run("execute", name="server", statements=[call])
        plain = f"SELECT * FROM read_parquet({literal(file)})"
        rounds, memory_mb = _fetches(bench, server, "SELECT * FROM lineitem_parquet", plain)
    figure = _figure("bulk fetch, Parquet", rounds, None)
    return [
        Figure(
            name=figure.name,
            against=figure.against,
            value=figure.value,
            raw={**figure.raw, "memory_growth_mb": memory_mb.growth},
        )
    ]


def _fetches(bench: Bench, server: Server, sql: str, plain_sql: str) -> tuple[dict[str, list[_Round]], _Memory]:
    """Interleaved rounds of all three sides, and the server's memory meanwhile."""
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
    counts = {side.rows for name in sides for side in rounds[name]}
    if len(counts) != 1:
        raise JobFailed(f"The sides do not agree on the number of rows: {sorted(counts)}.")
    return rounds, _Memory(idle / _MB, peak.bytes / _MB)


def _round(server: Server | None, worker: Worker, job: str, **arguments: Any) -> _Round:
    before_s = server.settled_cpu_s() if server else 0.0
    answer = worker.run(job, **arguments)
    after_s = server.settled_cpu_s() if server else 0.0
    return _Round(answer["rows"], answer["wall_s"], answer["cpu_s"], after_s - before_s)


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
