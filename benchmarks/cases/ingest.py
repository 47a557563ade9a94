"""Load lineitem into a managed table through the stock driver, and in process into a fresh database file."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median

from benchmarks import measure
from benchmarks.bench import Bench, Figure
from benchmarks.processes import JobFailed, Worker

__all__ = ["lineitem"]

_RATIO_MAX = 2.0


def lineitem(bench: Bench) -> list[Figure]:
    """Load lineitem from an Arrow table in the client into an empty lake, until a checkpoint is done."""
    with Worker() as client:
        client.run("read", name="lineitem", file=str(bench.workload.file("lineitem")))
        sides: dict[str, Callable[[], dict[str, float]]] = {
            "server": lambda: _through_the_driver(bench, client),
            "engine": lambda: _in_process(bench, client),
        }
        rounds = measure.interleaved(bench.rounds, sides)
    counts = {answer["rows"] for answers in rounds.values() for answer in answers}
    if len(counts) != 1:
        raise JobFailed(f"The sides do not agree on the number of rows: {sorted(counts)}.")
    walls_s = {side: [answer["wall_s"] for answer in answers] for side, answers in rounds.items()}
    return [
        Figure(
            name="ingest of lineitem",
            against="CREATE TABLE AS from the same Arrow table in process, checkpoint included",
            value=measure.median_ratio(walls_s["server"], walls_s["engine"]),
            target=_RATIO_MAX,
            raw={"server_s": median(walls_s["server"]), "in_process_s": median(walls_s["engine"])},
        )
    ]


def _through_the_driver(bench: Bench, client: Worker) -> dict[str, float]:
    home = bench.home()
    with bench.serving(home) as server:
        server.connect(client, "server", autocommit=True)
        answer = client.run("ingest", name="server", source="lineitem", target="lineitem")
        client.run("disconnect", name="server")
    bench.remove(home.parent)
    return answer


def _in_process(bench: Bench, client: Worker) -> dict[str, float]:
    path = bench.folder("ingest.duckdb")
    answer = client.run("create", path=str(path), sources={"lineitem": "lineitem"})
    bench.remove(path.parent)
    return answer
