"""Deep redaction: a copy of a table whose free text lacks what `redact` takes out, what Presidio finds, and names.

It is a copy, and no action of a policy. A secure view could only call Presidio as a function written in Python, which
the engine asks for whole vectors of 2,048 cells, from all its threads at once: a LIMIT 3 then reads 2,048 cells, a
cancel is heard when a vector is done, after many seconds, and all other statements of the server wait for the
interpreter that these threads hold. A copy is made once, in one thread, and ends when it is told to.

Nothing is shown that could not be looked at: such a cell is NULL.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pat

from neurolake import errors, loading
from neurolake.arrays import holds_text, with_texts
from neurolake.governance.masks import HIDDEN, REDACTED
from neurolake.identifiers import fold
from neurolake.pii import ner, people, presidio, reading
from neurolake.pii.freetext import ENTITY as FREE_TEXT
from neurolake.sources import relation
from neurolake.sql.text import columns as listed

if TYPE_CHECKING:
    from neurolake._duckdb import Cursor
    from neurolake.activity import Activity
    from neurolake.engine import Engine
    from neurolake.query import Principal
    from neurolake.sql.text import Name

__all__ = ["Copied", "copy", "redacted"]

BATCH_ROWS: Final = 2048
CHARACTERS_MAX: Final = 100_000
"""A longer cell is NULL: what Presidio does with it would take too long."""
_CANDIDATE: Final = r"\p{Lu}|\d|\p{Ll}\s+\p{Ll}"
"""A cell with a capital, a digit, or two words may hold a name or a number; any other is left to the expressions."""
_DIGIT: Final = frozenset("0123456789")
_NATIVE: Final = frozenset(("EMAIL_ADDRESS", "URL", "PHONE_NUMBER", "DATE_TIME", "IP_ADDRESS", "CREDIT_CARD", "UUID"))
"""What the native expressions take out anyway, and Presidio need not be asked about."""

_FAILURES: Final = (
    errors.InvalidRequest, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError,
    TimeoutError,
)  # fmt: skip
"""What the pipeline, and Presidio and what it uses, raise for a text that they cannot read."""

Check = Callable[[], None]


class Copied(NamedTuple):
    """What came of a copy: its rows, the columns whose text was redacted, and those that it does not have."""

    rows: int
    redacted: tuple[str, ...]
    left_out: tuple[str, ...]


def copy(
    engine: Engine,
    name: Name,
    destination: Name,
    columns: Collection[str] | None,
    *,
    principal: Principal,
    activity: Activity | None = None,
) -> Copied:
    """Make a table of another one's rows, with its free text redacted.

    Columns with findings other than free text are left out. Nobody but administrators sees the copy before it was
    scanned or confirmed.

    Args:
        engine: of both.
        name: what is copied: a table, a view of an administrator or a source.
        destination: the table to be made.
        columns: those that are redacted; None for those in which a scan found free text.
        principal: who asked, who must be allowed to make it.
        activity: the statement that asked, which may be cancelled.

    Raises:
        AccessDenied: `redact_denied`: something of what would be copied is hidden from who asked.
        InvalidRequest: `redact_nothing`: there is nothing to redact, or a column is not there or holds no text;
            `ner_unusable`: the pipeline that `pii_ner` names cannot be used.
        AlreadyExists: there is a table of that name.
    """
    if name.fold() in engine.catalog.views:
        raise errors.NotSupported("A role's own view shows each role something else.", next_step="Copy its tables.")
    source = engine.catalog.sources.get(name.fold())
    read = name.sql() if source is None else relation.reader(source.location, source.format, source.options)
    pipeline = ner.strict(engine)
    session = engine.session(principal)
    try:
        with reading.borrowed(engine, activity) as cursor:
            seen = cursor.bind(f"SELECT * FROM {read}")
            types = dict(zip(seen.names, seen.types, strict=True))
            text, left_out = _divided(engine, name, seen.schema, columns)
            kept = {column: kind for column, kind in types.items() if column not in left_out}
            _refuse_hidden(engine, principal, name, types, kept)
            look = Look(pipeline, _nothing if activity is None else activity.check)
            with cursor.stream(f"SELECT {listed(kept)} FROM {read}", rows_per_batch=BATCH_ROWS) as raw:
                _refuse_hidden(engine, principal, name, types, kept)  # the rows are chosen: nothing has moved meanwhile
                shown = pa.RecordBatchReader.from_batches(raw.schema, _batches(cursor, raw, frozenset(text), look))
                rows = loading.load(engine, session, destination.sql(), shown)
    finally:
        session.close()
    return Copied(rows, tuple(text), tuple(left_out))


def _refuse_hidden(
    engine: Engine, principal: Principal, name: Name, types: Mapping[str, str], kept: Collection[str]
) -> None:
    """Refuse who may not read every row, and every column that is kept, as it is: what is copied passes no mask."""
    decision = engine.access.decide(principal, name, types)
    hidden = [one for one in decision.columns if one.column in kept and one.action != "allow"]
    if hidden or decision.filters:
        raise errors.AccessDenied(
            f"A part of {name} is hidden from the role {principal.role}.",
            code="redact_denied",
            next_step=f"Ask an administrator for the copy; CALL neurolake.explain_policy(object => '{name}') says why.",
        )


def _divided(
    engine: Engine, name: Name, schema: pa.Schema | None, columns: Collection[str] | None
) -> tuple[list[str], list[str]]:
    """The columns that are redacted, and those that are left out."""
    found: dict[str, set[str | None]] = {}
    for one in engine.governance.classification.findings(name):
        if one.status != "rejected" and one.entity is not None:
            found.setdefault(fold(one.column), set()).add(one.entity)
    fields = {fold(field.name): field for field in schema or ()}
    wanted = [key for key in fields if FREE_TEXT in found.get(key, ())]
    if columns is not None:
        wanted = [fold(column) for column in columns]
    missing = [key for key in wanted if key not in fields or not holds_text(fields[key].type)]
    if missing or not wanted:
        raise errors.InvalidRequest(
            f"There is no column of text {missing[0]} in {name}." if missing else f"No free text was found in {name}.",
            code="redact_nothing",
            next_step="Scan the table with full => true, or name the columns.",
        )
    left_out = [field.name for key, field in fields.items() if key in found and key not in wanted]
    return [fields[key].name for key in wanted], left_out


def _nothing() -> None:
    pass


class Look(NamedTuple):
    """Who is asked about a cell beside the lists and Presidio, and what raises where somebody has stopped the copy."""

    pipeline: ner.Pipeline | None = None
    check: Check = _nothing


ALONE: Final = Look()


def _batches(cursor: Cursor, rows: pa.RecordBatchReader, text: Collection[str], look: Look) -> Iterator[pa.RecordBatch]:
    while True:
        try:
            batch = rows.read_next_batch()
        except StopIteration:
            return
        except (OSError, ValueError, RuntimeError, pa.ArrowException) as error:
            raise cursor.stream_problem(error) from None
        for start in range(0, batch.num_rows, BATCH_ROWS):
            yield _redacted(batch.slice(start, BATCH_ROWS), text, look)


def _redacted(batch: pa.RecordBatch, text: Collection[str], look: Look) -> pa.RecordBatch:
    arrays = [
        with_texts(column, partial(redacted, look=look)) if name in text else column
        for name, column in zip(batch.schema.names, batch.columns, strict=True)
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=batch.schema)


def redacted(text: pa.Array, look: Look = ALONE) -> pa.Array:
    """What is left of an array of texts; bytes, which nobody reads, become NULL.

    >>> redacted(pa.array(["Anna Nowak, NINO AB 12 34 56 C, left at the door", None])).to_pylist()
    ['***, NINO ***, left at the door', None]
    """
    if not (pat.is_string(text.type) or pat.is_large_string(text.type)):
        return pa.nulls(len(text), text.type)
    mask = pc.fill_null(pc.match_substring_regex(text, _CANDIDATE), False)
    if pc.any(mask).as_py():
        found = text.filter(mask).dictionary_encode()
        shown = pa.array([_cell(cell, look) for cell in found.dictionary.to_pylist()], text.type)
        text = pc.replace_with_mask(text, mask, shown.take(found.indices))
    return pc.replace_substring_regex(text, "|".join(REDACTED), HIDDEN)


def _cell(text: str, look: Look) -> str | None:
    """One text without the names and what Presidio finds in it; None where that cannot be told."""
    look.check()
    if len(text) > CHARACTERS_MAX:
        return None
    with suppress(*_FAILURES):
        found = [*people.spans(text)]
        if look.pipeline is not None:
            found += [(span.start, span.end) for span in look.pipeline.spans([text])[0]]
        if not _DIGIT.isdisjoint(text):
            found += presidio.spans(text, _NATIVE)
        return _without(text, found)
    return None


def _without(text: str, spans: Iterable[tuple[int, int]]) -> str:
    """A text with what lies in the spans hidden; they may overlap.

    >>> _without("abcdefgh", [(4, 6), (1, 3), (2, 5)])
    'a***gh'
    """
    shown: list[str] = []
    at = 0
    for start, end in sorted(spans):
        if end <= at:
            continue
        if start >= at:
            shown += [text[at:start], HIDDEN]
        at = end
    return "".join([*shown, text[at:]])
