"""Any Arrow table that DuckDB can hold comes back as it went in: by load, by ingest, and as bound parameters."""

from __future__ import annotations

import datetime
import math
import uuid
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import adbc_driver_flightsql.dbapi as flight_sql
import adbc_driver_manager
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import neurolake
from flight.service import Service
from neurolake import errors
from neurolake.config import load
from neurolake.home import Home

PASSWORD = "a password for tests"
EXAMPLES = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)

TEXT = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=20)
DATES = st.dates(datetime.date(1, 1, 1), datetime.date(9999, 12, 31))
MOMENTS = st.datetimes(datetime.datetime(1, 1, 2), datetime.datetime(9999, 12, 30))
FINE_MOMENTS = st.datetimes(datetime.datetime(1678, 1, 1), datetime.datetime(2261, 12, 31))  # what 64 bits of ns reach
SECONDS = MOMENTS.map(lambda m: m.replace(microsecond=0))
MILLISECONDS = MOMENTS.map(lambda m: m.replace(microsecond=m.microsecond // 1000 * 1000))
SPANS = st.integers(-(10**12), 10**12).map(lambda us: datetime.timedelta(microseconds=us))
TIMES = st.times()


def whole(bits: int, *, signed: bool = True) -> st.SearchStrategy[int]:
    return st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else st.integers(0, 2**bits - 1)


def decimals(precision: int, scale: int) -> st.SearchStrategy[Decimal]:
    most = 10**precision - 1
    return st.integers(-most, most).map(lambda value: Decimal(f"{value}E-{scale}"))


INTERVALS = st.tuples(st.integers(-1000, 1000), st.integers(-10_000, 10_000), st.integers(-(10**12), 10**12)).map(
    lambda parts: pa.MonthDayNano([parts[0], parts[1], parts[2] * 1000])
)

# Each Arrow type that DuckDB holds, with its values.
PLAIN: list[tuple[pa.DataType, st.SearchStrategy[Any]]] = [
    (pa.bool_(), st.booleans()),
    *((getattr(pa, f"int{bits}")(), whole(bits)) for bits in (8, 16, 32, 64)),
    *((getattr(pa, f"uint{bits}")(), whole(bits, signed=False)) for bits in (8, 16, 32, 64)),
    (pa.float32(), st.floats(width=32)),
    (pa.float64(), st.floats()),
    *((pa.decimal128(*shape), decimals(*shape)) for shape in ((4, 1), (9, 9), (18, 0), (38, 10), (38, 38))),
    (pa.string(), TEXT),
    (pa.large_string(), TEXT),
    (pa.string_view(), TEXT),
    (pa.binary(), st.binary(max_size=20)),
    (pa.large_binary(), st.binary(max_size=20)),
    (pa.binary(4), st.binary(min_size=4, max_size=4)),
    (pa.date32(), DATES),
    (pa.time32("ms"), TIMES.map(lambda t: t.replace(microsecond=t.microsecond // 1000 * 1000))),
    (pa.time64("us"), TIMES),
    (pa.time32("s"), TIMES.map(lambda t: t.replace(microsecond=0))),
    (pa.time64("ns"), TIMES),
    (pa.timestamp("s"), SECONDS),
    (pa.timestamp("ms"), MILLISECONDS),
    (pa.timestamp("us"), MOMENTS),
    (pa.timestamp("ns"), FINE_MOMENTS),
    *(
        (pa.timestamp(unit, tz="UTC"), values.map(lambda m: m.replace(tzinfo=datetime.UTC)))
        for unit, values in (("s", SECONDS), ("ms", MILLISECONDS), ("us", MOMENTS), ("ns", FINE_MOMENTS))
    ),
    (pa.timestamp("us", tz="Asia/Tokyo"), FINE_MOMENTS.map(lambda m: m.replace(tzinfo=datetime.UTC))),
    (pa.date64(), DATES),
    (pa.duration("us"), SPANS),
    (pa.duration("s"), SPANS.map(lambda span: datetime.timedelta(seconds=int(span.total_seconds())))),
    (pa.uuid(), st.uuids().map(lambda value: value.bytes)),
    (pa.binary_view(), st.binary(max_size=20)),
    (pa.decimal32(5, 1), decimals(5, 1)),
    (pa.decimal64(18, 9), decimals(18, 9)),
    (pa.month_day_nano_interval(), INTERVALS),
    (pa.dictionary(pa.int8(), pa.string()), st.sampled_from(["a", "b", "", "d'é"])),
    (pa.null(), st.none()),
]


@st.composite
def typed(draw: st.DrawFn, depth: int = 2, *, views: bool = True) -> tuple[pa.DataType, st.SearchStrategy[Any]]:
    """A type with its values, nested or not; `views`, list views among them."""
    shape = draw(
        st.sampled_from(
            ["plain"] * 4 + ["list", "large", "fixed", "struct", "map"] * (depth > 0) + ["view"] * views * (depth > 0)
        )
    )
    if shape == "plain":
        plain: tuple[pa.DataType, st.SearchStrategy[Any]] = draw(st.sampled_from(PLAIN))
        return plain
    kind, values = draw(typed(depth=depth - 1, views=views))
    if pa.types.is_dictionary(kind) or pa.types.is_null(kind) or isinstance(kind, pa.BaseExtensionType):
        kind, values = pa.string(), TEXT
    maybe = st.none() | values
    match shape:
        case "list":
            return pa.list_(kind), st.lists(maybe, max_size=4)
        case "large":
            return pa.large_list(kind), st.lists(maybe, max_size=4)
        case "view":
            return pa.list_view(kind), st.lists(maybe, max_size=4)
        case "fixed":
            return pa.list_(kind, 2), st.lists(maybe, min_size=2, max_size=2)
        case "map":
            key, keys = draw(st.sampled_from([(pa.string(), TEXT), (pa.int32(), whole(32)), (pa.date32(), DATES)]))
            return pa.map_(key, kind), st.dictionaries(keys, maybe, max_size=3).map(lambda d: list(d.items()))
    other, others = draw(st.sampled_from([one for one in PLAIN[:-2] if not isinstance(one[0], pa.BaseExtensionType)]))
    made = pa.struct([("a", kind), ("B c", other)])
    return made, st.fixed_dictionaries({"a": maybe, "B c": st.none() | others})


@st.composite
def tables(draw: st.DrawFn, *, views: bool = True) -> pa.Table:
    """A table of a few columns and rows, in one batch or several."""
    rows = draw(st.integers(0, 12))
    columns = {}
    for number in range(draw(st.integers(1, 4))):
        kind, values = draw(typed(views=views))
        taken = draw(st.lists(st.none() | values, min_size=rows, max_size=rows))
        columns[f"c{number}"] = array(taken, kind)
    table = pa.table({"row": pa.array(range(rows), pa.int64()), **columns})
    return table if rows < 2 or draw(st.booleans()) else pa.concat_tables([table.slice(0, 1), table.slice(1)])


def array(values: list[Any], kind: pa.DataType) -> pa.Array:
    if pa.types.is_dictionary(kind):
        return pa.array(values, pa.string()).dictionary_encode().cast(kind)
    return pa.array(values, kind)


def same(one: Any, other: Any) -> bool:
    """Whether two values are the same, NaN and the two zeros included."""
    if isinstance(one, float) and isinstance(other, float):
        return (math.isnan(one) and math.isnan(other)) or (
            one == other and math.copysign(1, one) == math.copysign(1, other)
        )
    if isinstance(one, datetime.timedelta) and isinstance(other, pa.MonthDayNano):
        return bool(one // datetime.timedelta(microseconds=1) * 1000 == other.nanoseconds and other[:2] == (0, 0))
    if isinstance(one, uuid.UUID) and isinstance(other, str):
        return str(one) == other
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, tuple) and isinstance(other, tuple) and not isinstance(one, pa.MonthDayNano):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return bool(one == other)


def check(sent: pa.Table, back: pa.Table) -> None:
    assert back.num_rows == sent.num_rows
    assert back.column_names == sent.column_names
    for name in sent.column_names:
        before, after = sent[name].to_pylist(), back[name].to_pylist()
        assert all(map(same, before, after)), (name, sent.schema.field(name).type, before, after)


@pytest.fixture(scope="module")
def lake() -> Iterator[neurolake.Lake]:
    with neurolake.connect(":memory:") as lake:
        yield lake


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    home = Home.open(tmp_path_factory.mktemp("round") / "lake", create=True)
    service = Service(home, load(home.path, flags={"port": 0, "http_port": 0, "admin_password": PASSWORD}))
    service.start()
    with flight_sql.connect(
        f"grpc://127.0.0.1:{service.port}", db_kwargs={"username": "admin", "password": PASSWORD}, autocommit=True
    ) as connection:
        yield connection
    service.stop()


@EXAMPLES
@given(tables())
def test_loaded_into_an_embedded_lake(lake: neurolake.Lake, table: pa.Table) -> None:
    lake.load("t", table, "replace")
    check(table, lake.sql("SELECT * FROM t ORDER BY row").arrow())


@EXAMPLES
@given(tables())
def test_appended_to_a_table_that_is_there(lake: neurolake.Lake, table: pa.Table) -> None:
    lake.load("t", table.slice(0, 0), "replace")
    lake.load("t", table, "append")
    check(table, lake.sql("SELECT * FROM t ORDER BY row").arrow())


@EXAMPLES
@given(tables(views=False))  # the driver in Go fails to write list views
def test_ingested_by_the_driver(connection: Any, table: pa.Table) -> None:
    with connection.cursor() as cursor:
        cursor.adbc_ingest(
            "t", table if table.num_rows else pa.RecordBatch.from_pylist([], table.schema), mode="replace"
        )
        cursor.execute("SELECT * FROM t ORDER BY row")
        check(table, cursor.fetch_arrow_table())


@EXAMPLES
@given(tables(views=False))  # the driver in Go fails to write list views
def test_bound_by_the_driver(connection: Any, table: pa.Table) -> None:
    """Every row of parameters goes into a table made from the same data, whose types tell what came."""
    marks = ", ".join("?" * table.num_columns)
    with connection.cursor() as cursor:
        empty = pa.RecordBatch.from_pylist([], table.schema)
        cursor.adbc_ingest("t", empty, mode="replace")
        if table.num_rows:
            cursor.executemany(f"INSERT INTO t VALUES ({marks})", table)
        cursor.execute("SELECT * FROM t ORDER BY row")
        check(table, cursor.fetch_arrow_table())


@EXAMPLES
@given(st.data())
def test_selected_as_a_parameter(connection: Any, data: st.DataObject) -> None:
    kind, values = data.draw(typed(views=False))
    sent = pa.table({"x": array([data.draw(st.none() | values)], kind)})
    with connection.cursor() as cursor:
        try:
            cursor.execute("SELECT ? AS x", sent)
        except adbc_driver_manager.Error as error:
            assert "[parameter_type" in str(error) or "[conversion" in str(error)
            return
        check(sent, cursor.fetch_arrow_table())


FINE = pa.timestamp("ns", tz="UTC")


@pytest.mark.parametrize(
    ("parameter", "shown"),
    [
        (pa.array([1001], FINE), "1970-01-01 00:00:00.000001001+00"),
        (pa.array([[1001]], pa.list_(FINE)), "['1970-01-01 00:00:00.000001001+00']"),
        (pa.array([[("a", None)]], pa.map_(pa.string(), FINE)), "{a=NULL}"),
        (pa.array([[("a", 1001)]], pa.map_(pa.string(), FINE)), "{a='1970-01-01 00:00:00.000001001+00'}"),
        (pa.array([[-1]], pa.list_(pa.timestamp("us", tz="Asia/Tokyo"))), "['1969-12-31 23:59:59.999999+00']"),
    ],
    ids=str,
)
def test_moments_keep_their_digits_and_their_zone(connection: Any, parameter: pa.Array, shown: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT x, x::VARCHAR FROM (SELECT ? AS x)", pa.table({"x": parameter}))
        answer = cursor.fetch_arrow_table()
    assert answer[1].to_pylist() == [shown]
    check(pa.table({"x": parameter}), answer.select([0]))


@pytest.mark.parametrize(
    ("array", "kind"),
    [
        (pa.array([1.5], pa.float16()), "halffloat"),
        (pa.array([Decimal(10) ** 50], pa.decimal256(60, 0)), "decimal256"),
        (pa.array([Decimal(100)], pa.decimal128(3, -2)), "decimal128(3, -2)"),
        (pa.array([[1.5]], pa.list_(pa.float16())), "halffloat"),
        (pa.DictionaryArray.from_arrays(pa.array([0], pa.int8()), pa.array([1.5], pa.float16())), "halffloat"),
        (pa.array([[]], pa.list_(pa.int32(), 0)), "fixed_size_list"),
        (pa.array([{"a": 1.5}], pa.struct([("a", pa.float16())])), "halffloat"),
        (pa.array([pa.MonthDayNano([0, 0, 1])]), "finer than a microsecond"),
        (pa.array([1001], pa.duration("ns")), "finer than a microsecond"),
        (pa.array([[None], None, [1001]], pa.list_(pa.duration("ns"))), "finer than a microsecond"),
    ],
    ids=str,
)
@pytest.mark.parametrize("streamed", [False, True])
def test_what_would_be_lost_is_refused_by_name(
    lake: neurolake.Lake, array: pa.Array, kind: str, streamed: bool
) -> None:
    table = pa.table({"fine": [1] * len(array), "odd one": array})
    with pytest.raises(errors.NotSupported) as caught:
        lake.load("t", table.to_reader() if streamed else table, "replace")
    assert "odd one" in caught.value.message
    assert kind in caught.value.message


@pytest.mark.parametrize(
    "schema",
    [pa.schema([("a", pa.int8()), ("A", pa.int8())]), pa.schema([("", pa.int8())]),
     pa.schema([("s", pa.struct([("x", pa.int8()), ("X", pa.int8())]))])],
    ids=["twice", "none", "inside"],
)  # fmt: skip
def test_names_that_would_be_changed_are_refused(lake: neurolake.Lake, schema: pa.Schema) -> None:
    with pytest.raises(errors.InvalidRequest) as caught:
        lake.load("t", schema.empty_table(), "replace")
    assert caught.value.code == "column_names"


@pytest.mark.parametrize(
    ("array", "shown"),
    [(pa.array([1_500_000], pa.duration("us")), "00:00:01.5"),
     (pa.array([1000, 0], pa.duration("ns")), "00:00:00.000001"),
     (pa.array([b"\x12" * 16], pa.uuid()), "12121212-1212-1212-1212-121212121212"),
     (pa.array([1], pa.date64()), "1970-01-01"), (pa.array([1], pa.time64("ns")), "00:00:00.000000001"),
     (pa.array([1], pa.timestamp("ns")), "1970-01-01 00:00:00.000000001")],
    ids=str,
)  # fmt: skip
def test_types_that_become_the_engines_own(lake: neurolake.Lake, array: pa.Array, shown: str) -> None:
    lake.load("t", pa.table({"x": array}), "replace")
    assert lake.sql("SELECT x::VARCHAR FROM t LIMIT 1").fetchall() == [(shown,)]


def test_what_a_stream_raises_is_told_as_it_was(lake: neurolake.Lake) -> None:
    schema = pa.schema([("a", pa.int64())])

    def batches(problem: Exception) -> Iterator[pa.RecordBatch]:
        yield pa.record_batch({"a": [1]}, schema=schema)
        raise problem

    lake.load("t", schema.empty_table(), "replace")
    for problem in (errors.SourceFailed("gone", code="gone"), ZeroDivisionError("by hand")):
        reader = pa.RecordBatchReader.from_batches(schema, batches(problem))
        with pytest.raises(errors.NeuroLakeError) as caught:
            lake.load("t", reader, "append")
        assert "Traceback" not in str(caught.value)
        assert ("gone" in str(caught.value)) or ("by hand" in str(caught.value))
    assert lake.sql("SELECT count(*) FROM t").fetchall() == [(0,)]
