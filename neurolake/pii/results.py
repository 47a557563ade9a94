"""Results on their way out: text that is not known to hold personal data is looked at, batch by batch.

It is a net for what scans have missed, not the boundary of governance: who may run SQL can write a value so that no
pattern knows it. The patterns are those of sparse text, run by Arrow's own RE2 without regard to case; check digits
are asked where a kind has them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Final, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from neurolake import errors
from neurolake.arrays import holds_text, with_texts
from neurolake.pii.inside import CHECKS, INSIDE
from neurolake.pii.literals import kinds_in

if TYPE_CHECKING:
    from neurolake.activity import Activity

__all__ = ["ACTIONS", "ADVICE", "CheckedStream", "checked_table", "described", "watched"]

ACTIONS: Final = ("warn", "redact", "block")
"""What may become of personal data in a result, the most restrictive last."""
HIDDEN: Final = "***"
_ESCAPE: Final = re.compile(r"\\u00([2-7][0-9A-Fa-f])")
"""A letter as JSON text may write it: an address is no less one with its `@` spelt so."""
_ESCAPED: Final = r"\\u00[2-7][0-9A-Fa-f]"
ADVICE: Final = (
    "Leave these columns out; or ask an administrator to scan the table, or to say what the columns hold and allow it."
)


class Batches(Protocol):
    """Where batches come from."""

    def read(self) -> pa.RecordBatch | None:
        """The next batch, None at the end."""

    def close(self) -> None:
        """Free what it holds."""


def watched(schema: pa.Schema, known: Collection[bytes]) -> tuple[int, ...]:
    """The columns that may hold text, and whose fields carry none of the marks by which a column is `known`."""
    return tuple(
        place
        for place, field in enumerate(schema)
        if holds_text(field.type) and not any(mark in (field.metadata or {}) for mark in known)
    )


def described(found: Mapping[str, Iterable[str]]) -> tuple[str, ...]:
    """What was found, in a sentence for each column.

    >>> described({"remark": ["PHONE_NUMBER", "EMAIL_ADDRESS"]})
    ('The column remark holds personal data: EMAIL_ADDRESS, PHONE_NUMBER.',)
    """
    return tuple(f"The column {name} holds personal data: {', '.join(sorted(kinds))}." for name, kinds in found.items())


class CheckedStream:
    """The batches of another stream, looked at before they leave.

    Args:
        stream: where the batches come from. Nothing may hide under their NULLs.
        columns: places of the columns that are looked at.
        actions: what is looked for, and what becomes of it.
        activity: the statement: what is found is noted in its `personal`, by column, never a value.

    Raises, in `read`, AccessDenied: `result_personal`, before the first batch leaves that holds what is blocked.
    """

    def __init__(self, stream: Batches, columns: Sequence[int], actions: Mapping[str, str], activity: Activity) -> None:
        self._stream = stream
        self._columns = columns
        self._look = _Look(actions, activity.personal)

    def read(self) -> pa.RecordBatch | None:
        """The next batch, None at the end."""
        batch = self._stream.read()
        return batch if batch is None or not batch.num_rows else self._look.checked(batch, self._columns)

    def close(self) -> None:
        """End the other stream."""
        self._stream.close()


def checked_table(table: pa.Table, columns: Sequence[int], actions: Mapping[str, str], activity: Activity) -> pa.Table:
    """The same of a table that is there already."""
    look = _Look(actions, activity.personal)
    return pa.Table.from_batches([look.checked(batch, columns) for batch in table.to_batches()], table.schema)


class _Look:
    """One look after the other at the columns of one result."""

    def __init__(self, actions: Mapping[str, str], found: dict[str, set[str]]) -> None:
        self._actions = actions
        self._found = found

    def checked(self, batch: pa.RecordBatch, columns: Sequence[int]) -> pa.RecordBatch:
        arrays = batch.columns
        changed = list(arrays)
        for place in columns:
            label = _label(place, batch.schema.names[place])
            changed[place] = with_texts(arrays[place], partial(self._text, label))
        self._refuse()
        if all(new is old for new, old in zip(changed, arrays, strict=True)):
            return batch
        return pa.RecordBatch.from_arrays(changed, schema=batch.schema)

    def _refuse(self) -> None:
        blocked = {
            label: held
            for label, kinds in self._found.items()
            if (held := {kind for kind in kinds if self._actions.get(kind) == "block"})
        }
        if blocked:
            raise errors.AccessDenied(" ".join(described(blocked)), code="result_personal", next_step=ADVICE)

    def _text(self, label: str, text: pa.Array) -> pa.Array:
        """What leaves in place of some text."""
        noted = self._found.get(label, set())
        wanted = tuple(kind for kind, action in self._actions.items() if action == "redact" or kind not in noted)
        mask = pc.match_substring_regex(text, _any_of(wanted), ignore_case=True) if wanted else None
        if mask is None or not pc.any(mask).as_py():
            return text
        some = text.filter(mask)
        changed = self._plain(label, some, wanted)
        changed = self._escaped(label, changed, wanted)
        return text if changed is some else pc.replace_with_mask(text, pc.fill_null(mask, False), changed)

    def _plain(self, label: str, some: pa.Array, wanted: Iterable[str]) -> pa.Array:
        for kind in wanted:
            mask = pc.match_substring_regex(some, INSIDE[kind], ignore_case=True)
            if not pc.any(mask).as_py():
                continue
            if kind in CHECKS:
                some = self._by_cell(label, some, mask, partial(_of_kind, kind))
            else:
                self._note(label, kind)
                if self._actions[kind] == "redact":
                    some = pc.replace_substring_regex(some, f"(?i:{INSIDE[kind]})", HIDDEN)
        return some

    def _escaped(self, label: str, some: pa.Array, wanted: tuple[str, ...]) -> pa.Array:
        mask = pc.match_substring_regex(some, _ESCAPED)
        return self._by_cell(label, some, mask, partial(_spelt_out, wanted)) if pc.any(mask).as_py() else some

    def _by_cell(
        self, label: str, some: pa.Array, mask: pa.Array, look: Callable[[str], tuple[Sequence[str], str]]
    ) -> pa.Array:
        """Cells that must be looked at one by one, since what they seem to hold may be none."""
        shown, redacted = [], False
        for cell in some.filter(mask).to_pylist():
            text = cell.decode("latin-1") if isinstance(cell, bytes) else cell
            kinds, hidden = look(text)
            for kind in kinds:
                self._note(label, kind)
            hides = any(self._actions[kind] == "redact" for kind in kinds)
            redacted |= hides
            after = hidden if hides else text
            shown.append(after.encode("latin-1") if isinstance(cell, bytes) else after)
        return pc.replace_with_mask(some, mask, pa.array(shown, some.type)) if redacted else some

    def _note(self, label: str, kind: str) -> None:
        self._found.setdefault(label, set()).add(kind)


@lru_cache(maxsize=256)
def _any_of(kinds: tuple[str, ...]) -> str:
    return "|".join([*(f"(?:{INSIDE[kind]})" for kind in kinds), _ESCAPED])


@lru_cache(maxsize=64)
def _compiled(kind: str) -> re.Pattern[str]:
    return re.compile(INSIDE[kind], re.ASCII | re.IGNORECASE)


def _of_kind(kind: str, text: str) -> tuple[Sequence[str], str]:
    """The kind, if a text holds it, and the text without what passes the kind's check.

    >>> _of_kind("CREDIT_CARD", "paid by 4111 1111 1111 1111, order 4111111111111112")
    (('CREDIT_CARD',), 'paid by ***, order 4111111111111112')
    """
    check = CHECKS.get(kind)
    hidden = _compiled(kind).sub(lambda hit: HIDDEN if check is None or check(hit[0]) else hit[0], text)
    return ((kind,), hidden) if hidden != text else ((), text)


def _spelt_out(kinds: Iterable[str], text: str) -> tuple[Sequence[str], str]:
    """The kinds that a text with escapes holds; what is left of it is one JSON string.

    >>> _spelt_out(["EMAIL_ADDRESS"], r'{"to": "ann\\u0040example.org"}')
    (['EMAIL_ADDRESS'], '"***"')
    """
    plain = _ESCAPE.sub(lambda hit: chr(int(hit[1], 16)), text)
    return [kind for kind in kinds if _of_kind(kind, plain)[0]], f'"{HIDDEN}"'


def _label(place: int, name: str) -> str:
    """What a column is called where it is spoken of: a name may be a value itself, as a pivot makes them.

    >>> _label(0, "remark"), _label(1, "ann@example.org")
    ('remark', '2')
    """
    return str(place + 1) if kinds_in(name) else name
