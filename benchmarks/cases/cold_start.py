"""How soon a server answers, and how long the import takes: each in fresh processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from statistics import median

from benchmarks.bench import Bench, Figure
from benchmarks.processes import Worker

__all__ = ["embedded", "import_time", "serve"]

_FIRST_ANSWER_S_MAX = 1.5
_IMPORT_S_MAX = 0.3
_STARTS = 5
_TIMEOUT_S = 15.0
_IMPORT = "import neurolake"
_FIRST_RESULT = f"{_IMPORT}; lake = neurolake.connect(':memory:'); lake.sql('SELECT 1').fetchall()"


def serve(bench: Bench) -> list[Figure]:
    """`neurolake serve`, from the start of the process to the first query's answer; an existing home and a new one."""
    home = bench.home()
    with Worker() as client:
        _start(bench, home, client)  # The driver is loaded from here on.
        existing_s = [_start(bench, home, client) for _ in range(_STARTS)]
        new_s = [_start(bench, bench.home(), client) for _ in range(_STARTS)]
    return [
        Figure(
            name="serve: first answer",
            against="start of the process; median",
            value=median(existing_s),
            unit="s",
            target=_FIRST_ANSWER_S_MAX,
            raw={"slowest_s": max(existing_s), "new_home_s": median(new_s)},
        )
    ]


def _start(bench: Bench, home: Path, client: Worker) -> float:
    with bench.serving(home) as server:
        answer = client.run("first_query", uri=server.uri, options=dict(server.options), timeout_s=_TIMEOUT_S)
        return float(answer["at_s"]) - server.started_at_s


def import_time(bench: Bench) -> list[Figure]:
    """`import neurolake` in a fresh interpreter whose start is not counted."""
    times_s = _times_s(_IMPORT)
    return [
        Figure(
            name="import neurolake",
            against="fresh interpreter; median",
            value=median(times_s),
            unit="s",
            target=_IMPORT_S_MAX,
            raw={"slowest_s": max(times_s)},
        )
    ]


def embedded(bench: Bench) -> list[Figure]:
    """Import, open a lake that keeps nothing, run a first query: in a fresh interpreter, without a target."""
    times_s = _times_s(_FIRST_RESULT)
    return [
        Figure(
            name="embedded: first answer",
            against="fresh interpreter, import included; median",
            value=median(times_s),
            unit="s",
            raw={"slowest_s": max(times_s)},
        )
    ]


def _times_s(statements: str) -> list[float]:
    """How long the statements take, each time in a fresh interpreter."""
    timed = f"import time; start = time.perf_counter(); {statements}; print(time.perf_counter() - start)"
    command = [sys.executable, "-c", timed]
    runs = [subprocess.run(command, check=True, capture_output=True, text=True) for _ in range(_STARTS + 1)]
    return [float(run.stdout.split()[-1]) for run in runs[1:]]  # The first one may compile.
