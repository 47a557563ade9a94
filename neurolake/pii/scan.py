"""Scan a table: read a sample, classify its columns, record what was found. Values stay in this process's memory."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from neurolake import errors
from neurolake.governance.facts import Finding
from neurolake.identifiers import fold
from neurolake.pii import classify, custom, named, ner, reading, samples
from neurolake.pii.classify import DETECTOR, Verdict
from neurolake.pii.freetext import ENTITY as FREE_TEXT
from neurolake.pii.freetext import sparse, whole
from neurolake.query import OWNER, Principal
from neurolake.sources import problems, relation

if TYPE_CHECKING:
    from neurolake._duckdb import Cursor
    from neurolake.activity import Activity
    from neurolake.catalog import Source
    from neurolake.engine import Engine
    from neurolake.sql.text import Name

__all__ = ["Scanned", "has_new_files", "scan"]

_TEXT = re.compile(r"\b(?:VARCHAR|JSON)\b")
"""Stands in every type that is text, or holds any."""
ENTITIES_PER_COLUMN_MAX = 5
"""A nested column may hold many kinds; the surest are kept."""


@dataclass(frozen=True, slots=True)
class Scanned:
    """What a scan of one table found. `rows` is how many were read."""

    table: Name
    columns: Mapping[str, str]
    findings: tuple[Finding, ...]
    rows: int


def scan(
    engine: Engine,
    name: Name,
    *,
    principal: Principal = OWNER,
    query_id: str = "",
    full: bool = False,
    only_new: bool = False,
    activity: Activity | None = None,
    pause: Callable[[], None] | None = None,
) -> Scanned:
    """Classify every column of a table, view or source, and record it.

    Args:
        engine: whose table.
        name: which.
        principal: who asked, for the audit log.
        query_id: the statement that asked.
        full: read every row of text columns too, for personal data that only few rows hold.
        only_new: of a source that was scanned before, look only at files that have come since.
        activity: the statement that asked, which may be cancelled.
        pause: is called between pieces of a full pass, which then reads them one by one.

    Raises:
        NotFound: there is no such table.
        InvalidRequest: `recogniser_invalid`, `ner_unusable`: what the settings name cannot be used.
        Unavailable: it was replaced or altered meanwhile.
        InternalProblem: `scan_failed`: a fault.
    """
    try:
        return _scan(engine, name, principal, query_id, full, only_new, activity, pause)
    except errors.NeuroLakeError as problem:  # its code stands in the log and the history, where nothing else tells
        source = engine.catalog.sources.get(name.fold())
        places = () if source is None else (problems.Place(source.location, source.format),)
        raise problems.explain(problem, places) from None
    except Exception as fault:  # the boundary to whatever a file may hold: one table must not end the scans of others
        raise errors.InternalProblem(
            f"{name} could not be scanned for personal data: a fault ({type(fault).__name__}).",
            code="scan_failed",
            next_step="Its columns stay closed to governed roles; say by set_pii what they hold, and report the fault.",
        ) from None


def _scan(
    engine: Engine,
    name: Name,
    principal: Principal,
    query_id: str,
    full: bool,
    only_new: bool,
    activity: Activity | None,
    pause: Callable[[], None] | None,
) -> Scanned:
    before = reading.identity(engine, name)
    seen = _files_seen(engine, name) if only_new else None
    sample = reading.read(engine, name, seen, activity)
    leaves, empty, left_out = samples.take(sample.rows)
    kinds, pipeline = custom.load(engine), ner.of(engine)
    check = activity.check if activity else lambda: None
    with reading.borrowed(engine, activity) as cursor:
        verdicts = classify.classify(cursor, leaves, kinds, check)
        verdicts += sparse(cursor, leaves, verdicts)
    if pipeline is not None:
        verdicts += named.verdicts(pipeline, leaves, verdicts, check)
    findings = findings_of(name, verdicts)
    if full:
        with reading.borrowed(engine, activity) as cursor:
            findings += _in_every_row(engine, cursor, name, sample, findings, pause)
    if (
        sample.rows.num_rows
    ):  # an empty table was not looked at: what comes into it stays closed until a scan has seen it
        kept = [] if full and not seen else _kept(engine, name, findings, None if seen else sample.rows.num_rows)
        met = {fold(column) for column in sample.rows.column_names} - {fold(column) for column in empty}
        looked_at = {column: kind for column, kind in sample.types.items() if fold(column) in met}
        engine.governance.classification.record(
            name, looked_at, [*findings, *kept], left_out=left_out, principal=principal, query_id=query_id,
            still=lambda: reading.identity(engine, name) == before,
        )  # fmt: skip
        _note_files(engine, name, sample.files)
    return Scanned(name, sample.types, findings, sample.rows.num_rows)


def findings_of(table: Name, verdicts: Sequence[Verdict]) -> tuple[Finding, ...]:
    """The findings of a table's columns: one for each entity, the surest where a column has it twice."""
    best: dict[tuple[str, str], Verdict] = {}
    for verdict in sorted(verdicts, key=lambda v: -v.confidence):
        best.setdefault((verdict.leaf.column, verdict.entity), verdict)
    counts: dict[str, int] = {}
    found = []
    for (column, entity), verdict in best.items():
        counts[column] = counts.get(column, 0) + 1
        if counts[column] <= ENTITIES_PER_COLUMN_MAX:
            found.append(Finding(
                table, column, entity, verdict.confidence, verdict.evidence, verdict.share, verdict.leaf.cells, DETECTOR
            ))  # fmt: skip
    return tuple(found)


def _in_every_row(
    engine: Engine,
    cursor: Cursor,
    name: Name,
    sample: reading.Sample,
    findings: Sequence[Finding],
    pause: Callable[[], None] | None,
) -> tuple[Finding, ...]:
    known = {one.column for one in findings}
    texts = [column for column, kind in sample.types.items() if _TEXT.search(kind) and column not in known]
    source = engine.catalog.sources.get(name.fold())
    if pause is None and len(sample.new) == len(sample.files):
        read = name.sql() if source is None else relation.reader(source.location, source.format, source.options)
        relations: Iterable[str] = (read,)
    else:
        relations = _paused(reading.pieces(cursor, engine, name, texts, sample.new), pause)
    return tuple(
        Finding(name, column, FREE_TEXT, 0.75, evidence, share, cells, DETECTOR)
        for column, share, evidence, cells in whole(cursor, relations, texts)
    )


def _paused(pieces: Iterable[str], pause: Callable[[], None] | None) -> Iterator[str]:
    for piece in pieces:
        if pause is not None:
            pause()
        yield piece


def _kept(engine: Engine, name: Name, new: Sequence[Finding], rows: int | None) -> list[Finding]:
    """What looks at other files (`rows` None) or at every row showed: a sample adds to it and takes nothing away."""
    have = {(fold(one.column), one.entity) for one in new}
    return [
        one
        for one in engine.governance.classification.findings(name)
        if one.status == "auto"
        and (rows is None or (one.entity == FREE_TEXT and one.sample_size > rows))
        and (fold(one.column), one.entity) not in have
    ]


def _fact(name: Name) -> str:
    return f"pii_files {name.fold()}"


def _files_seen(engine: Engine, name: Name) -> frozenset[str]:
    """Short hashes of the files, not their names: a source may have ten thousand."""
    return frozenset(str(engine.store.fact(_fact(name), "")).split()) - {""}


def has_new_files(engine: Engine, source: Source) -> bool:
    """Whether files have come into a source since it was scanned; False for one that was not, or cannot be listed.

    Raises:
        SourceFailed: it cannot be reached.
    """
    seen = _files_seen(engine, source.name)
    if not seen:
        return False
    engine.storage.refresh(source.location)
    files = engine.instance.acquire_and(lambda cursor: reading.files_of(cursor, source))
    return files != [source.location] and not seen.issuperset(map(reading.short, files))


def _note_files(engine: Engine, name: Name, files: Sequence[str]) -> None:
    if files:
        engine.store.set_fact(_fact(name), " ".join(map(reading.short, files)))
