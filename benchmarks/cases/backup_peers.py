"""Snapshots of lineitem beside what else one could do: DuckDB's EXPORT DATABASE, and restic and borg over its file."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks.bench import Bench, Figure
from benchmarks.workload import literal

__all__ = ["beside"]

_CHANGES = {
    "first": "CHECKPOINT",
    "1 % appended": "INSERT INTO lineitem SELECT * FROM lineitem LIMIT (SELECT count(*) // 100 FROM lineitem)",
    "1 % updated, scattered": "UPDATE lineitem SET l_tax = 0.4 WHERE hash(rowid) % 100 = 0",
}
_Peer = Callable[[Path, Path], None]
"""Backs up a lake's home into a folder, again if it has done so before."""


def beside(bench: Bench) -> list[Figure]:
    """Back up lineitem three times over, by each means: seconds, and megabytes that are stored for it."""
    import neurolake

    home, out = bench.folder("home"), bench.folder("out")
    with neurolake.connect(home) as lake:
        lake.load("lineitem", str(bench.workload.file("lineitem")))
    figures: list[Figure] = []
    peers = _present()
    for change, sql in _CHANGES.items():
        with neurolake.connect(home) as lake:
            lake.sql(sql).close()
            lake.sql("CHECKPOINT").close()
        for name, peer in peers.items():
            figures += _measured(name, change, peer, home, out / name)
    bench.remove(home.parent)
    bench.remove(out.parent)
    return figures


def _present() -> Mapping[str, _Peer]:
    tools = {name: peer for name, peer in {"restic": _restic, "borg": _borg}.items() if shutil.which(name)}
    for name in {"restic", "borg"} - tools.keys():
        print(f"{name} is not installed, and left out", file=sys.stderr)
    return {"snapshot": _snapshot, "EXPORT DATABASE": _export, **tools}


def _measured(name: str, change: str, peer: _Peer, home: Path, out: Path) -> list[Figure]:
    out.mkdir(parents=True, exist_ok=True)
    before = _bytes(out)
    start = time.perf_counter()
    peer(home, out)
    seconds = time.perf_counter() - start
    stored = _bytes(out) - before
    return [
        Figure(name=f"{name}: {change}, time", against="seconds", value=seconds, unit="s"),
        Figure(name=f"{name}: {change}, size", against="megabytes stored", value=stored / 1e6, unit="MB"),
    ]


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and "cache" not in path.parts)


def _snapshot(home: Path, out: Path) -> None:
    import neurolake

    with neurolake.connect(home) as lake:
        lake.backups.at(out).create()


def _export(home: Path, out: Path) -> None:
    import duckdb

    target = out / str(sum(1 for _ in out.iterdir()))
    with duckdb.connect(str(home / "lake.duckdb"), read_only=True) as connection:
        connection.sql(f"EXPORT DATABASE {literal(target)} (FORMAT parquet, COMPRESSION zstd)")


def _restic(home: Path, out: Path) -> None:
    given = {"RESTIC_REPOSITORY": str(out / "repository"), "RESTIC_PASSWORD": "benchmark"}
    if not (out / "repository").exists():
        _run(["restic", "init"], given, out)
    _run(["restic", "backup", "--cache-dir", str(out / "cache"), str(home / "lake.duckdb")], given, out)


def _borg(home: Path, out: Path) -> None:
    given = {"BORG_REPO": str(out / "repository"), "BORG_BASE_DIR": str(out / "cache")}
    given["BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK"] = "yes"
    if not (out / "repository").exists():
        _run(["borg", "init", "--encryption=none"], given, out)
    _run(["borg", "create", "--compression=zstd,3", "::{now:%s%f}", str(home / "lake.duckdb")], given, out)


def _run(command: list[str], given: Mapping[str, str], out: Path) -> None:
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, **given, "HOME": str(out)})
