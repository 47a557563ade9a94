"""Prepared statements and bulk loads, by the messages themselves and by the stock driver."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from typing import Any

import psutil
import pyarrow as pa
import pytest

from contract.clients import Flight
from contract.wire import Wire, command
from flight.service import Service

UTC = datetime.UTC


@pytest.fixture
def wire(empty_service: Service) -> Iterator[Wire]:
    with Wire(f"grpc://127.0.0.1:{empty_service.port}") as wire:
        wire.update(
            "CREATE TABLE t (id INTEGER PRIMARY KEY, name VARCHAR, amount DECIMAL(9, 2), moment TIMESTAMPTZ, "
            "tags VARCHAR[], raw BLOB, pair STRUCT(a INTEGER, b VARCHAR))"
        )
        yield wire


@pytest.fixture
def flight(wire: Wire, empty_service: Service) -> Iterator[Flight]:
    with closing(Flight(f"grpc://127.0.0.1:{empty_service.port}", autocommit=True)) as flight:
        yield flight


def schema(sent: bytes) -> pa.Schema:
    return pa.ipc.read_schema(pa.py_buffer(sent))


def query(handle: bytes) -> bytes:
    return command("CommandPreparedStatementQuery", prepared_statement_handle=handle)


def update(handle: bytes) -> bytes:
    return command("CommandPreparedStatementUpdate", prepared_statement_handle=handle)


TEXT, WHOLE = pa.string(), pa.int32()

PARAMETERS = {
    "INSERT INTO t VALUES (?, ?, ?, ?, ?, ?, ?)": [
        ("1", WHOLE), ("2", TEXT), ("3", pa.decimal128(9, 2)), ("4", pa.timestamp("us", "UTC")),
        ("5", pa.list_(TEXT)), ("6", pa.binary()), ("7", pa.struct([("a", WHOLE), ("b", TEXT)])),
    ],
    "INSERT INTO t (name, id) VALUES ($name, $id)": [("name", TEXT), ("id", WHOLE)],
    "SELECT * FROM t WHERE id = ? AND name LIKE ?": [("1", WHOLE), ("2", TEXT)],
    "UPDATE t SET amount = ? WHERE id BETWEEN ? AND ?": [("1", pa.decimal128(9, 2)), ("2", WHOLE), ("3", WHOLE)],
    "DELETE FROM t WHERE moment < ? RETURNING id": [("1", pa.timestamp("us", "UTC"))],
    "SELECT ?::DATE": [("1", pa.date32())],
    "FROM t LIMIT ? OFFSET ?": [("1", pa.int64()), ("2", pa.int64())],
    "SELECT * FROM t WHERE id IN (?, ?)": [("1", WHOLE), ("2", WHOLE)],
    "SELECT $2 || $1": [("1", TEXT), ("2", TEXT)],
    "SELECT ?": [("1", TEXT)],
    "CALL neurolake.register($name, ?)": None,
}  # fmt: skip


class TestSchemas:
    @pytest.mark.parametrize("sql", [sql for sql, expected in PARAMETERS.items() if expected])
    def test_parameters_have_the_type_of_where_they_stand(self, wire: Wire, sql: str) -> None:
        found = schema(wire.prepare(sql).parameter_schema)
        assert [(field.name, plain(field.type)) for field in found] == PARAMETERS[sql]

    def test_no_parameters(self, wire: Wire) -> None:
        assert wire.prepare("SELECT 1").parameter_schema == b""

    @pytest.mark.parametrize(
        ("sql", "columns"),
        [("SELECT id, ? AS x FROM t", None), ("SELECT id FROM t WHERE id = ?", ["id"]),
         ("INSERT INTO t (id) VALUES (?)", []), ("INSERT INTO t (id) VALUES (?) RETURNING id", ["id"]),
         ("INSERT INTO t (id) SELECT ?", []), ("UPDATE t SET name = ?", []),
         ("MERGE INTO t USING (SELECT ?::INT AS id) s ON t.id = s.id WHEN NOT MATCHED THEN INSERT (id) VALUES (s.id)",
          [])],
    )  # fmt: skip
    def test_rows(self, wire: Wire, sql: str, columns: list[str] | None) -> None:
        prepared = wire.prepare(sql)
        assert prepared.is_update is (columns == [])
        assert prepared.dataset_schema == b"" if not columns else schema(prepared.dataset_schema).names == columns

    def test_the_driver_is_told_too(self, flight: Flight) -> None:
        with flight.connection.cursor() as cursor:
            cursor.adbc_prepare("SELECT * FROM t WHERE id = ?")
            assert cursor.adbc_statement.get_parameter_schema() is not None


def plain(kind: pa.DataType) -> pa.DataType:
    """A list without the name of its items, a moment in any zone as one in UTC: the zone is the session's."""
    if pa.types.is_list(kind):
        return pa.list_(plain(kind.value_type))
    return pa.timestamp(kind.unit, "UTC") if pa.types.is_timestamp(kind) and kind.tz else kind


ROWS = pa.table({
    "1": pa.array([1, 2, 3], pa.int32()),
    "2": ["x", None, "Größe 🦆"],
    "3": pa.array([Decimal("1.50"), None, Decimal("-9999999.99")], pa.decimal128(9, 2)),
    "4": pa.array([datetime.datetime(2024, 1, 1, tzinfo=UTC), None, datetime.datetime(1969, 12, 31, 23, 59, 59, 999999,
                                                                                      tzinfo=UTC)],
                  pa.timestamp("us", "UTC")),
    "5": pa.array([["a", None], None, []], pa.list_(pa.string())),
    "6": pa.array([b"\x00\xff", None, b""], pa.binary()),
    "7": pa.array([{"a": 1, "b": None}, None, {"a": None, "b": "y"}], pa.struct([("a", WHOLE), ("b", TEXT)])),
})  # fmt: skip


def stored(wire: Wire) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = wire.query("FROM t ORDER BY id").to_pylist()
    return rows


def expected() -> list[dict[str, Any]]:
    return list(ROWS.rename_columns(["id", "name", "amount", "moment", "tags", "raw", "pair"]).to_pylist())


class TestBinds:
    INSERT = "INSERT INTO t VALUES (?, ?, ?, ?, ?, ?, ?)"

    def test_many_rows_in_one_put(self, wire: Wire) -> None:
        handle = wire.prepare(self.INSERT).prepared_statement_handle
        assert wire.put(update(handle), ROWS) == 3
        assert stored(wire) == expected()

    def test_row_by_row_where_the_statement_is_no_plain_insert(self, wire: Wire) -> None:
        sql = "INSERT INTO t SELECT ?, ?, ?, ?, ?, ?, ? WHERE true"
        handle = wire.prepare(sql).prepared_statement_handle
        assert wire.put(update(handle), ROWS) == 3
        assert stored(wire) == expected()

    def test_bound_first_and_run_as_a_query(self, wire: Wire) -> None:
        """ADBC's ExecuteQuery of a write: the rows are bound, then it runs; nothing runs before, nothing twice."""
        handle = wire.bind(wire.prepare(self.INSERT).prepared_statement_handle, ROWS)
        assert stored(wire) == []
        info = wire.info(query(handle))
        for _ in range(2):
            assert wire.get(info.endpoints[0].ticket).to_pylist() == [{"Count": 3}]
        assert stored(wire) == expected()

    def test_returning_for_many_rows(self, wire: Wire) -> None:
        prepared = wire.prepare("INSERT INTO t (id, name) VALUES (?, ?) RETURNING id * 10 AS ten")
        handle = wire.bind(prepared.prepared_statement_handle, ROWS.select(["1", "2"]))
        info = wire.info(query(handle))
        table = wire.get(info.endpoints[0].ticket)
        assert table.schema.equals(info.schema, check_metadata=False)
        assert table.to_pylist() == [{"ten": 10}, {"ten": 20}, {"ten": 30}]
        assert len(stored(wire)) == 3

    def test_all_rows_or_none(self, wire: Wire) -> None:
        for sql in (self.INSERT, "INSERT INTO t (id) SELECT ? WHERE true"):
            width = 7 if "VALUES" in sql else 1
            handle = wire.prepare(sql).prepared_statement_handle
            twice = pa.concat_tables([ROWS, ROWS]).select(range(width))
            with pytest.raises(pa.ArrowInvalid, match=r"\[constraint, query"):
                wire.put(update(handle), twice)
            assert stored(wire) == []

    def test_no_row_runs_nothing(self, wire: Wire) -> None:
        handle = wire.prepare(self.INSERT).prepared_statement_handle
        assert wire.put(update(handle), ROWS.slice(0, 0)) == 0
        for sql in (self.INSERT, "INSERT INTO t (id) VALUES (?) RETURNING id", "SELECT ? AS x"):
            handle = wire.bind(wire.prepare(sql).prepared_statement_handle, ROWS.slice(0, 0))
            info = wire.info(query(handle))
            assert sum(wire.get(info.endpoints[0].ticket).to_pydict().get("Count", [])) == 0
        assert stored(wire) == []

    @pytest.mark.parametrize("column", ROWS.column_names)
    def test_a_value_comes_back_as_it_went_in(self, wire: Wire, column: str) -> None:
        sent = ROWS.select([column])
        handle = wire.bind(wire.prepare("SELECT ? AS x").prepared_statement_handle, sent)
        info = wire.info(query(handle))
        table = wire.get(info.endpoints[0].ticket)
        assert table.schema.equals(info.schema, check_metadata=False)
        assert table["x"].to_pylist() == sent[column].to_pylist()
        assert plain(table.schema.field("x").type) == plain(sent.schema.field(column).type)

    def test_a_select_answers_for_every_row_in_order(self, wire: Wire) -> None:
        handle = wire.prepare("SELECT range AS n FROM range(?)").prepared_statement_handle
        wire.bind(handle, pa.table({"1": pa.array([2, 0, 3], pa.int64())}))
        assert wire.get(wire.info(query(handle)).endpoints[0].ticket)["n"].to_pylist() == [0, 1, 0, 1, 2]

    def test_bound_again(self, wire: Wire) -> None:
        handle = wire.prepare("SELECT ? + 1 AS x").prepared_statement_handle
        whole, fraction, none = pa.array([1], pa.int32()), pa.array([1.5]), pa.array([None], pa.int32())
        for sent, back in ((whole, 2), (fraction, 2.5), (none, None)):
            wire.bind(handle, pa.table({"1": sent}))
            assert wire.get(wire.info(query(handle)).endpoints[0].ticket)["x"].to_pylist() == [back]

    def test_a_ticket_keeps_the_values_it_was_made_with(self, wire: Wire) -> None:
        handle = wire.prepare("SELECT ? AS x").prepared_statement_handle
        wire.bind(handle, pa.table({"1": [1]}))
        first = wire.info(query(handle))
        wire.bind(handle, pa.table({"1": [2]}))
        second = wire.info(query(handle))
        assert wire.get(second.endpoints[0].ticket)["x"].to_pylist() == [2]
        assert wire.get(first.endpoints[0].ticket)["x"].to_pylist() == [1]

    @pytest.mark.parametrize("width", [0, 1, 3])
    def test_another_number_of_values_is_refused(self, wire: Wire, width: int) -> None:
        handle = wire.prepare("INSERT INTO t (id, name) VALUES (?, ?)").prepared_statement_handle
        with pytest.raises(pa.ArrowInvalid):
            wire.put(update(handle), ROWS.select(range(width)))
        assert stored(wire) == []

    def test_the_statement_is_planned_for_the_world_it_runs_in(self, wire: Wire) -> None:
        handle = wire.prepare("SELECT * FROM t").prepared_statement_handle
        wire.update("ALTER TABLE t ADD COLUMN more INTEGER")
        info = wire.info(query(handle))
        assert wire.get(info.endpoints[0].ticket).schema.equals(info.schema, check_metadata=False)
        assert info.schema.names[-1] == "more"


class TestHandles:
    def test_closed(self, wire: Wire) -> None:
        handle = wire.prepare("SELECT 1 AS x").prepared_statement_handle
        ticket = wire.info(query(handle)).endpoints[0].ticket
        wire.close_prepared(handle)
        wire.close_prepared(handle)
        assert wire.get(ticket)["x"].to_pylist() == [1]
        for call in (lambda: wire.info(query(handle)), lambda: wire.put(update(handle))):
            with pytest.raises(pa.ArrowKeyError, match=r"\[prepared_unknown\]"):
                call()

    def test_another_sessions(self, wire: Wire, empty_service: Service) -> None:
        handle = wire.prepare("SELECT 1 AS x").prepared_statement_handle
        with Wire(f"grpc://127.0.0.1:{empty_service.port}") as other:
            with pytest.raises(pa.ArrowKeyError, match=r"\[prepared_unknown\]"):
                other.info(query(handle))
            other.close_prepared(handle)
        assert wire.info(query(handle)).endpoints

    def test_a_text_that_is_wrong_makes_none(self, wire: Wire) -> None:
        with pytest.raises(pa.ArrowInvalid, match=r"\[syntax, query"):
            wire.prepare("SELEC 1")

    def test_too_many(self, wire: Wire, empty_service: Service) -> None:
        most = empty_service.settings.prepared_per_session_max
        handles = [wire.prepare("SELECT 1").prepared_statement_handle for _ in range(most)]
        with pytest.raises(pa.ArrowException, match="prepared_per_session_max"):
            wire.prepare("SELECT 1")
        wire.close_prepared(handles[0])
        assert wire.prepare("SELECT 1").prepared_statement_handle

    @pytest.mark.slow
    @pytest.mark.timeout(1200)
    def test_a_hundred_thousand_made_and_closed(self, wire: Wire, empty_service: Service) -> None:
        process = psutil.Process()

        def make(count: int) -> None:
            for number in range(count):
                wire.close_prepared(wire.prepare(f"SELECT {number} + ?").prepared_statement_handle)

        make(5_000)
        before = process.memory_info().rss
        make(95_000)
        assert process.memory_info().rss - before < 30 << 20
        assert all(not session.prepared for session in empty_service.sessions._by_token.values())


APPEND = {"if_not_exist": 2, "if_exists": 2}
REPLACE = {"if_not_exist": 1, "if_exists": 3}
CREATE_APPEND = {"if_not_exist": 1, "if_exists": 2}
PEOPLE = pa.table({"id": pa.array([1, 2], pa.int64()), "name": ["Ada", None]})
MORE = pa.table({"id": pa.array([3], pa.int64()), "name": ["Grace"]})


class TestIngest:
    def ids(self, wire: Wire, name: str = "people") -> list[int]:
        ids: list[int] = wire.query(f"SELECT id FROM {name} ORDER BY id")["id"].to_pylist()
        return ids

    def test_modes(self, wire: Wire) -> None:
        assert wire.ingest("people", PEOPLE) == 2
        with pytest.raises(pa.ArrowInvalid, match=r"\[already_exists, query"):
            wire.ingest("people", MORE)
        assert wire.ingest("people", MORE, **APPEND) == 1
        assert self.ids(wire) == [1, 2, 3]
        assert wire.ingest("people", PEOPLE, **REPLACE) == 2
        assert self.ids(wire) == [1, 2]
        assert wire.ingest("people", MORE, **CREATE_APPEND) == 1
        assert wire.ingest("others", MORE, **CREATE_APPEND) == 1
        with pytest.raises(pa.ArrowKeyError, match=r"\[not_found, query"):
            wire.ingest("nobody", MORE, **APPEND)
        assert (self.ids(wire), self.ids(wire, "others")) == ([1, 2, 3], [3])

    @pytest.mark.parametrize("options", [{"if_not_exist": 2, "if_exists": 1}, {"if_not_exist": 9, "if_exists": 1}])
    def test_a_mode_that_is_none(self, wire: Wire, options: dict[str, int]) -> None:
        with pytest.raises((pa.ArrowInvalid, pa.ArrowNotImplementedError)):
            wire.ingest("people", PEOPLE, **options)

    def test_a_mode_left_out_creates(self, wire: Wire) -> None:
        assert wire.ingest("people", PEOPLE, 0, 0) == 2

    @pytest.mark.parametrize("place", [{"catalog": "lake", "schema": "s"}, {"schema": "s"}])
    def test_into_a_schema(self, wire: Wire, place: dict[str, Any]) -> None:
        wire.update("CREATE SCHEMA s")
        assert wire.ingest("people", PEOPLE, **place) == 2
        assert self.ids(wire, "lake.s.people") == [1, 2]

    @pytest.mark.parametrize(
        ("place", "code"),
        [({"catalog": "other"}, "not_found"), ({"schema": "nowhere"}, "not_found"),
         ({"schema": "neurolake"}, "reserved_name"), ({"schema": "__neurolake"}, "reserved_name")],
    )  # fmt: skip
    def test_into_a_place_that_is_none(self, wire: Wire, place: dict[str, Any], code: str) -> None:
        with pytest.raises(pa.ArrowException, match=rf"\[{code}"):
            wire.ingest("people", PEOPLE, **place)

    def test_temporary(self, wire: Wire, empty_service: Service) -> None:
        assert wire.ingest("people", PEOPLE, temporary=True) == 2
        assert wire.ingest("people", MORE, temporary=True, **APPEND) == 1
        assert self.ids(wire) == [1, 2, 3]
        with Wire(f"grpc://127.0.0.1:{empty_service.port}") as other, pytest.raises(pa.ArrowKeyError):
            other.query("FROM people")

    @pytest.mark.parametrize("commit", [True, False])
    def test_in_a_transaction(self, wire: Wire, empty_service: Service, commit: bool) -> None:
        transaction = wire.begin()
        assert wire.ingest("people", PEOPLE, transaction_id=transaction) == 2
        assert wire.ingest("people", MORE, **APPEND) == 1  # as the stock driver sends it: without the id
        assert self.ids(wire) == [1, 2, 3]
        with Wire(f"grpc://127.0.0.1:{empty_service.port}") as other:
            with pytest.raises(pa.ArrowKeyError):
                other.query("FROM people")
            wire.end(transaction, commit=commit)
            if commit:
                assert self.ids(other) == [1, 2, 3]
            else:
                with pytest.raises(pa.ArrowKeyError):
                    other.query("FROM people")

    def test_another_transaction_is_refused(self, wire: Wire) -> None:
        with pytest.raises(pa.ArrowKeyError, match=r"\[transaction_unknown"):
            wire.ingest("people", PEOPLE, transaction_id=b"no such")
        transaction = wire.begin()
        wire.end(transaction, commit=True)
        with pytest.raises(pa.ArrowKeyError, match=r"\[transaction_unknown"):
            wire.ingest("people", PEOPLE, transaction_id=transaction)

    @pytest.mark.parametrize(
        ("rows", "code"),
        [(pa.table({"id": ["3", "four"], "name": ["a", "b"]}), "conversion"),
         (pa.table({"id": pa.array([3], pa.int64()), "more": ["x"]}), "binding"),
         (pa.table([pa.array([3]), pa.array([4])], ["id", "ID"]), "column_names"),
         (pa.table({"id": pa.array([3], pa.int64()), "name": pa.array([1.5], pa.float16())}), "type"),
         (pa.table({"id": pa.array([None], pa.int64())}), "constraint"),
         (pa.table({"id": pa.array([5, 6, 7, 1], pa.int64())}), "constraint")],
        ids=["value", "column", "names", "type", "null", "key"],
    )  # fmt: skip
    def test_what_does_not_fit_leaves_nothing(self, wire: Wire, rows: pa.Table, code: str) -> None:
        wire.update("CREATE TABLE people (id BIGINT PRIMARY KEY, name VARCHAR)")
        wire.ingest("people", PEOPLE, **APPEND)
        with pytest.raises(pa.ArrowException, match=rf"\[{code}"):
            wire.ingest("people", rows, **APPEND)
        assert self.ids(wire) == [1, 2]

    def test_what_fails_in_a_transaction_leaves_it_to_be_rolled_back(self, wire: Wire) -> None:
        wire.ingest("people", PEOPLE)
        transaction = wire.begin()
        wire.ingest("people", MORE, **APPEND)
        with pytest.raises(pa.ArrowException):
            wire.ingest("people", pa.table({"id": ["four"]}), **APPEND)
        wire.end(transaction, commit=False)
        assert self.ids(wire) == [1, 2]

    def test_exactly_one_answer(self, wire: Wire) -> None:
        asked = command("CommandStatementIngest", table="people", table_definition_options={"if_exists": 1})
        many = pa.Table.from_batches(PEOPLE.to_batches() * 50)
        assert len(wire.put_all(asked, many)) == 1
        assert len(self.ids(wire)) == 100

    @pytest.mark.parametrize("name", ['a "quoted" name', "with.dot", "with space", "Größe 🦆", "select", "a;b", "'"])
    def test_odd_names(self, wire: Wire, name: str) -> None:
        quoted = '"' + name.replace('"', '""') + '"'
        wire.update(f"CREATE SCHEMA {quoted}")
        assert wire.ingest(name, pa.table({name: [1]}), schema=name) == 1
        assert wire.query(f"SELECT {quoted} FROM lake.{quoted}.{quoted}").to_pylist() == [{name: 1}]
        assert wire.ask("CommandGetTables", table_name_filter_pattern=name).num_rows == 1

    def test_by_the_driver(self, flight: Flight, wire: Wire) -> None:
        wire.update("CREATE SCHEMA s")
        with flight.connection.cursor() as cursor:
            place = {"catalog_name": "lake", "db_schema_name": "s"}
            assert cursor.adbc_ingest("people", PEOPLE, mode="create", **place) == 2
            assert cursor.adbc_ingest("people", MORE.to_reader(), mode="append", **place) == 1
            assert cursor.adbc_ingest("mine", PEOPLE, mode="create", temporary=True) == 2
            cursor.execute("SELECT count(*) FROM mine")
            assert cursor.fetchone() == (2,)
        assert self.ids(wire, "s.people") == [1, 2, 3]
