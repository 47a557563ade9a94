"""What a client may ask about the catalog: tables, columns, keys, types, and what the server says of itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.flight as paflight
import pyarrow.parquet as pq
import pytest

from contract.clients import Flight
from contract.conftest import serving
from contract.wire import Wire, command
from flight.protocol import schemas
from flight.protocol.type_info import xdbc_type_info
from flight.service import Service

KEY = b"ARROW:FLIGHT:SQL:"

SETUP = """
    CREATE SCHEMA sales;
    CREATE SEQUENCE ids;
    CREATE TABLE sales.customers (
        region VARCHAR, id INTEGER, name VARCHAR NOT NULL, email VARCHAR UNIQUE, PRIMARY KEY (region, id)
    );
    CREATE TABLE sales.orders (
        id BIGINT PRIMARY KEY DEFAULT nextval('ids'),
        customer_region VARCHAR, customer_id INTEGER, email VARCHAR REFERENCES sales.customers (email),
        amount DECIMAL(12, 3), placed TIMESTAMPTZ, tags VARCHAR[], note VARCHAR,
        FOREIGN KEY (customer_region, customer_id) REFERENCES sales.customers (region, id)
    );
    COMMENT ON COLUMN sales.orders.note IS 'what the customer said';
    CREATE TABLE plain (a_b INTEGER, "a.b" DOUBLE, "Größe 🦆" BLOB);
    CREATE TABLE odd (u UHUGEINT, b BIT, t TIMETZ, e ENUM ('it''s', 'b'), s STRUCT("x y" JSON)[], m MAP(UUID, BIGNUM));
    CREATE TABLE "axb" (a INTEGER);
    CREATE TABLE "a_b" (a INTEGER);
    CREATE VIEW v AS SELECT id, amount FROM sales.orders;
    CREATE TEMP TABLE "Mine" (a INTEGER NOT NULL)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the one source's file is."""
    return tmp_path_factory.mktemp("metadata")


@pytest.fixture(scope="module")
def served(folder: Path) -> Iterator[Service]:
    """A lake that the tests ask about. What one of them makes, it drops."""
    with serving(folder) as service:
        yield service


@pytest.fixture(scope="module")
def wire(served: Service, folder: Path) -> Iterator[Wire]:
    with Wire(f"grpc://127.0.0.1:{served.port}") as wire:
        wire.update(SETUP)
        pq.write_table(pa.table({"id": pa.array([1], pa.int64()), "name": ["x"]}), folder / "s.parquet")
        wire.query(f"CALL neurolake.register('source', '{folder}/s.parquet')")
        yield wire


@pytest.fixture(scope="module")
def flight(wire: Wire, served: Service) -> Iterator[Flight]:
    flight = Flight(f"grpc://127.0.0.1:{served.port}", autocommit=True)
    yield flight
    flight.close()


def tables(wire: Wire, **wanted: Any) -> list[str]:
    """The tables found, without the system's own."""
    rows = wire.ask("CommandGetTables", **wanted).to_pylist()
    return [f"{row['db_schema_name']}.{row['table_name']}" for row in rows if row["table_type"] != "SYSTEM TABLE"]


OURS = ["main.a_b", "main.axb", "main.odd", "main.plain", "sales.customers", "sales.orders"]
ALL = sorted([*OURS, "None.Mine", "main.source", "main.v"])

COMMANDS = {
    "CommandGetCatalogs": (schemas.CATALOGS, {}),
    "CommandGetDbSchemas": (schemas.DB_SCHEMAS, {}),
    "CommandGetTables": (schemas.TABLES, {}),
    "CommandGetTableTypes": (schemas.TABLE_TYPES, {}),
    "CommandGetPrimaryKeys": (schemas.PRIMARY_KEYS, {"table": "orders"}),
    "CommandGetExportedKeys": (schemas.FOREIGN_KEYS, {"table": "customers"}),
    "CommandGetImportedKeys": (schemas.FOREIGN_KEYS, {"table": "orders"}),
    "CommandGetCrossReference": (schemas.FOREIGN_KEYS, {"pk_table": "customers", "fk_table": "orders"}),
    "CommandGetXdbcTypeInfo": (schemas.XDBC_TYPE_INFO, {}),
    "CommandGetSqlInfo": (schemas.SQL_INFO, {}),
}


class TestSchemas:
    @pytest.mark.parametrize("name", COMMANDS)
    def test_all_three_are_the_references(self, wire: Wire, name: str) -> None:
        reference, fields = COMMANDS[name]
        asked = command(name, **fields)
        info = wire.info(asked)
        assert wire.schema(asked).equals(reference, check_metadata=True)
        assert info.schema.equals(reference, check_metadata=True)
        (endpoint,) = info.endpoints
        table = wire.get(endpoint.ticket)
        assert table.schema.equals(reference, check_metadata=True)
        assert table.num_rows > 0
        table.validate(full=True)

    def test_tables_with_their_schemas(self, wire: Wire) -> None:
        asked = command("CommandGetTables", include_schema=True)
        assert wire.schema(asked).equals(schemas.TABLES_WITH_SCHEMA)
        table = wire.get(wire.info(asked).endpoints[0].ticket)
        assert table.schema.equals(schemas.TABLES_WITH_SCHEMA)

    @pytest.mark.parametrize("name", COMMANDS)
    def test_an_answer_may_be_fetched_again_and_holds_for_its_moment(self, wire: Wire, name: str) -> None:
        info = wire.info(command(name, **COMMANDS[name][1]))
        ticket = info.endpoints[0].ticket
        assert wire.get(ticket).equals(wire.get(ticket))


class TestCatalogsAndSchemas:
    def test_catalogs(self, wire: Wire) -> None:
        assert wire.ask("CommandGetCatalogs").to_pylist() == [{"catalog_name": "lake"}]

    @pytest.mark.parametrize(
        ("wanted", "found"),
        [({}, ["main", "neurolake", "sales"]), ({"catalog": "lake"}, ["main", "neurolake", "sales"]),
         ({"db_schema_filter_pattern": "s%"}, ["sales"]), ({"db_schema_filter_pattern": "_ain"}, ["main"]),
         ({"catalog": "other"}, []), ({"catalog": ""}, []), ({"db_schema_filter_pattern": ""}, [])],
        ids=str,
    )  # fmt: skip
    def test_schemas(self, wire: Wire, wanted: dict[str, str], found: list[str]) -> None:
        rows = wire.ask("CommandGetDbSchemas", **wanted).to_pylist()
        assert rows == [{"catalog_name": "lake", "db_schema_name": name} for name in found]


class TestTables:
    @pytest.mark.parametrize(
        ("wanted", "found"),
        [({}, ALL),
         ({"catalog": "lake"}, ALL[1:]),
         ({"catalog": ""}, ["None.Mine"]),
         ({"catalog": "other"}, []),
         ({"db_schema_filter_pattern": "sales"}, ["sales.customers", "sales.orders"]),
         ({"db_schema_filter_pattern": ""}, ["None.Mine"]),
         ({"table_name_filter_pattern": "or%"}, ["sales.orders"]),
         ({"table_name_filter_pattern": "a_b"}, ["main.a_b", "main.axb"]),
         ({"table_name_filter_pattern": "a\\_b"}, ["main.a_b"]),
         ({"table_name_filter_pattern": "%"}, ALL),
         ({"table_name_filter_pattern": "nothing"}, []),
         ({"table_types": ["VIEW"]}, ["main.v"]),
         ({"table_types": ["EXTERNAL TABLE", "VIEW"]}, ["main.source", "main.v"]),
         ({"table_types": ["BASE TABLE"]}, OURS),
         ({"table_types": ["TABLE"]},
          sorted([*OURS, "main.source"])),
         ({"table_types": ["LOCAL TEMPORARY"]}, ["None.Mine"]),
         ({"table_types": ["no such type"]}, []),
         ({"catalog": "lake", "db_schema_filter_pattern": "main", "table_name_filter_pattern": "p%"}, ["main.plain"])],
        ids=str,
    )  # fmt: skip
    def test_which(self, wire: Wire, wanted: dict[str, Any], found: list[str]) -> None:
        assert tables(wire, **wanted) == found
        assert tables(wire, include_schema=True, **wanted) == found

    def test_every_type_listed_is_one_of_the_table_types(self, wire: Wire) -> None:
        types = wire.ask("CommandGetTableTypes").column("table_type").to_pylist()
        assert types == sorted(types)
        assert set(wire.ask("CommandGetTables").column("table_type").to_pylist()) == set(types)

    def test_every_table_listed_can_be_selected_from_by_its_full_name(self, wire: Wire) -> None:
        for row in wire.ask("CommandGetTables", include_schema=True).to_pylist():
            parts = [row["catalog_name"], row["db_schema_name"], row["table_name"]]
            name = ".".join('"' + part.replace('"', '""') + '"' for part in parts if part is not None)
            selected = wire.schema(command("CommandStatementQuery", query=f"SELECT * FROM {name}"))
            described = pa.ipc.read_schema(pa.py_buffer(row["table_schema"]))
            assert described.names == selected.names
            assert described.types == selected.types

    def test_another_session_sees_no_temporary_tables_of_mine(self, wire: Wire, served: Service) -> None:
        with Wire(f"grpc://127.0.0.1:{served.port}") as other:
            assert tables(other) == ALL[1:]

    def test_what_an_open_transaction_made(self, wire: Wire, served: Service) -> None:
        transaction = wire.begin()
        wire.update("CREATE TABLE made_here (a INT)", transaction)
        with Wire(f"grpc://127.0.0.1:{served.port}") as other:
            assert "main.made_here" not in tables(other)
        assert "main.made_here" in tables(wire)
        wire.end(transaction, commit=False)
        assert "main.made_here" not in tables(wire)


@pytest.fixture(scope="module")
def columns(wire: Wire) -> dict[str, pa.Schema]:
    """The columns of each table."""
    rows = wire.ask("CommandGetTables", include_schema=True).to_pylist()
    return {row["table_name"]: pa.ipc.read_schema(pa.py_buffer(row["table_schema"])) for row in rows}


def told(field: pa.Field) -> dict[str, str]:
    """What the metadata of a column says."""
    return {key.removeprefix(KEY).decode(): value.decode() for key, value in field.metadata.items()}


class TestColumns:
    def test_a_decimal(self, columns: dict[str, pa.Schema]) -> None:
        field = columns["orders"].field("amount")
        assert field.type == pa.decimal128(12, 3)
        assert told(field) == {
            "CATALOG_NAME": "lake", "SCHEMA_NAME": "sales", "TABLE_NAME": "orders", "TYPE_NAME": "DECIMAL",
            "PRECISION": "12", "SCALE": "3", "IS_AUTO_INCREMENT": "0", "IS_CASE_SENSITIVE": "0",
            "IS_READ_ONLY": "0", "IS_SEARCHABLE": "1",
        }  # fmt: skip

    @pytest.mark.parametrize(
        ("table", "column", "expected"),
        [("orders", "id", {"TYPE_NAME": "BIGINT", "PRECISION": "19", "SCALE": "0", "IS_AUTO_INCREMENT": "1"}),
         ("orders", "placed", {"TYPE_NAME": "TIMESTAMP WITH TIME ZONE", "PRECISION": "32", "SCALE": "6"}),
         ("orders", "note", {"TYPE_NAME": "VARCHAR", "IS_CASE_SENSITIVE": "1", "REMARKS": "what the customer said"}),
         ("orders", "tags", {"TYPE_NAME": "VARCHAR[]", "PRECISION": None, "SCALE": None}),
         ("plain", "a_b", {"TYPE_NAME": "INTEGER", "PRECISION": "10", "SCHEMA_NAME": "main"}),
         ("plain", "a.b", {"TYPE_NAME": "DOUBLE", "PRECISION": "53"}),
         ("plain", "Größe 🦆", {"TYPE_NAME": "BLOB"}),
         ("v", "amount", {"TYPE_NAME": "DECIMAL", "PRECISION": "12", "IS_READ_ONLY": "1"}),
         ("source", "id", {"TYPE_NAME": "BIGINT", "IS_READ_ONLY": "1", "TABLE_NAME": "source"}),
         ("procedures", "name", {"TYPE_NAME": "VARCHAR", "IS_READ_ONLY": "1", "SCHEMA_NAME": "neurolake"}),
         ("queries", "started_at", {"TYPE_NAME": "TIMESTAMP WITH TIME ZONE"}),
         ("Mine", "a", {"TYPE_NAME": "INTEGER", "CATALOG_NAME": None, "SCHEMA_NAME": None, "IS_READ_ONLY": "0"})],
    )  # fmt: skip
    def test_metadata(
        self, columns: dict[str, pa.Schema], table: str, column: str, expected: dict[str, str | None]
    ) -> None:
        found = told(columns[table].field(column))
        assert {name: found.get(name) for name in expected} == expected

    def test_nullability_is_that_of_the_constraints(self, columns: dict[str, pa.Schema]) -> None:
        nullable = {field.name: field.nullable for field in columns["customers"]}
        assert nullable == {"region": False, "id": False, "name": False, "email": True}
        assert not columns["Mine"].field("a").nullable

    def test_a_view_shows_the_columns_it_has_now(self, wire: Wire) -> None:
        wire.update("CREATE TABLE below (a INT); CREATE VIEW above AS SELECT * FROM below")
        wire.update("CREATE OR REPLACE TABLE below AS SELECT 'x' AS b, 1.5::DECIMAL(4, 2) AS c")
        (row,) = wire.ask("CommandGetTables", include_schema=True, table_name_filter_pattern="above").to_pylist()
        wire.update("DROP VIEW above; DROP TABLE below")
        schema = pa.ipc.read_schema(pa.py_buffer(row["table_schema"]))
        assert list(zip(schema.names, schema.types, strict=True)) == [("b", pa.string()), ("c", pa.decimal128(4, 2))]
        assert told(schema.field("c"))["PRECISION"] == "4"

    def test_a_source_whose_files_are_gone_is_described_as_it_was(self, wire: Wire, folder: Path) -> None:
        (folder / "s.parquet").rename(folder / "gone")
        (row,) = wire.ask("CommandGetTables", include_schema=True, table_name_filter_pattern="source").to_pylist()
        (folder / "gone").rename(folder / "s.parquet")
        assert pa.ipc.read_schema(pa.py_buffer(row["table_schema"])).names == ["id", "name"]

    def test_as_the_stock_driver_shows_them(self, flight: Flight) -> None:
        found = flight.connection.adbc_get_objects(
            catalog_filter="lake", db_schema_filter="sales", table_name_filter="orders"
        ).read_all()
        ((schema,),) = [row["catalog_db_schemas"] for row in found.to_pylist()]
        (table,) = schema["db_schema_tables"]
        by_name = {column["column_name"]: column for column in table["table_columns"]}
        assert by_name["amount"]["xdbc_type_name"] == "DECIMAL"
        assert by_name["id"]["xdbc_is_autoincrement"] is True
        assert (by_name["id"]["xdbc_scope_catalog"], by_name["id"]["xdbc_scope_table"]) == ("lake", "orders")

    def test_the_schema_of_one_table_by_the_stock_driver(self, flight: Flight) -> None:
        schema = flight.connection.adbc_get_table_schema("orders", db_schema_filter="sales")
        assert schema.field("amount").type == pa.decimal128(12, 3)


PRIMARY = ["catalog_name", "db_schema_name", "table_name", "column_name", "key_sequence"]


class TestKeys:
    def primary(self, wire: Wire, **wanted: Any) -> list[tuple[Any, ...]]:
        return [tuple(row[name] for name in PRIMARY) for row in wire.ask("CommandGetPrimaryKeys", **wanted).to_pylist()]

    def test_a_composite_primary_key_in_its_order(self, wire: Wire) -> None:
        rows = [("lake", "sales", "customers", "region", 1), ("lake", "sales", "customers", "id", 2)]
        assert self.primary(wire, table="customers") == rows
        assert self.primary(wire, table="customers", catalog="lake", db_schema="sales") == rows
        names = wire.ask("CommandGetPrimaryKeys", table="customers").column("key_name").to_pylist()
        assert names[0]
        assert names == names[:1] * 2

    @pytest.mark.parametrize(
        "wanted",
        [{"table": "plain"}, {"table": "nothing"}, {"table": "customers", "catalog": "other"},
         {"table": "customers", "db_schema": "main"}, {"table": "customers", "catalog": ""},
         {"table": "customers", "db_schema": ""}, {"table": "custom%"}, {"table": "v"}, {"table": "source"}],
        ids=str,
    )  # fmt: skip
    def test_none(self, wire: Wire, wanted: dict[str, str]) -> None:
        assert self.primary(wire, **wanted) == []
        assert wire.ask("CommandGetExportedKeys", **wanted).num_rows == 0
        assert wire.ask("CommandGetImportedKeys", **wanted).num_rows == 0

    @pytest.mark.parametrize(
        ("name", "fields"),
        [("CommandGetImportedKeys", {"table": "orders"}),
         ("CommandGetImportedKeys", {"table": "orders", "catalog": "lake", "db_schema": "sales"}),
         ("CommandGetExportedKeys", {"table": "customers"}),
         ("CommandGetCrossReference", {"pk_table": "customers", "fk_table": "orders"}),
         ("CommandGetCrossReference", {"pk_table": "customers", "pk_catalog": "lake", "pk_db_schema": "sales",
                                       "fk_table": "orders", "fk_catalog": "lake", "fk_db_schema": "sales"})],
        ids=str,
    )  # fmt: skip
    def test_foreign_keys(self, wire: Wire, name: str, fields: dict[str, str]) -> None:
        rows = wire.ask(name, **fields).to_pylist()
        pairs = {
            (row["pk_column_name"], row["fk_column_name"], row["key_sequence"]) for row in rows
            if (row["pk_table_name"], row["fk_table_name"]) == ("customers", "orders")
        }  # fmt: skip
        assert pairs == {("region", "customer_region", 1), ("id", "customer_id", 2), ("email", "email", 1)}
        assert len(rows) == 3
        primary = set(wire.ask("CommandGetPrimaryKeys", table="customers").column("key_name").to_pylist())
        for row in rows:
            assert (row["pk_catalog_name"], row["fk_catalog_name"]) == ("lake", "lake")
            assert (row["pk_db_schema_name"], row["fk_db_schema_name"]) == ("sales", "sales")
            assert (row["update_rule"], row["delete_rule"]) == (3, 3)
            assert row["fk_key_name"]
            assert row["pk_key_name"]
            assert ({row["pk_key_name"]} == primary) is (row["pk_column_name"] != "email")
        keys = {row["fk_column_name"]: row["fk_key_name"] for row in rows}
        assert keys["customer_region"] == keys["customer_id"] != keys["email"]

    @pytest.mark.parametrize(
        "fields",
        [{"pk_table": "orders", "fk_table": "customers"}, {"pk_table": "customers", "fk_table": "plain"},
         {"pk_table": "customers", "fk_table": "orders", "fk_catalog": "other"},
         {"pk_table": "customers", "fk_table": "orders", "pk_catalog": ""},
         {"pk_table": "customers", "fk_table": "orders", "pk_db_schema": "main"}],
        ids=str,
    )  # fmt: skip
    def test_no_cross_reference(self, wire: Wire, fields: dict[str, str]) -> None:
        assert wire.ask("CommandGetCrossReference", **fields).num_rows == 0

    def test_a_table_that_refers_to_itself(self, wire: Wire) -> None:
        wire.update("CREATE TABLE parts (id INT PRIMARY KEY, whole INT REFERENCES parts (id))")
        for name in ("CommandGetImportedKeys", "CommandGetExportedKeys"):
            (row,) = wire.ask(name, table="parts").to_pylist()
            assert (row["pk_table_name"], row["fk_table_name"]) == ("parts", "parts")
        wire.update("DROP TABLE parts")


class TestTypes:
    def test_all(self, wire: Wire) -> None:
        assert wire.ask("CommandGetXdbcTypeInfo").equals(xdbc_type_info())

    @pytest.mark.parametrize(("number", "names"), [(4, ["INTEGER", "UINTEGER"]), (93, None), (0, []), (-1, [])])
    def test_of_one_number(self, wire: Wire, number: int, names: list[str] | None) -> None:
        table = wire.ask("CommandGetXdbcTypeInfo", data_type=number)
        assert table.schema.equals(schemas.XDBC_TYPE_INFO)
        assert set(table.column("data_type").to_pylist()) <= {number}
        if names is not None:
            assert table.column("type_name").to_pylist() == names

    def test_every_type_named_is_a_type_and_its_literals_are_literals(self, wire: Wire) -> None:
        for row in wire.ask("CommandGetXdbcTypeInfo").to_pylist():
            assert wire.value(f"SELECT CAST(NULL AS {row['type_name']}) AS x") is None


class TestSqlInfo:
    def info(self, wire: Wire, *codes: int) -> dict[int, Any]:
        return {row["info_name"]: row["value"] for row in wire.ask("CommandGetSqlInfo", info=codes).to_pylist()}

    def test_all_and_some(self, wire: Wire) -> None:
        everything = self.info(wire)
        assert list(everything) == [*range(12), 100, 101, *range(500, 577)]
        for codes in ([8], [0, 1, 2, 4, 5, 6, 7], [508, 3], [100, 101]):
            some = self.info(wire, *codes)
            assert some == {code: everything[code] for code in codes}
        assert self.info(wire, 9_999) == {}

    def test_limits_are_those_of_this_server(self, wire: Wire, served: Service) -> None:
        info, settings = self.info(wire), served.settings
        assert info[549] == min(settings.sessions_max, settings.sessions_per_user_max)
        assert info[100] == info[101] == settings.session_idle_s * 1000
        assert info[557] == 4 << 20
        assert wire.value(f"SELECT length('{'é' * ((4 << 20) - 100)}') AS n") == (4 << 20) - 100

    def test_savepoints_and_substrait_are_not_on_offer(self, wire: Wire) -> None:
        info = self.info(wire)
        assert (info[8], info[573], info[5]) == (1, False, False)
        for action in ("BeginSavepoint", "EndSavepoint"):
            with pytest.raises(pa.ArrowNotImplementedError):
                wire.act(action, command(f"Action{action}Request"))
        assert not {"BeginSavepoint", "EndSavepoint"} & {kind.type for kind in wire.client.list_actions(wire.options)}

    def test_the_stock_driver_reads_it(self, flight: Flight) -> None:
        info = flight.connection.adbc_get_info()
        assert info["vendor_name"] == "NeuroLake"
        assert info["vendor_version"].startswith("duckdb v2.")


class TestAnswers:
    def test_an_answer_is_no_bigger_than_a_message_may_be(self, wire: Wire) -> None:
        """Ten thousand columns make a schema of a megabyte; many such tables still come in messages that pass."""
        columns = ", ".join(f"column_number_{n:05} INTEGER" for n in range(1000))
        wire.update(";".join(f"CREATE TABLE wide_{number} ({columns})" for number in range(28)))
        stream = wire.stream(wire.info(command("CommandGetTables", include_schema=True)).endpoints[0].ticket)
        sizes = [chunk.data.nbytes for chunk in stream]
        wire.update(";".join(f"DROP TABLE wide_{number}" for number in range(28)))
        assert max(sizes) < 16 << 20
        assert sum(sizes) > 16 << 20

    def test_a_question_is_no_statement_of_history(self, wire: Wire) -> None:
        before = wire.value("SELECT count(*) FROM neurolake.queries")
        wire.ask("CommandGetTables")
        assert wire.value("SELECT count(*) FROM neurolake.queries") == before + 1

    def test_it_says_how_long_its_ticket_lives(self, wire: Wire) -> None:
        info: paflight.FlightInfo = wire.info(command("CommandGetCatalogs"))
        assert info.endpoints[0].expiration_time is not None
