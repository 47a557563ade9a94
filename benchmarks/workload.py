"""The data and the queries: TPC-H, made by its generator and kept for the next run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

__all__ = ["TABLES", "Workload", "default_folder", "literal", "program", "queries"]

TABLES = ("region", "nation", "supplier", "customer", "part", "partsupp", "orders", "lineitem")


@dataclass(frozen=True, slots=True)
class Workload:
    """TPC-H at one scale factor: one Parquet file a table.

    Args:
        folder: holds the files of this scale and generator version.
        scale: the scale factor; 1 is 6 million rows of lineitem.
    """

    folder: Path
    scale: float

    @classmethod
    def make(cls, cache: Path, scale: float) -> Workload:
        """The workload from the cache folder; generated first where it is missing."""
        folder = cache / f"tpch-sf{scale:g}-{version('tpchgen-cli')}"
        if not folder.exists():
            _generate(folder, scale)
        return cls(folder, scale)

    def file(self, table: str) -> Path:
        """A table's Parquet file."""
        return self.folder / f"{table}.parquet"


def _generate(folder: Path, scale: float) -> None:
    """Generate beside the folder and rename, so that a run that was stopped leaves no half of it."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(dir=folder.parent, prefix="unfinished-"))
    try:
        command = [program("tpchgen-cli"), "parquet", "--scale-factor", f"{scale:g}", "--output-dir", str(unfinished)]
        subprocess.run([*command, "--quiet"], check=True)
        unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def default_folder() -> Path:
    """Where generated data is kept between runs."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "neurolake-benchmarks"


def program(name: str) -> str:
    """The path of a command that a package of this environment installs.

    Raises:
        FileNotFoundError: it is neither beside this interpreter nor on the path.
    """
    beside = Path(sys.executable).parent
    found = shutil.which(name, path=f"{beside}{os.pathsep}{os.environ.get('PATH', '')}")
    if found is None:
        raise FileNotFoundError(f"{name} is not installed: run `pip install '.[test]'` in the project's folder.")
    return found


def literal(value: object) -> str:
    """A value's text as an SQL string.

    >>> literal("it's")
    "'it''s'"
    """
    quoted = str(value).replace("'", "''")
    return f"'{quoted}'"


def queries() -> dict[str, str]:
    """The 22 TPC-H queries with the specification's validation parameters, by name, without their comments.

    >>> list(queries())[:2], queries()["q06"].split()[:2]
    (['q01', 'q02'], ['SELECT', 'sum(l_extendedprice'])
    """
    files = sorted((Path(__file__).parent / "tpch").glob("q*.sql"))
    return {file.stem: _without_comments(file.read_text(encoding="utf-8")) for file in files}


def _without_comments(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if not line.startswith("--"))
