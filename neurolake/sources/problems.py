"""From the engine's errors about files to ours: which file, what is wrong with it, what to do."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from neurolake import errors
from neurolake.catalog import Source

_DAMAGED = re.compile(
    r"magic bytes|too small to be a Parquet|footer|not a valid Parquet|Parquet file .*corrupt|TProtocol|Invalid thrift"
    r"|Snappy|ZSTD|decompress",
    re.IGNORECASE,
)

_PATTERNS: tuple[tuple[re.Pattern[str], str, str, str], ...] = (
    (
        re.compile(r"No files found that match the pattern"),
        "source_empty",
        "No file matches {location}.",
        "Check the pattern, or add the first file.",
    ),
    (
        _DAMAGED,
        "source_corrupt",
        "A file of {location} is damaged or no {format} file: {detail}",
        "Restore the file, or leave it out of the pattern.",
    ),
    (
        re.compile(r"CSV Error on Line: \d+", re.IGNORECASE),
        "source_csv_line",
        "{detail}",
        "Mend that line, or register with options such as {{'ignore_errors': true}}.",
    ),
    (
        re.compile(r"Error when sniffing file|not possible to automatically detect", re.IGNORECASE),
        "source_csv_form",
        "The form of {location} cannot be told: {detail}",
        "Say it with options: delim, quote, header, columns.",
    ),
    (
        re.compile(r"Malformed JSON|JSON.*(?:invalid|unexpected)", re.IGNORECASE),
        "source_json",
        "{detail}",
        "Mend that line, or register with options such as {{'ignore_errors': true}}.",
    ),
    (
        re.compile(r"Cannot open file|Could not read|No such file", re.IGNORECASE),
        "source_unreadable",
        "{detail}",
        "Check that the file is there and readable.",
    ),
)


def explain(
    problem: errors.NeuroLakeError,
    source: Source,
    describe: Callable[[Source], Mapping[str, str]] | None = None,
) -> errors.NeuroLakeError:
    """A clearer form of an error that a source caused, or the error itself.

    Args:
        problem: what the engine said.
        source: the source the statement reads.
        describe: reads the source's columns as they are now, to name what has changed.
    """
    if problem.code.startswith("source_") and problem.code != "source_failed":
        return problem
    for pattern, code, message, next_step in _PATTERNS:
        if pattern.search(problem.message):
            detail = problem.message.split("\n\nLINE", 1)[0].strip()
            values = {"location": source.location, "format": source.format, "detail": detail}
            return errors.SourceFailed(message.format(**values), code=code, next_step=next_step.format(**values))
    if describe is not None and problem.code in ("binding", "not_found"):
        return _changed(problem, source, describe)
    return problem


def _changed(
    problem: errors.NeuroLakeError, source: Source, describe: Callable[[Source], Mapping[str, str]]
) -> errors.NeuroLakeError:
    now = describe(source)
    gone = [name for name in source.columns if name not in now]
    other = [
        f"{n} ({source.columns[n]} → {now[n]})" for n in now if n in source.columns and source.columns[n] != now[n]
    ]
    if not gone and not other:
        return problem
    changes = [f"gone: {', '.join(gone)}"] * bool(gone) + [f"of another type: {', '.join(other)}"] * bool(other)
    return errors.SourceFailed(
        f"The columns of {source.name} have changed since it was registered ({'; '.join(changes)}). {problem.message}",
        code="source_changed_columns",
        next_step="Register it again to accept the new columns.",
    )
