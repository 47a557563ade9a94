"""TPC-H Q1 and Q6 on one Parquet file in S3, cold and again, against the same file on disk."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import NamedTuple

from benchmarks import measure
from benchmarks.bench import Bench, Figure
from benchmarks.processes import Worker
from benchmarks.s3_server import S3Server, s3_server
from benchmarks.workload import literal, queries

__all__ = ["cold_and_warm"]

_COLD_MAX = 2.5
_AGAIN_MAX = 1.2
_BUCKET = "benchmark"
_QUERIES = ("q01", "q06")


class _Pair(NamedTuple):
    """Both queries' wall time, seconds: in a process that has read nothing yet, and right after."""

    cold_s: float
    again_s: float


def cold_and_warm(bench: Bench) -> list[Figure]:
    """TPC-H Q1 and Q6 over S3, right after a start of the server and again."""
    file = bench.workload.file("lineitem")
    storage = bench.folder("s3")
    with s3_server(storage, bench.folder("log")) as s3, Worker() as client:
        s3.put(_BUCKET, "lineitem.parquet", file)
        remote = _home(bench, client, f"s3://{_BUCKET}/lineitem.parquet", s3)
        local = _home(bench, client, str(file), None)
        sides: dict[str, Callable[[], _Pair]] = {
            "s3": lambda: _pair(bench, client, remote),
            "local": lambda: _pair(bench, client, local),
        }
        rounds = measure.interleaved(bench.rounds, sides)
    shutil.rmtree(storage.parent, ignore_errors=True)
    return [
        _figure("S3: Q1 + Q6, cold", rounds, lambda pair: pair.cold_s, _COLD_MAX),
        _figure("S3: Q1 + Q6, again", rounds, lambda pair: pair.again_s, _AGAIN_MAX),
    ]


def _home(bench: Bench, client: Worker, location: str, s3: S3Server | None) -> Path:
    """A home where lineitem is registered."""
    home = bench.home()
    if s3 is not None:
        with (home / "neurolake.toml").open("a", encoding="utf-8") as settings:
            settings.write(f'\n[storage."s3://{_BUCKET}"]\n{s3.settings()}')
    with bench.serving(home) as server:
        server.connect(client, "server")
        call = f"CALL neurolake.register('lineitem', {literal(location)})"
        client.run("execute", name="server", statements=[call])
        client.run("disconnect", name="server")
    return home


def _pair(bench: Bench, client: Worker, home: Path) -> _Pair:
    texts = [queries()[name] for name in _QUERIES]
    with bench.serving(home) as server:
        server.connect(client, "server")
        client.run("answer", name="server", sql="SELECT 1")
        times_s = [sum(client.run("answer", name="server", sql=sql)["wall_s"] for sql in texts) for _ in range(2)]
        client.run("disconnect", name="server")
    return _Pair(*times_s)


def _figure(name: str, rounds: dict[str, list[_Pair]], time_s: Callable[[_Pair], float], target: float) -> Figure:
    remote_s, local_s = ([time_s(pair) for pair in rounds[side]] for side in ("s3", "local"))
    return Figure(
        name=name,
        against="the same file on disk, server just started alike",
        value=measure.median_ratio(remote_s, local_s),
        target=target,
        raw={"s3_s": median(remote_s), "local_s": median(local_s)},
    )
