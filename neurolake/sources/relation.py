"""From a location to the SQL relation that reads it: formats, folders, hive partitions, compression."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from neurolake import errors
from neurolake.sources import failures
from neurolake.sql.text import literal

FORMATS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "parquet": ("read_parquet", (".parquet", ".parq", ".pq")),
    "csv": ("read_csv", (".csv", ".tsv", ".psv")),
    "json": ("read_json", (".json", ".jsonl", ".ndjson")),
}
"""Each format's reader in DuckDB, and the file endings that mean it."""

COMPRESSIONS = (".gz", ".zst", ".zstd")
REFUSED_OPTIONS = frozenset({"filename_template", "file_row_number_template"})

DEFAULTS: Mapping[str, Mapping[str, object]] = {
    "parquet": {"union_by_name": True},
    "csv": {"union_by_name": True},
    "json": {"union_by_name": True},
}


class Located(NamedTuple):
    """A location in the form it is stored in: an absolute path or a URL, folders as globs."""

    location: str
    format: str


def locate(location: str, format: str | None, allowed: Sequence[str] = ()) -> Located:
    """Make a location absolute, find its format, and turn a folder into a glob.

    Raises:
        InvalidRequest: the format cannot be told or is unknown.
        SourceFailed: nothing is there.
        AccessDenied: it lies outside `allowed_locations`.
    """
    if format is not None and format.casefold() not in FORMATS:
        raise errors.InvalidRequest(
            f"{format!r} is not a format.",
            code="format_unknown",
            next_step=f"Use one of {', '.join(FORMATS)}.",
        )
    wanted = format.casefold() if format else None
    if not location.strip():
        raise errors.InvalidRequest("A source needs a location.", code="location_empty")
    found = _remote(location, wanted) if "://" in location else _local(location, wanted)
    _refuse_outside(found.location, allowed)
    return found


def _remote(location: str, format: str | None) -> Located:
    if location.startswith("file://"):
        return _local(location.removeprefix("file://"), format)
    known = format or _format_of(location)
    if location.endswith("/"):
        known = known or "parquet"
        return Located(f"{location}**/*{FORMATS[known][1][0]}*", known)
    return Located(location, known or _untold(location))


def _local(location: str, format: str | None) -> Located:
    path = Path(os.path.normpath(Path(location).expanduser().absolute()))
    if path.is_dir():
        known = format or _format_in(path)
        return Located(f"{glob.escape(str(path))}/**/*{FORMATS[known][1][0]}*", known)
    if not _has_magic(str(path)) and not path.exists():
        raise errors.SourceFailed(
            f"There is no file or folder {path}.", code="source_missing", next_step="Check the path."
        )
    if _has_magic(str(path)) and not path.exists() and not _any_match(str(path)):
        raise errors.SourceFailed(
            f"No file matches {path}.",
            code="source_empty",
            next_step="Check the pattern, or add the first file.",
        )
    return Located(str(path), format or _format_of(str(path)) or _untold(location))


def _has_magic(path: str) -> bool:
    return any(c in path for c in "*?[")


def _any_match(path: str) -> bool:
    return next(glob.iglob(path, recursive=True), None) is not None  # noqa: PTH207  (absolute patterns)


def _format_of(name: str) -> str | None:
    # A question mark begins a URL's query, or is part of a file's name or pattern.
    for base in (name.casefold(), name.casefold().split("?", 1)[0]):
        base = base.rstrip("*")
        for ending in COMPRESSIONS:
            base = base.removesuffix(ending)
        for known, (_, endings) in FORMATS.items():
            if base.endswith(endings):
                return known
    return None


def _format_in(folder: Path) -> str:
    for name in _files(folder):
        if (found := _format_of(name)) is not None:
            return found
    raise errors.SourceFailed(
        f"The folder {folder} holds no Parquet, CSV or JSON file.",
        code="source_empty",
        next_step="Check the path, or add the first file and register again.",
    )


def _files(folder: Path) -> Iterator[str]:
    for _, folders, names in os.walk(folder):
        folders.sort()
        yield from sorted(names)


def _untold(location: str) -> str:
    raise errors.InvalidRequest(
        f"The format of {failures.shown(location)} cannot be told from its name.",
        code="format_unknown",
        next_step="Say it: register(name, location, format => 'parquet').",
    )


def _refuse_outside(location: str, allowed: Sequence[str]) -> None:
    if not allowed:
        return
    for prefix in allowed:
        base = prefix if "://" in prefix else str(Path(prefix).absolute())
        if location == base or location.startswith(base.rstrip("/") + "/"):
            return
    raise errors.AccessDenied(
        f"{failures.shown(location)} lies outside the locations this lake may read.",
        code="location_not_allowed",
        next_step="Add it to allowed_locations in neurolake.toml and start again.",
    )


def reader(location: str, format: str, options: Mapping[str, object]) -> str:
    """The table function call that reads a source.

    >>> reader("/data/*.csv", "csv", {"delim": ";"})
    "read_csv('/data/*.csv', union_by_name := true, delim := ';')"
    """
    function, _ = FORMATS[format]
    merged = {**DEFAULTS[format], **options}
    arguments = [literal(location)]
    for name, value in merged.items():
        if not name.isidentifier() or name in REFUSED_OPTIONS:
            raise errors.InvalidRequest(f"{name!r} is not an option of a {format} source.", code="option_unknown")
        arguments.append(f"{name} := {literal(value)}")
    return f"{function}({', '.join(arguments)})"
