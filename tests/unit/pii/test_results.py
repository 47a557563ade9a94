"""What a look at outgoing batches finds, takes out and keeps, whatever the type and however the array is cut."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from neurolake import errors
from neurolake.activity import Activity
from neurolake.pii import checks
from neurolake.pii.inside import INSIDE
from neurolake.pii.results import CheckedStream, checked_table, watched
from neurolake.query import OWNER
from neurolake.result import TableStream

MAIL = "ann@example.org"
REDACT = dict.fromkeys(INSIDE, "redact")


def activity() -> Activity:
    return Activity("q", OWNER, "test", "")


def redacted(array: pa.Array) -> pa.Array:
    table = pa.table({"c": array})
    return checked_table(table, watched(table.schema, ()), REDACT, activity()).column(0)


PAIRS: list[tuple[pa.DataType, Any, Any]] = [
    (pa.string(), MAIL, "***"),
    (pa.large_string(), MAIL, "***"),
    (pa.binary(), MAIL.encode() + b"\xff", b"***\xff"),
    (pa.large_binary(), MAIL.encode(), b"***"),
    (pa.list_(pa.string()), ["x", None, MAIL], ["x", None, "***"]),
    (pa.large_list(pa.string()), [MAIL], ["***"]),
    (pa.list_(pa.string(), 2), [MAIL, "x"], ["***", "x"]),
    (pa.struct([("n", pa.int32()), ("s", pa.list_(pa.string()))]), {"n": 1, "s": [MAIL]}, {"n": 1, "s": ["***"]}),
    (pa.map_(pa.string(), pa.string()), [(MAIL, "x")], [("***", "x")]),
    (pa.list_(pa.struct([("m", pa.map_(pa.int32(), pa.string()))])), [{"m": [(1, MAIL)]}], [{"m": [(1, "***")]}]),
    (pa.dictionary(pa.uint8(), pa.string()), MAIL, "***"),
]


@pytest.mark.parametrize(("kind", "value", "shown"), PAIRS, ids=[str(kind) for kind, _, _ in PAIRS])
def test_every_type_that_holds_text(kind: pa.DataType, value: Any, shown: Any) -> None:
    whole = pa.array([None, value, None, value], kind)
    for start, length in ((0, 4), (1, 3), (1, 2), (3, 1)):
        cut = whole.slice(start, length)
        after = redacted(cut)
        after.validate(full=True)
        assert after.type == kind
        assert after.to_pylist() == [None if one is None else shown for one in cut.to_pylist()]


def test_unions() -> None:
    codes = pa.array([0, 1, 0], pa.int8())
    union = pa.UnionArray.from_sparse(codes, [pa.array([MAIL, "x", "y"]), pa.array([1, 2, 3])])
    for start in (0, 1):
        after = redacted(union.slice(start))
        assert after.to_pylist() == ["***", 2, "y"][start:]


def test_clean_batches_leave_as_they_came() -> None:
    table = pa.table({"c": ["x", None], "n": [1, 2], "s": [["y"], []]})
    stream = CheckedStream(TableStream(table), watched(table.schema, ()), REDACT, activity())
    batch = stream.read()
    assert batch is not None
    assert all(
        new.buffers() == old.buffers() for new, old in zip(batch.columns, table.to_batches()[0].columns, strict=True)
    )


def test_marked_columns_and_columns_without_text_are_not_watched() -> None:
    marked = pa.field("c", pa.string(), metadata={b"known": b"1"})
    schema = pa.schema([marked, pa.field("n", pa.list_(pa.int32())), pa.field("s", pa.string())])
    assert watched(schema, (b"known",)) == (2,)


def test_a_kind_that_is_blocked_ends_the_stream_before_its_batch() -> None:
    table = pa.Table.from_batches([pa.record_batch({"c": [value]}) for value in ("x", MAIL, "y")])
    stream = CheckedStream(TableStream(table), (0,), {"EMAIL_ADDRESS": "block"}, activity())
    first = stream.read()
    assert first is not None
    assert first.column(0).to_pylist() == ["x"]
    with pytest.raises(errors.AccessDenied, match="EMAIL_ADDRESS") as caught:
        stream.read()
    assert MAIL not in str(caught.value)


def test_what_only_looks_like_it_stays() -> None:
    cells = ["order 4111111111111112", "DE00 3704 0044 0532 0130 00", "c.city", "10.20.300.4", "ab" * 16]
    assert redacted(pa.array(cells)).to_pylist() == cells


@pytest.mark.parametrize("after", ["", " from ann", "FROM", " PAID TODAY"])
def test_an_iban_is_one_whatever_word_follows(after: str) -> None:
    for iban in ("ES9121000418450200051332", "NO9386011117947", "MT84MALT011000012345MTLCAST001S"):
        assert checks.iban_in_front(iban)
        assert iban not in str(redacted(pa.array([f"to {iban}{after if after[:1] in ('', ' ') else ' ' + after}"])))


def test_an_iban_is_as_long_as_its_countrys_are() -> None:
    for iban in ("DE89370400440532013000", "FR1420041010050500013M02606", "GB29NWBK60161331926819",
                 "PL61109010140000071219812874", "MT84MALT011000012345MTLCAST001S", "LC55HEMM000100010012001200023015",
                 "BE68539007547034", "CH9300762011623852957", "TR330006100519786457841326"):  # fmt: skip
        assert checks.iban_in_front(iban)
        assert not checks.iban_in_front(iban[:-1])
