"""What a scan for personal data costs: a wide file, many files, a full pass over text; in a fresh process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median

from benchmarks.bench import Bench, Figure

__all__ = ["scan"]

COLUMNS, ROWS, FILES, TEXT_ROWS = 100, 1_000_000, 100, 1_000_000
SCAN_S_MAX, MANY_FILES_MAX, MEMORY_MB_MAX, FULL_MILLIONS_MIN = 6.0, 1.3, 500.0, 2.0
_CELLS = (
    "'user' || i || '@example.com'", "'+49 30 ' || (1000000 + i)", "'DE' || (i % 90 + 10) || '370400440532013000'",
    "i * 7919 % 1000000007", "'ORD-' || i", "md5(i::VARCHAR)", "(100000000 + i)::VARCHAR", "'Main Street ' || i",
    "i % 100", "DATE '1950-01-01' + (i % 20000)::INTEGER",
)  # fmt: skip
_TEXT = "'remark ' || i || ' was read by nobody at ' || (i % 977) || ' today'"

_PEAK = """
import resource, sys
from pathlib import Path

def peak_bytes():
    # What Linux charges to a process as its most begins with what the one that started it held.
    if sys.platform != "linux":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) * 1024
"""
_WORK = """
import json, sys, time
import neurolake
one, many, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3])
found = {"one": [], "many": []}
with neurolake.connect(":memory:", threads=2) as lake:
    lake.register("one", one)
    lake.register("many", many)
    lake.load("small", {"mail": ["a@example.com"]})
    lake.pii.scan("small")  # Presidio is imported by the first one
    for _ in range(rounds):
        for name in found:
            start = time.perf_counter()
            assert lake.pii.scan(name).num_rows
            found[name].append(time.perf_counter() - start)
    peak = peak_bytes()
print(json.dumps({**found, "peak_bytes": peak}))
"""
_FULL = """
import json, sys, time
import neurolake
with neurolake.connect(":memory:", threads=1) as lake:
    columns = f"{sys.argv[1]} AS a, {sys.argv[1]} || '.' AS b"
    lake.sql(f"CREATE TABLE t AS SELECT {columns} FROM range({sys.argv[2]}) n(i)").close()
    lake.pii.scan("t")
    start = time.process_time()
    lake.pii.scan("t")
    sample = time.process_time() - start
    lake.pii.scan("t", full=True)
    print(json.dumps(time.process_time() - start - 2 * sample))
"""


def scan(bench: Bench) -> list[Figure]:
    """100 columns × 1 M rows in one Parquet file, the same file 100 times under one glob, and every row of text."""
    rows = max(10_000, int(ROWS * min(1, bench.scale)))
    one, many = _data(bench, rows)
    found = json.loads(_run(_PEAK + _WORK, str(one), str(many), str(bench.rounds)))
    one_s, many_s = median(found["one"]), median(found["many"])
    text_rows = max(500_000, int(TEXT_ROWS * min(1, bench.scale)))
    full_s = float(json.loads(_run(_FULL, _TEXT, str(text_rows))))
    return [
        Figure(
            name="scan_pii: 100 columns",
            against=f"one file of {rows:,} rows; median",
            value=one_s, unit="s", target=SCAN_S_MAX, raw={"slowest_s": max(found["one"])},
        ),
        Figure(
            name="scan_pii: 100 files",
            against="one of them",
            value=many_s / one_s, target=MANY_FILES_MAX, raw={"many_s": many_s, "one_s": one_s},
        ),
        Figure(
            name="scan_pii: memory",
            against="the process's peak",
            value=found["peak_bytes"] / 1e6, unit="MB", target=MEMORY_MB_MAX,
        ),
        Figure(
            name="scan_pii: full pass",
            against="2 M text values a second on one core",
            value=2 * text_rows / full_s / 1e6 / FULL_MILLIONS_MIN, target=1.0, at_least=True,
            raw={"cpu_s": full_s},
        ),
    ]  # fmt: skip


def _data(bench: Bench, rows: int) -> tuple[Path, Path]:
    import neurolake

    one = bench.folder("wide.parquet")
    many = bench.folder("many")
    many.mkdir()
    columns = ", ".join(f"{_CELLS[number % len(_CELLS)]} AS c{number}" for number in range(COLUMNS))
    with neurolake.connect(":memory:") as lake:
        lake.sql(f"COPY (SELECT {columns} FROM range({rows}) n(i)) TO '{one}' (FORMAT parquet)").close()
    for number in range(FILES):
        os.link(one, many / f"{number}.parquet")
    return one, many


def _run(program: str, *arguments: str) -> str:
    done = subprocess.run([sys.executable, "-c", program, *arguments], check=True, capture_output=True, text=True)
    return done.stdout
