"""The table of a run, its JSON, and its place in a document."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

from benchmarks import measure
from benchmarks.bench import Figure

__all__ = ["Report", "conditions", "table", "update_document"]

FORMAT = 1
BEGIN = "<!-- benchmarks: made by `python -m benchmarks --markdown docs/performance.md` -->"
END = "<!-- benchmarks: end -->"

_PACKAGES = ("duckdb", "pyarrow", "adbc-driver-flightsql", "sqlglot", "obstore", "tpchgen-cli", "neurolake")


@dataclass(slots=True)
class Report:
    """What a run found.

    Args:
        conditions: of the machine and the run; see `conditions`.
        figures: what was measured.
        failures: the error of each case that failed, by its name.
    """

    conditions: dict[str, Any]
    figures: list[Figure] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)

    def write(self, path: Path) -> None:
        """Write it as JSON."""
        path.write_text(json.dumps({"format": FORMAT, **asdict(self)}, indent=2) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Report:
        """Read what `write` wrote.

        Raises:
            ValueError: it is no report, or one of another format.
        """
        found = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(found, dict) or found.get("format") != FORMAT:
            raise ValueError(f"{path} is not a benchmark report of format {FORMAT}.")
        figures = [Figure(**figure) for figure in found["figures"]]
        return cls(found["conditions"], figures, found["failures"])

    def text(self) -> str:
        """The table and the conditions below it, as Markdown that a terminal shows well too."""
        return f"{table(_rows(self))}\n\n{_conditions_text(self.conditions)}\n"


def conditions(scale: float, rounds: int) -> dict[str, Any]:
    """The machine and the run as they are when the run starts."""
    return {
        "scale": scale,
        "rounds": rounds,
        "cores": measure.cores(),
        "processor": _processor(),
        "memory_bytes": psutil.virtual_memory().total,
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "commit": _commit(),
        "load_before": round(os.getloadavg()[0], 2),
    }


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty"]
    try:
        done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return done.stdout.strip()


def _rows(report: Report) -> list[Sequence[str]]:
    rows: list[Sequence[str]] = [("measure", "result", "target", "met", "against", "raw figures")]
    rows += [_row(figure) for figure in report.figures]
    rows += [(name, "failed", "", "no", "", error.replace("\n", " ")) for name, error in report.failures.items()]
    return rows


def _row(figure: Figure) -> Sequence[str]:
    bound = "" if figure.target is None else f"{'≥' if figure.at_least else '≤'} {_number(figure.target)} {figure.unit}"
    met = {None: "", True: "yes", False: "**no**"}[figure.met]
    result = f"{_number(figure.value)} {figure.unit}"
    return figure.name, result, bound, met, figure.against, _raw(figure.raw)


def _raw(raw: Mapping[str, float]) -> str:
    """Raw figures with the unit that ends their names.

    >>> _raw({"server_wall_s": 1.234, "at_8_per_s": 512.0, "worst_ratio": 1.1})
    'server wall 1.23 s, at 8 512 /s, worst 1.1 ×'
    """
    units = {"_per_s": "/s", "_ms": "ms", "_mb": "MB", "_s": "s", "_ratio": "×"}
    shown = []
    for name, value in raw.items():
        ending = next((ending for ending in units if name.endswith(ending)), "")
        label = name.removesuffix(ending).replace("_", " ")
        shown.append(f"{label} {_number(value)} {units.get(ending, '')}".strip())
    return ", ".join(shown)


def _number(value: float) -> str:
    """A number with three significant digits, never in powers of ten.

    >>> _number(1.05), _number(0.0123456), _number(1234.5), _number(300.0)
    ('1.05', '0.0123', '1234', '300')
    """
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def table(rows: Sequence[Sequence[str]]) -> str:
    r"""Rows as a Markdown table with even columns but for the last; the first row is its head.

    >>> print(table([("a", "b"), ("1|2", "")]))
    | a    | b   |
    |------|-----|
    | 1\|2 |     |
    """
    cells = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    widths[-1] = 3  # The last column is long and ragged.
    lines = ["| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in cells]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def _conditions_text(found: Mapping[str, Any]) -> str:
    packages = ", ".join(f"{name} {number}" for name, number in found["packages"].items())
    memory_gb = found["memory_bytes"] / 1e9
    return (
        f"TPC-H at scale factor {found['scale']:g}, {found['rounds']} rounds, commit {found['commit']}.\n"
        f"{found['cores']} cores ({found['processor']}), {memory_gb:.0f} GB, {found['system']}, "
        f"Python {found['python']}.\n"
        f"{packages}.\n"
        f"Load average before {found['load_before']}, after {found.get('load_after', '?')}."
    )


def update_document(path: Path, text: str) -> None:
    """Put a report's text between the two markers of a document.

    Raises:
        ValueError: the document has no such place.
    """
    document = path.read_text(encoding="utf-8")
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{path} lacks the lines {BEGIN} and {END}, between which the table goes.")
    path.write_text(f"{before}{BEGIN}\n\n{text}\n{END}{after}", encoding="utf-8")
