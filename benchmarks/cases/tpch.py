"""The 22 TPC-H queries through the stock driver, and in process on the same rows."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from benchmarks import measure
from benchmarks.answers import difference
from benchmarks.bench import Bench, Figure
from benchmarks.processes import Worker
from benchmarks.workload import queries

__all__ = ["WrongAnswer", "through_the_driver"]

_TOTAL_MAX = 1.05


class WrongAnswer(Exception):
    """The server's answer is not that of plain DuckDB."""


def through_the_driver(bench: Bench) -> list[Figure]:
    """The 22 TPC-H queries, answers checked: the sum of their medians against a plain connection, same threads."""
    with ExitStack() as stack:
        server = stack.enter_context(bench.serving(bench.loaded_home))
        client, engine = stack.enter_context(bench.workers(2))
        engine.run("open", name="plain", path=str(bench.plain_database))
        server.connect(client, "server")
        _check_answers(client, engine, bench.folder("answers"))
        times_s = {
            name: measure.interleaved(bench.rounds, _sides(client, engine, sql)) for name, sql in queries().items()
        }
    totals_s = {side: sum(median(times[side]) for times in times_s.values()) for side in ("server", "engine")}
    ratios = {name: median(times["server"]) / median(times["engine"]) for name, times in times_s.items()}
    worst = max(ratios, key=lambda name: ratios[name])
    return [
        Figure(
            name="TPC-H, 22 queries",
            against="plain DuckDB in process, sum of medians",
            value=totals_s["server"] / totals_s["engine"],
            target=_TOTAL_MAX,
            raw={
                "server_s": totals_s["server"],
                "in_process_s": totals_s["engine"],
                f"worst_{worst}_ratio": ratios[worst],
            },
        )
    ]


def _sides(client: Worker, engine: Worker, sql: str) -> dict[str, Callable[[], float]]:
    return {
        "server": lambda: float(client.run("answer", name="server", sql=sql)["wall_s"]),
        "engine": lambda: float(engine.run("answer_in_process", name="plain", sql=sql)["wall_s"]),
    }


def _check_answers(client: Worker, engine: Worker, folder: Path) -> None:
    """Each query once on both sides, which also warms them.

    Raises:
        WrongAnswer: naming the query and the first difference.
    """
    folder.mkdir()
    ours, theirs = folder / "server.arrow", folder / "plain.arrow"
    for name, sql in queries().items():
        client.run("answer", name="server", sql=sql, file=str(ours))
        engine.run("answer_in_process", name="plain", sql=sql, file=str(theirs))
        found = difference(ours, theirs)
        if found:
            raise WrongAnswer(f"{name}: {found}")
