"""From the engine's errors about files to ours: which file, what is wrong with it, what to do."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from neurolake import errors, urls
from neurolake.catalog import Source
from neurolake.engine_errors import DAMAGED_FILE
from neurolake.identifiers import fold
from neurolake.sources import relation
from neurolake.sources.failures import shown
from neurolake.sources.listing import expression, has_magic
from neurolake.sql.text import mentions

NAMED_MAX = 10
"""How many columns of a kind a message names."""

_DAMAGED = re.compile(
    r"magic bytes|too small to be a Parquet|footer|not a valid Parquet|Parquet file .*corrupt|TProtocol|thrift"
    r"|Invalid string encoding found in Parquet|Snappy|ZSTD|GZIP|Unknown frame descriptor|decompress"
    rf"|{DAMAGED_FILE.pattern}",
    re.IGNORECASE,
)


class _Form(NamedTuple):
    """How an error of the engine is told: `of_place` where it is known which location it is about."""

    pattern: re.Pattern[str]
    code: str
    message: str
    next_step: str
    of_place: str = ""


_PATTERNS = (
    _Form(
        re.compile(r'No files found that match the pattern "(?P<location>[^\n]*)"'),
        "source_empty",
        "No file matches {location}.",
        "Check the pattern, or add the first file.",
    ),
    _Form(
        re.compile(r"CSV Error on Line: \d+", re.IGNORECASE),
        "source_csv_line",
        "{detail}",
        "Mend that line, or leave such lines out: ignore_errors is an option of register and of read_csv.",
    ),
    _Form(
        re.compile(r"Error when sniffing file|not possible to automatically detect", re.IGNORECASE),
        "source_csv_form",
        "The form of a CSV file cannot be told: {detail}",
        "Say it: delim, quote, header and columns are options of register and of read_csv.",
        of_place="The form of {location} cannot be told: {detail}",
    ),
    _Form(
        re.compile(r"(?:Malformed JSON|JSON transform error)[^\n]* in file ", re.IGNORECASE),
        "source_json",
        "{detail}",
        "Mend that line, or leave such lines out: ignore_errors is an option of register and of read_json.",
    ),
    _Form(
        _DAMAGED,
        "source_corrupt",
        "A file is damaged, or not of the format it is read as: {detail}",
        "Restore the file, or leave it out of the pattern.",
        of_place="A file of {location} is damaged or no {format} file: {detail}",
    ),
    _Form(
        re.compile(r"Cannot open file|Could not read|No such file", re.IGNORECASE),
        "source_unreadable",
        "{detail}",
        "Check that the file is there and readable.",
    ),
)

_TEXT = re.compile(r"""'((?:[^']|'')+)'|"((?:[^"]|"")+)\"""")
_NAMES_A_FILE = re.compile(r"""["'][^"'\n]*[/.][^"'\n]*["']|file = |: \S*/""")


class Place(NamedTuple):
    """A location that a statement reads, and as which format."""

    location: str
    format: str


def places_in(text: str) -> Iterator[Place]:
    """The files and patterns that a statement names itself, by their endings.

    >>> list(places_in("FROM 'it''s.csv' JOIN read_parquet('s3://b/*.pq') USING (id) WHERE name = 'a.b'"))
    [Place(location="it's.csv", format='csv'), Place(location='s3://b/*.pq', format='parquet')]
    """
    for single, double in _TEXT.findall(text):
        location = single.replace("''", "'") or double.replace('""', '"')
        if (known := relation.format_of(location)) is not None:
            yield Place(location, known)


def explain(problem: errors.NeuroLakeError, places: Sequence[Place]) -> errors.NeuroLakeError:
    """A clearer form of an error that a file caused, or the error itself.

    Args:
        problem: what the engine said.
        places: what the statement reads. Where the error is about none of them, or may be about several, none is named.

    >>> engine = errors.SourceFailed("No magic bytes found at end of file '/o/1.parquet'")
    >>> engine.from_engine = True
    >>> explain(engine, [Place("/c.csv", "csv"), Place("/o/*.parquet", "parquet")]).message
    "A file of /o/*.parquet is damaged or no parquet file: No magic bytes found at end of file '/o/1.parquet'"
    """
    if not problem.from_engine or not _may_be_of_a_file(problem):
        return problem
    detail = problem.message.split("\n\nLINE", 1)[0].strip()
    for form in _PATTERNS:
        if (found := form.pattern.search(detail)) is None:
            continue
        place = _cause(detail, places)
        values = {"detail": detail, **found.groupdict()}
        if place is not None and form.of_place:
            message = form.of_place.format(**values, location=shown(place.location), format=place.format)
        else:
            message = form.message.format(**values)
        return errors.SourceFailed(message, code=form.code, next_step=form.next_step)
    return problem


def _may_be_of_a_file(problem: errors.NeuroLakeError) -> bool:
    """By its kind: errors of reading and binding a text quote names, those of values quote values, and both may say
    anything.
    """
    if isinstance(problem, errors.SourceFailed):
        return True
    if isinstance(problem, errors.ConversionFailed):
        return problem.message.startswith("CSV Error on Line")
    return problem.code == "invalid_request" and _NAMES_A_FILE.search(problem.message) is not None


def _cause(detail: str, places: Sequence[Place]) -> Place | None:
    """The one place that an error is about."""
    fits = {place for place in places if _is_about(detail, place.location)}
    if not fits and not _NAMES_A_FILE.search(detail):
        fits = {place for place in places if place.format == "parquet" or not DAMAGED_FILE.search(detail)}
    return fits.pop() if len(fits) == 1 else None


def _is_about(detail: str, location: str) -> bool:
    """Whether the engine names a location or a file of it."""
    location = urls.hidden(location)
    forms = [re.escape(location)]
    if has_magic(location):
        forms.append(expression(location))
    try:
        return re.search(rf"(?<![\w./-])(?:{'|'.join(forms)})(?![\w/-]|\.\w)", detail) is not None
    except re.error:  # no pattern to us, such as [z-a]
        return location in detail


def changed(
    problem: errors.NeuroLakeError, text: str, source: Source, known: Mapping[str, str], now: Mapping[str, str]
) -> errors.NeuroLakeError:
    """An error that names what has become of a source's columns, where the statement names one of those.

    Args:
        problem: what the binder said.
        text: the statement.
        source: the source it reads.
        known: the columns that the source has had, and the types they had last.
        now: its columns as they are.
    """
    gone = {name: kind for name, kind in known.items() if now.get(name) != kind}
    if not mentions(f"{text}\n{problem.message}", frozenset(map(fold, gone))):
        return problem
    detail = problem.message.split("\n\nLINE", 1)[0].strip()
    return errors.SourceFailed(
        f"The columns of {source.name} have changed ({difference(gone, now, new=False)}). {detail}",
        code="source_changed_columns",
        next_step=f"Use the columns as they are now: DESCRIBE {source.name} shows them.",
    )


def difference(before: Mapping[str, str], now: Mapping[str, str], *, new: bool = True) -> str:
    """What has become of columns, in words.

    >>> difference({"a": "BIGINT", "b": "DATE"}, {"b": "VARCHAR", "c": "DATE"})
    'gone: a; of another type: b (DATE → VARCHAR); new: c (DATE)'
    """
    gone = [name for name in before if name not in now]
    other = [f"{n} ({k} → {now[n]})" for n, k in before.items() if n in now and now[n] != k]
    more = [f"{name} ({kind})" for name, kind in now.items() if name not in before] if new else []
    kinds = {"gone": gone, "of another type": other, "new": more}
    return "; ".join(f"{what}: {_listed(names)}" for what, names in kinds.items() if names) or "their order"


def _listed(names: Sequence[str]) -> str:
    text = ", ".join(names[:NAMED_MAX]) + f" and {len(names) - NAMED_MAX} more" * (len(names) > NAMED_MAX)
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)  # they may reach a log
