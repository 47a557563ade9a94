"""Snapshots of lineitem against DuckDB's own Parquet: take, take again after a change, verify, restore."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import measure
from benchmarks.bench import Bench, Figure
from benchmarks.workload import literal

__all__ = ["snapshots"]

_CREATE_MAX = 1.2
_AGAIN_MAX = 0.15
_AGAIN_BYTES_MAX = 0.05
_VERIFY_MAX = 1.2
_RESTORE_MAX = 1.3
_SHARE = 100
"""A hundredth of the rows changes."""


def snapshots(bench: Bench) -> list[Figure]:
    """Take, take again, verify and restore snapshots of lineitem, in this process."""
    import neurolake

    home, out = bench.folder("home"), bench.folder("out")
    out.mkdir()
    with neurolake.connect(home) as lake:
        lake.load("lineitem", str(bench.workload.file("lineitem")))
        lake.sql("CHECKPOINT").close()
        figures = [*_taken(bench, lake, out), *_used(bench, lake, out)]
    bench.remove(home.parent)
    bench.remove(out.parent)
    return figures


def _timed(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _copy(lake: Any, file: Path) -> None:
    lake.sql(f"COPY lineitem TO {literal(file)} (FORMAT parquet, COMPRESSION zstd)").close()


def _taken(bench: Bench, lake: Any, out: Path) -> list[Figure]:
    """Each round takes a first snapshot, and another after each change, so that all stand beside the same first.

    It begins, as the first one does after the load, with the changes of the round before in the engine's file.
    """
    rows = lake.sql("SELECT count(*) FROM lineitem").fetchone()[0]
    changes = {
        "1 % appended": f"INSERT INTO lineitem SELECT * FROM lineitem LIMIT {rows // _SHARE}",
        "1 % updated in one range": "UPDATE lineitem SET l_tax = l_tax + 0.01 WHERE rowid BETWEEN "
        f"{rows // 2} AND {rows // 2 + rows // _SHARE}",
        "1 % updated, scattered": f"UPDATE lineitem SET l_tax = l_tax + 0.01 WHERE hash(rowid) % {_SHARE} = 0",
    }
    backups = lake.backups.at(out / "repository")
    taken: dict[str, list[tuple[float, int]]] = {name: [] for name in ("first", *changes)}

    def first() -> float:
        shutil.rmtree(out / "repository", ignore_errors=True)
        lake.sql("CHECKPOINT").close()
        seconds = _timed(backups.create)
        taken["first"].append((seconds, backups.list()[-1]["bytes"]))
        for name, change in changes.items():
            lake.sql(change).close()
            again_s = _timed(backups.create)
            taken[name].append((again_s, backups.list()[-1]["bytes_new"]))
        return seconds

    copied = out / "lineitem.parquet"
    rounds = measure.interleaved(bench.rounds, {"snapshot": first, "copy": lambda: _timed(lambda: _copy(lake, copied))})
    figure = Figure(
        name="snapshot: first",
        against="DuckDB's COPY of lineitem to Parquet, Zstandard",
        value=measure.median_ratio(rounds["snapshot"], rounds["copy"]),
        target=_CREATE_MAX,
        raw={"snapshot_s": median(rounds["snapshot"]), "copy_s": median(rounds["copy"]),
             "bytes": median(size for _, size in taken["first"]), "copy_bytes": copied.stat().st_size},
    )  # fmt: skip
    return [figure, *(one for name in changes for one in _again(name, taken[name], taken["first"]))]


def _again(name: str, again: Sequence[tuple[float, int]], first: Sequence[tuple[float, int]]) -> list[Figure]:
    figures = []
    for what, place, target in (("s", 0, _AGAIN_MAX), ("bytes", 1, _AGAIN_BYTES_MAX)):
        ours, whole = [one[place] for one in again], [one[place] for one in first]
        figures.append(
            Figure(
                name=f"snapshot: {name}, {what}",
                against="the first of the same round",
                value=measure.median_ratio(ours, whole),
                target=None if "scattered" in name else target,
                raw={f"again_{what}": median(ours), f"first_{what}": median(whole)},
            )
        )
    return figures


def _used(bench: Bench, lake: Any, out: Path) -> list[Figure]:
    import pyarrow.parquet as parquet

    shutil.rmtree(out / "repository")
    backups = lake.backups.at(out / "repository")
    backups.create()
    files = [str(path) for path in sorted((out / "repository").glob("data/*/*.parquet"))]

    def scan() -> None:
        for file in files:
            parquet.read_table(file)

    def restore() -> float:
        seconds = _timed(lambda: backups.restore(to="schema:back", tables=["lineitem"]))
        lake.sql("DROP SCHEMA back CASCADE").close()
        return seconds

    def create_as() -> float:
        seconds = _timed(lambda: lake.sql(f"CREATE TABLE again AS FROM read_parquet({files!r})").close())
        lake.sql("DROP TABLE again").close()
        return seconds

    rounds = measure.interleaved(
        bench.rounds,
        {"verify": lambda: _timed(backups.verify), "scan": lambda: _timed(scan), "restore": restore, "ctas": create_as},
    )
    return [
        Figure(
            name="snapshot: verify",
            against="a pyarrow scan of the same files",
            value=measure.median_ratio(rounds["verify"], rounds["scan"]),
            target=_VERIFY_MAX,
            raw={"verify_s": median(rounds["verify"]), "scan_s": median(rounds["scan"])},
        ),
        Figure(
            name="snapshot: restore",
            against="CREATE TABLE AS from the same files",
            value=measure.median_ratio(rounds["restore"], rounds["ctas"]),
            target=_RESTORE_MAX,
            raw={"restore_s": median(rounds["restore"]), "create_as_s": median(rounds["ctas"])},
        ),
    ]
