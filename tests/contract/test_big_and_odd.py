"""Big and odd things through the stock driver: very wide, very long, deeply nested, strangely named."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import adbc_driver_manager
import pyarrow as pa
import pytest

from contract.clients import Flight, failure_of
from contract.wire import Wire, command
from flight.service import Service

COLUMNS = 10_000
LONG = 15_000_000
NAMES = [
    'a "quoted" name',
    "with.dot",
    "with space",
    "Größe 🦆",
    "select",
    "a;b",
    "it's",
    "UPPER",
    "%_\\",
    "--",
    "/* */",
]


@pytest.fixture
def flight(empty_service: Service) -> Iterator[Flight]:
    with closing(Flight(f"grpc://127.0.0.1:{empty_service.port}", autocommit=True)) as flight:
        yield flight


@pytest.fixture
def wire(flight: Flight) -> Iterator[Wire]:
    with Wire.of(flight) as wire:
        yield wire


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


class TestWide:
    def test_ten_thousand_columns(self, flight: Flight, wire: Wire) -> None:
        sent = pa.table({f"column_{n}": pa.array([n, None], pa.int32()) for n in range(COLUMNS)})
        assert flight.load("wide", sent, "create") == 2
        asked = command("CommandStatementQuery", query="FROM wide")
        info = wire.info(asked)
        table = wire.get(info.endpoints[0].ticket)
        assert table.schema.equals(info.schema, check_metadata=False)
        assert table.equals(sent)
        assert flight.connection.adbc_get_table_schema("wide").names == sent.column_names

    def test_many_rows_of_many_columns_come_in_messages_that_pass(self, wire: Wire) -> None:
        sql = "SELECT " + ", ".join(f"range + {n} AS c{n}" for n in range(2_000)) + " FROM range(5_000)"
        stream = wire.stream(wire.info(command("CommandStatementQuery", query=sql)).endpoints[0].ticket)
        chunks = [chunk.data for chunk in stream]
        assert max(chunk.nbytes for chunk in chunks) < 16 << 20
        firsts = [value for chunk in chunks for value in chunk["c7"].to_pylist()]
        assert firsts == list(range(7, 5_007))


class TestLong:
    def test_a_value_of_fifteen_megabytes_out(self, flight: Flight) -> None:
        assert flight.value(f"SELECT repeat('ab', {LONG // 2}) AS s") == "ab" * (LONG // 2)

    def test_bound_and_loaded(self, flight: Flight) -> None:
        value = "y" * LONG
        assert flight.value("SELECT length(?) AS n", [value]) == LONG
        assert flight.load("long", pa.table({"s": [value, "short"]}), "create") == 2
        assert flight.rows("SELECT length(s) AS n FROM long ORDER BY n") == [(5,), (LONG,)]
        assert flight.execute("FROM long")["s"].to_pylist() == [value, "short"]

    def test_one_row_too_long_for_a_message_is_refused_by_name(self, flight: Flight) -> None:
        with pytest.raises(adbc_driver_manager.OperationalError) as caught:
            flight.execute("SELECT repeat('x', 20_000_000) AS s")
        failure = failure_of(caught.value)
        assert (failure.code, "message_bytes_max" in failure.text) == ("limit_reached", True)
        assert failure.query_id
        assert flight.value("SELECT 1") == 1


class TestNothing:
    @pytest.mark.parametrize("sql", ["SELECT 1 AS a WHERE false", "FROM range(0)", "FROM empty", "DESCRIBE empty"])
    def test_empty_results_have_their_columns(self, flight: Flight, sql: str) -> None:
        flight.execute("CREATE TABLE empty (a STRUCT(x INT[], y MAP(VARCHAR, DECIMAL(9, 2))), b ENUM('x'))")
        table = flight.execute(sql)
        assert table.num_columns > 0
        assert table.num_rows == (2 if "DESCRIBE" in sql else 0)
        with flight.connection.cursor() as cursor:
            cursor.execute(sql)
            assert [column[0] for column in cursor.description] == table.column_names


class TestDeep:
    def test_nested_forty_times(self, flight: Flight) -> None:
        kind, value = pa.int32(), 7
        for depth in range(40):
            nested = pa.list_(kind) if depth % 2 else pa.struct([("f", kind)])
            kind, value = nested, [value, None] if depth % 2 else {"f": value}  # type: ignore[assignment]
        sent = pa.table({"x": pa.array([value, None], kind)})
        assert flight.load("deep", sent, "create") == 2
        assert flight.execute("FROM deep")["x"].to_pylist() == [value, None]

    def test_every_kind_of_nesting(self, flight: Flight) -> None:
        kind = pa.map_(
            pa.string(), pa.list_(pa.struct([("a", pa.list_(pa.int16(), 2)), ("m", pa.map_(pa.int8(), pa.bool_()))]))
        )
        rows = [[("k", [{"a": [1, None], "m": [(1, True)]}, None])], [], None, [("l", None)]]
        sent = pa.table({"x": pa.array(rows, kind)})
        flight.load("nested", sent, "create")
        assert flight.execute("FROM nested")["x"].to_pylist() == rows


class TestNames:
    @pytest.mark.parametrize("name", NAMES)
    def test_of_everything(self, flight: Flight, wire: Wire, name: str) -> None:
        q = quoted(name)
        flight.execute(f"CREATE SCHEMA {q}")
        flight.execute(f"CREATE TABLE {q}.{q} ({q} INTEGER PRIMARY KEY)")
        assert flight.change(f"INSERT INTO lake.{q}.{q} ({q}) VALUES (?)", [7]) == 1
        assert flight.execute(f"SELECT {q}.{q} FROM {q}.{q}").to_pylist() == [{name: 7}]
        place = {"catalog": "lake", "db_schema": name}
        (key,) = wire.ask("CommandGetPrimaryKeys", table=name, **place).to_pylist()
        assert (key["db_schema_name"], key["table_name"], key["column_name"]) == (name, name, name)
        pattern = name.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        filters = {"db_schema_filter_pattern": pattern, "table_name_filter_pattern": pattern}
        (row,) = wire.ask("CommandGetTables", include_schema=True, **filters).to_pylist()
        assert pa.ipc.read_schema(pa.py_buffer(row["table_schema"])).names == [name]
        with flight.connection.cursor() as cursor:
            assert cursor.adbc_ingest(name, pa.table({name: [8]}), mode="append", db_schema_name=name) == 1
        assert flight.value(f"SELECT count(*) FROM {q}.{q}") == 2
