"""What a lake in this process adds to a plain DuckDB connection; published without a target."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from statistics import median

from benchmarks import measure
from benchmarks.bench import Bench, Figure

__all__ = ["in_process"]

_KINDS = {"select": "SELECT n", "point": "point look-up"}


def in_process(bench: Bench) -> list[Figure]:
    """Short queries through `lake.sql` in this process: CPU over that of a plain connection on the same rows."""
    with bench.workers(2) as (ours, plain):
        ours.run("open_lake", name="lake", path=str(bench.loaded_home))
        plain.run("open", name="plain", path=str(bench.plain_database))
        first = itertools.count(1_000_000, bench.queries)

        def sides(kind: str) -> dict[str, Callable[[], dict[str, float]]]:
            return {
                "lake": lambda: ours.run(
                    "short_in_lake", name="lake", kind=kind, first=next(first), count=bench.queries
                ),
                "plain": lambda: plain.run(
                    "short_in_process", name="plain", kind=kind, first=next(first), count=bench.queries
                ),
            }

        figures = []
        for kind, name in _KINDS.items():
            measure.interleaved(1, sides(kind))
            figures.append(_figure(name, measure.interleaved(bench.rounds, sides(kind))))
        ours.run("close_lake", name="lake")
    return figures


def _figure(name: str, rounds: dict[str, list[dict[str, float]]]) -> Figure:
    cpu_s = {side: [answer["cpu_s"] / answer["count"] for answer in answers] for side, answers in rounds.items()}
    return Figure(
        name=f"{name}, embedded: CPU",
        against="plain DuckDB, execute and fetchall",
        value=measure.median_ratio(cpu_s["lake"], cpu_s["plain"]),
        raw={
            "lake_cpu_ms": median(cpu_s["lake"]) * 1_000,
            "plain_cpu_ms": median(cpu_s["plain"]) * 1_000,
            "lake_p50_ms": median(answer["p50_s"] for answer in rounds["lake"]) * 1_000,
            "plain_p50_ms": median(answer["p50_s"] for answer in rounds["plain"]) * 1_000,
        },
    )
