"""What makes a folder a home: its settings file, and the format version in it. Older homes are migrated."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path

from neurolake.config import SETTINGS_FILE
from neurolake.errors import HomeProblem
from neurolake.home.files import mapped, write_atomic
from neurolake.home.lock import HomeLock

__all__ = [
    "FORMAT_VERSION",
    "HEADER",
    "check_format",
    "check_is_home",
    "check_no_data",
    "upgrade",
]

FORMAT_VERSION = 2
"""What this release reads and writes."""

_DATA = ("lake.duckdb", "system.sqlite")
HEADER = f"""\
# A NeuroLake home. Settings go here, one a line, such as:
#   threads = 4
#   memory_bytes_max = "8GiB"
# `neurolake config show` lists every setting, its value and where the value comes from.
# Access to storage goes into tables at the end, with secrets as references:
#   [storage."s3://bucket/prefix"]
#   region = "eu-central-1"
#   secret_access_key = "env:MY_SECRET_KEY"

# Written by `neurolake init` and `neurolake upgrade`; not for editing.
format_version = {FORMAT_VERSION}
"""


def upgrade(home: str | Path, migrations: Mapping[int, Callable[[Path], None]]) -> int:
    """Migrate a home to this release's format, one version at a time, and return the version it had.

    Args:
        home: its folder.
        migrations: by format version, what makes a home of that version one of the next. Each must stand being run
            again.

    The version is written after each step, so that an upgrade that was stopped goes on where it was.

    Raises:
        HomeProblem: as `Home.open`; `home_too_old` when no migration begins at its version.
    """
    folder = Path(home).expanduser().absolute()
    with mapped(folder):
        check_is_home(folder)
        (folder / "run").mkdir(mode=0o700, exist_ok=True)
        lock = HomeLock.take(folder)
        try:
            found = _format_version(folder)
            _check_not_newer(folder, found)
            for version in range(found, FORMAT_VERSION):
                if version not in migrations:
                    raise HomeProblem(
                        f"The lake at {folder} has format {version}, which this release cannot upgrade.",
                        code="home_too_old",
                        next_step="Upgrade it with an earlier release first; the changelog says which.",
                    )
                migrations[version](folder)
                _write_format_version(folder, version + 1)
        finally:
            lock.release()
    return found


def check_is_home(folder: Path) -> None:
    """Refuse a folder that is no home: `home_missing`, or `home_damaged` when only a part of one is there."""
    if (folder / SETTINGS_FILE).is_file():
        return
    check_no_data(folder)
    what = "a file" if folder.is_file() else "no lake" if folder.exists() else "not there"
    raise HomeProblem(
        f"{folder} is {what}.",
        code="home_missing",
        next_step=f"Make a lake with `neurolake init {folder}`, or name the folder of one.",
    )


def check_no_data(folder: Path) -> None:
    """Refuse a folder that holds a lake's data without its settings file: `home_damaged`."""
    for name in _DATA:
        if (folder / name).exists():
            raise HomeProblem(
                f"The lake at {folder} has {name} but no {SETTINGS_FILE}.",
                code="home_damaged",
                next_step=f"Put the file back, or write one that holds: format_version = {FORMAT_VERSION}.",
            )


def _format_version(folder: Path) -> int:
    try:
        version = tomllib.loads((folder / SETTINGS_FILE).read_text(encoding="utf-8")).get("format_version")
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise HomeProblem(
            f"{folder / SETTINGS_FILE} cannot be read: {error}.",
            code="home_damaged",
            next_step="Correct the file.",
        ) from None
    if not isinstance(version, int) or isinstance(version, bool):
        raise HomeProblem(
            f"{folder / SETTINGS_FILE} does not say which format the lake has.",
            code="home_damaged",
            next_step=f"Put its first line back: format_version = {FORMAT_VERSION}.",
        )
    return version


def check_format(folder: Path) -> None:
    """Refuse a home of another format: `home_too_new`, `home_too_old` or `home_damaged`."""
    version = _format_version(folder)
    _check_not_newer(folder, version)
    if version < FORMAT_VERSION:
        raise HomeProblem(
            f"The lake at {folder} has format {version}; this release uses {FORMAT_VERSION}.",
            code="home_too_old",
            next_step=f"Take a copy, then run `neurolake upgrade --lake {folder}`.",
        )


def _check_not_newer(folder: Path, version: int) -> None:
    if version > FORMAT_VERSION:
        raise HomeProblem(
            f"The lake at {folder} has format {version}; this release reads up to {FORMAT_VERSION}.",
            code="home_too_new",
            next_step="Install the newer release: pip install --upgrade neurolake.",
        )


def _write_format_version(folder: Path, version: int) -> None:
    import tomlkit

    path = folder / SETTINGS_FILE
    document = tomlkit.parse(path.read_text(encoding="utf-8"))
    document["format_version"] = version
    write_atomic(path, tomlkit.dumps(document), mode=path.stat().st_mode & 0o777)
