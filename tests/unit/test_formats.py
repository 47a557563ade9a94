"""What is written can be read back: every DuckDB type, as table, CSV, JSON, Arrow and Parquet."""

from __future__ import annotations

import csv
import json
from decimal import Decimal
from io import BytesIO, StringIO
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as papq
import pytest

import neurolake
from neurolake.errors import NotSupported
from neurolake.formats import format_of, open_writer, render
from neurolake.formats.table import TableWriter

TYPES = """
SELECT * FROM (VALUES
    (1, true, 1.50::DECIMAL(9, 2), 4.0::DOUBLE, 170141183460469231731687303715884105727::HUGEINT, 'it''s "x", ok',
     DATE '2026-03-01', TIMESTAMP '2026-03-01 12:30:00.5', TIMESTAMP_NS '2026-03-01 12:30:00.123456789',
     TIMESTAMPTZ '2026-03-01 12:30:00+00', TIME '01:02:03', '\\xAB'::BLOB, [1, NULL, 3], {'a': 1, 'b': ['x']},
     MAP {'k': 2.5::DECIMAL(3, 1)}, 'low'::ENUM('low', 'high'), [[1], [2, 3]]),
    (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
    (-7, false, -0.01, 'infinity'::DOUBLE, -1, '', DATE 'infinity', TIMESTAMP '1969-12-31 23:59:59', NULL, NULL,
     TIME '23:59:59.999999', ''::BLOB, [], {'a': NULL, 'b': []}, MAP {}, 'high', [])
) AS t(i, b, d, f, h, s, day, ts, ns, tz, clock, bytes, list, struct, map, enum, nested)
"""


@pytest.fixture(scope="module")
def typed() -> pa.Table:
    with neurolake.connect(":memory:") as lake:
        return lake.sql(TYPES).arrow()


def written(wanted: str, table: pa.Table, rows_per_batch: int = 2) -> bytes:
    sink = BytesIO()
    with open_writer(wanted, sink, table.schema) as writer:
        for batch in table.to_batches(rows_per_batch):
            writer.write(batch)
    return sink.getvalue()


def test_json_is_an_array_of_exact_values(typed: pa.Table) -> None:
    first, nulls, last = json.loads(written("json", typed), parse_float=Decimal)
    assert first == {
        "i": 1, "b": True, "d": Decimal("1.50"), "f": 4, "h": 170141183460469231731687303715884105727,
        "s": 'it\'s "x", ok', "day": "2026-03-01", "ts": "2026-03-01 12:30:00.5", "ns": "2026-03-01 12:30:00.123456789",
        "tz": "2026-03-01 12:30:00+00:00", "clock": "01:02:03", "bytes": "\\xab", "list": [1, None, 3],
        "struct": {"a": 1, "b": ["x"]}, "map": {"k": Decimal("2.5")}, "enum": "low", "nested": [[1], [2, 3]],
    }  # fmt: skip
    assert set(nulls.values()) == {None}
    assert (last["f"], last["day"], last["list"], last["map"]) == (None, "infinity", [], {})
    assert last["struct"] == {"a": None, "b": []}


def test_csv_is_quoted_only_where_needed_and_tells_null_from_empty_text(typed: pa.Table) -> None:
    text = written("csv", typed).decode()
    header, first, nulls, last = text.splitlines()
    assert header == ",".join(typed.schema.names)
    assert first.startswith('1,true,1.50,4.0,170141183460469231731687303715884105727,"it\'s ""x"", ok",2026-03-01,')
    assert nulls == "," * (typed.num_columns - 1)
    assert last.startswith('-7,false,-0.01,inf,-1,"",infinity,1969-12-31 23:59:59,,,23:59:59.999999,')
    rows = list(csv.DictReader(StringIO(text)))
    assert rows[0]["s"] == 'it\'s "x", ok'
    assert json.loads(rows[0]["struct"]) == {"a": 1, "b": ["x"]}


@pytest.mark.parametrize("wanted", ["arrow", "parquet"])
def test_binary_formats_come_back_as_they_were(wanted: str, typed: pa.Table) -> None:
    data = written(wanted, typed)
    back = pa.ipc.open_stream(data).read_all() if wanted == "arrow" else papq.read_table(pa.BufferReader(data))
    assert back.equals(typed)


def test_a_parquet_file_has_few_row_groups_however_small_the_batches_are() -> None:
    data = written("parquet", pa.table({"a": range(5000)}), rows_per_batch=10)
    assert papq.ParquetFile(pa.BufferReader(data)).num_row_groups == 1


def broken(wanted: str, table: pa.Table) -> bytes:
    """What is written of a result whose stream breaks after its first batch."""
    sink = BytesIO()
    with pytest.raises(KeyError), open_writer(wanted, sink, table.schema) as writer:
        writer.write(table.to_batches()[0])
        raise KeyError("the stream broke")
    del writer
    return sink.getvalue()


def test_a_document_that_broke_off_does_not_look_whole(typed: pa.Table) -> None:
    with pytest.raises(json.JSONDecodeError):
        json.loads(broken("json", typed))
    with pytest.raises(pa.ArrowInvalid):
        papq.read_table(pa.BufferReader(broken("parquet", typed)))
    assert b"rows)" not in broken("table", typed)


def test_parquet_refuses_a_type_it_has_not_and_says_what_to_do() -> None:
    table = pa.table({"i": pa.array([pa.MonthDayNano([1, 2, 3])])})
    with pytest.raises(NotSupported, match="month_day_nano_interval") as refused:
        written("parquet", table)
    assert refused.value.code == "format_type"
    assert json.loads(written("json", table)) == [{"i": "1 month 2 days 00:00:00.000000003"}]


def test_no_rows_are_a_document_too() -> None:
    empty = pa.schema([("a", pa.int64()), ("b", pa.string())]).empty_table()
    assert json.loads(written("json", empty)) == []
    assert written("csv", empty) == b"a,b\n"
    assert render(empty.schema, []).splitlines() == ["a  b", "─  ─", "(0 rows)"]


def test_a_table_is_as_wide_as_its_values_and_shows_no_control_characters() -> None:
    batch = pa.record_batch({"n": [1, 1000], "name": ["漢字", "bell\a\x1b[31m\nred"]})
    assert render(batch.schema, [batch]).splitlines() == [
        "   n  name",
        "────  ─────────────────────",
        "   1  漢字",
        "1000  bell\\x07\\x1b[31m\\nred",
        "(2 rows)",
    ]


def test_a_table_cuts_long_values_and_stops_at_its_limit() -> None:
    batch = pa.record_batch({"text": ["x" * 500] * 10})
    lines = render(batch.schema, [batch], rows_max=3).splitlines()
    assert lines[2] == "x" * 59 + "…"
    assert len(lines) == 6
    assert lines[-1] == "(the first 3 rows)"


def test_a_table_can_be_drawn_in_ascii_and_grows_no_wider_for_late_rows() -> None:
    sink = BytesIO()
    with TableWriter(sink, pa.schema([("a", pa.string())]), encoding="ascii") as writer:
        for size in (3, 3, 9):
            writer.write(pa.record_batch({"a": ["é" * size] * 1000}))
    lines = sink.getvalue().decode("ascii").splitlines()
    assert lines[1] == "---"
    assert lines[2] == "\\xe9" * 3
    assert lines[-2:] == ["\\xe9" * 9, "(3,000 rows)"]


@pytest.mark.parametrize(
    ("name", "wanted"),
    [("a.csv", "csv"), ("a.PARQUET", "parquet"), ("a.arrow", "arrow"), ("a.json", "json"), ("a", None)],
)
def test_a_files_name_says_its_format(name: str, wanted: str | None) -> None:
    assert format_of(Path(name)) == wanted
