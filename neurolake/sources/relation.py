"""From a location to the SQL relation that reads it: formats, folders, hive partitions, compression."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

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


_ENDING = re.compile(
    rf"(?P<kind>{'|'.join(re.escape(ending) for _, endings in FORMATS.values() for ending in endings)})"
    rf"(?:{'|'.join(map(re.escape, COMPRESSIONS))})?\Z",
    re.IGNORECASE,
)


class Located(NamedTuple):
    """A location in the form it is stored in: an absolute path or a URL, folders as globs."""

    location: str
    format: str


class Listed(Protocol):
    """The files that match a pattern in storage now."""

    @property
    def paths(self) -> list[str]:
        """Their URLs."""


List = Callable[[str], Listed]


def locate(location: str, format: str | None, list_files: List, allowed: Sequence[str] = ()) -> Located:
    """Make a location absolute, find its format, and turn a folder into a glob of the one kind of files it holds.

    Args:
        location: a path or a URL; a URL of a folder ends with a slash.
        format: parquet, csv or json; None: by the files' names.
        list_files: lists a pattern in storage.
        allowed: `allowed_locations`.

    Raises:
        InvalidRequest: the format cannot be told or is unknown; `format_mixed`: a folder holds files of several kinds.
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
    found = _remote(location, wanted, list_files, allowed) if "://" in location else _local(location, wanted)
    _refuse_outside(found.location, allowed)
    return found


def _remote(location: str, format: str | None, list_files: List, allowed: Sequence[str]) -> Located:
    if location.startswith("file://"):
        return _local(location.removeprefix("file://"), format)
    if location.endswith("/") and not location.lower().startswith(("http://", "https://")):
        _refuse_outside(location, allowed)  # before anything of it is listed
        return _folder(location, location, list_files(f"{location}**").paths, format)
    return Located(location, format or format_of(location) or _untold(location))


def _local(location: str, format: str | None) -> Located:
    path = Path(os.path.normpath(Path(location).expanduser().absolute()))
    if path.is_dir():
        return _folder(str(path), f"{glob.escape(str(path))}/", _files(path), format)
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
    return Located(str(path), format or format_of(str(path)) or _untold(location))


def _folder(shown: str, base: str, files: Iterable[str], format: str | None) -> Located:
    """The glob of a folder's files. Those of one ending, so that nothing is read that happens to lie beside them."""
    endings: dict[str, str] = {}  # each as it is written, and the kind that it is, compressed or not
    for name in (file.rpartition("/")[2] for file in files):
        if (found := _ENDING.search(name)) is not None and not name.startswith("."):
            endings[found[0]] = found["kind"]
    if format is not None:
        endings = {ending: kind for ending, kind in endings.items() if kind.casefold() in FORMATS[format][1]}
    kinds = sorted(set(endings.values()))
    if not kinds:
        raise errors.SourceFailed(
            f"The folder {shown} holds no file whose name ends as those of {_said(format)} do.",
            code="source_empty",
            next_step=f"Check the path; or name the files by a pattern, and say what they are: {base}**/*, "
            "format => 'parquet'.",
        )
    if len(kinds) > 1:
        raise errors.InvalidRequest(
            f"The folder {shown} holds files of several kinds: {', '.join(kinds)}.",
            code="format_mixed",
            next_step=f"Register each kind under a name of its own, by a pattern such as {base}**/*{kinds[0]}.",
        )
    ending = f"{kinds[0]}*" if len(endings) > 1 else next(iter(endings))
    known = next(known for known, (_, of_it) in FORMATS.items() if kinds[0].casefold() in of_it)
    return Located(f"{base}**/[!.]*{ending}", known)


def _said(format: str | None) -> str:
    return f"format {format}" if format else "Parquet, CSV or JSON"


def _has_magic(path: str) -> bool:
    return any(c in path for c in "*?[")


def _any_match(path: str) -> bool:
    return next(glob.iglob(path, recursive=True), None) is not None  # noqa: PTH207  (absolute patterns)


def format_of(name: str) -> str | None:
    """The format that a file, a pattern or a URL is of by its ending; None where that says nothing.

    >>> format_of("/d/x.CSV.gz"), format_of("s3://b/**/*.pq"), format_of("https://h/x.ndjson?v=1"), format_of("x.md")
    ('csv', 'parquet', 'json', None)
    """
    # A question mark begins a URL's query, or is part of a file's name or pattern.
    for base in (name, name.split("?", 1)[0]):
        if (found := _ENDING.search(base.rstrip("*"))) is not None:
            kind = found["kind"].casefold()
            return next(known for known, (_, endings) in FORMATS.items() if kind in endings)
    return None


def _files(folder: Path) -> Iterator[str]:
    for _, _, names in os.walk(folder):
        yield from names


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
