"""The metadata tables: schemas to the letter, rows in the specification's order, and read by the stock driver."""

from __future__ import annotations

import random
from typing import Any

import adbc_driver_flightsql.dbapi as adbc
import pyarrow as pa
import pytest
from metadata_server import ORDERS

from flight.protocol import schemas
from flight.protocol.schemas import ForeignKeyColumn, PrimaryKeyColumn, UpdateDeleteRule
from flight.protocol.type_info import xdbc_type_info

REFERENCE = {
    "CATALOGS": "catalog_name: string not null",
    "DB_SCHEMAS": "catalog_name: string\ndb_schema_name: string not null",
    "TABLES": "catalog_name: string\ndb_schema_name: string\ntable_name: string not null\ntable_type: string not null",
    "TABLE_TYPES": "table_type: string not null",
    "PRIMARY_KEYS": "catalog_name: string\ndb_schema_name: string\ntable_name: string not null\n"
    "column_name: string not null\nkey_sequence: int32 not null\nkey_name: string",
    "FOREIGN_KEYS": "pk_catalog_name: string\npk_db_schema_name: string\npk_table_name: string not null\n"
    "pk_column_name: string not null\nfk_catalog_name: string\nfk_db_schema_name: string\n"
    "fk_table_name: string not null\nfk_column_name: string not null\nkey_sequence: int32 not null\n"
    "fk_key_name: string\npk_key_name: string\nupdate_rule: uint8 not null\ndelete_rule: uint8 not null",
}


@pytest.mark.parametrize(("name", "expected"), REFERENCE.items(), ids=REFERENCE.keys())
def test_schema(name: str, expected: str) -> None:
    assert getattr(schemas, name).to_string() == expected


def test_the_schema_with_schemas() -> None:
    assert schemas.TABLES_WITH_SCHEMA.remove(4).equals(schemas.TABLES)
    assert schemas.TABLES_WITH_SCHEMA.field(4).equals(pa.field("table_schema", pa.binary(), nullable=False))


class TestOrder:
    def test_tables(self) -> None:
        rows = [(None, None, "a", "T"), (None, "s", "a", "T"), ("c", "s", "a", "T"), ("c", "s", "a", "V")]
        shuffled = random.Random(1).sample(rows, len(rows))
        table = schemas.tables(shuffled)
        assert [tuple(row.values()) for row in table.to_pylist()] == rows

    def test_primary_keys_go_by_key_then_place(self) -> None:
        rows = [
            PrimaryKeyColumn("c", "s", "t", "z", 2, "k"),
            PrimaryKeyColumn("c", "s", "t", "y", 1, "k"),
            PrimaryKeyColumn("c", "s", "t", "x", 1, "j"),
        ]
        assert schemas.primary_keys(rows).column("column_name").to_pylist() == ["x", "y", "z"]

    def test_foreign_keys_go_by_the_other_side(self) -> None:
        rows = [
            ForeignKeyColumn("c", "s", "p2", "a", "c", "s", "f1", "b", 1),
            ForeignKeyColumn("c", "s", "p1", "a", "c", "s", "f2", "b", 2, delete_rule=UpdateDeleteRule.CASCADE),
            ForeignKeyColumn("c", "s", "p1", "a", "c", "s", "f2", "b", 1),
        ]
        exported, imported = schemas.exported_keys(rows), schemas.imported_keys(rows)
        assert exported.column("fk_table_name").to_pylist() == ["f1", "f2", "f2"]
        assert imported.column("pk_table_name").to_pylist() == ["p1", "p1", "p2"]
        assert imported.column("key_sequence").to_pylist() == [1, 2, 1]
        assert imported.column("delete_rule").to_pylist() == [3, 0, 3]
        assert schemas.cross_reference(rows).equals(imported)

    @pytest.mark.parametrize("build", [schemas.catalogs, schemas.tables, schemas.primary_keys, schemas.exported_keys])
    def test_nothing_to_list(self, build: Any) -> None:
        assert build([]).num_rows == 0


class TestDescribed:
    def test_metadata(self) -> None:
        schema = pa.schema([pa.field("d", pa.decimal128(10, 2), metadata={"mine": "kept"})])
        facts = schemas.ColumnDescription("DECIMAL(10,2)", 10, 2, is_auto_increment=False, is_searchable=True)
        described = schemas.described(schema, catalog="lake", db_schema="main", table="t", columns={"d": facts})
        assert described.field("d").metadata == {
            b"mine": b"kept",
            b"ARROW:FLIGHT:SQL:CATALOG_NAME": b"lake",
            b"ARROW:FLIGHT:SQL:SCHEMA_NAME": b"main",
            b"ARROW:FLIGHT:SQL:TABLE_NAME": b"t",
            b"ARROW:FLIGHT:SQL:TYPE_NAME": b"DECIMAL(10,2)",
            b"ARROW:FLIGHT:SQL:PRECISION": b"10",
            b"ARROW:FLIGHT:SQL:SCALE": b"2",
            b"ARROW:FLIGHT:SQL:IS_AUTO_INCREMENT": b"0",
            b"ARROW:FLIGHT:SQL:IS_SEARCHABLE": b"1",
        }

    def test_a_serialised_schema_is_one_message(self) -> None:
        assert pa.ipc.read_schema(pa.py_buffer(schemas.serialise_schema(ORDERS))).equals(ORDERS)


class TestTypeInfo:
    def test_schema(self) -> None:
        assert xdbc_type_info().schema.equals(schemas.XDBC_TYPE_INFO)
        params = schemas.XDBC_TYPE_INFO.field("create_params").type
        assert not params.value_field.nullable

    def test_order(self) -> None:
        rows = [(row["data_type"], row["type_name"]) for row in xdbc_type_info().to_pylist()]
        assert rows == sorted(rows)

    def test_one_type(self) -> None:
        assert xdbc_type_info(-5).column("type_name").to_pylist() == ["BIGINT", "UBIGINT"]
        assert xdbc_type_info(12345).num_rows == 0


class TestWithTheStockDriver:
    def test_get_objects(self, connection: adbc.Connection) -> None:
        (catalog,) = connection.adbc_get_objects().read_all().to_pylist()
        assert catalog["catalog_name"] == "lake"
        assert [schema["db_schema_name"] for schema in catalog["catalog_db_schemas"]] == ["main", "other"]
        main = catalog["catalog_db_schemas"][0]["db_schema_tables"]
        assert [(table["table_name"], table["table_type"]) for table in main] == [
            ("orders", "TABLE"),
            ("recent", "VIEW"),
        ]
        columns = main[0]["table_columns"]
        assert [(column["column_name"], column["ordinal_position"]) for column in columns] == [("id", 1), ("placed", 2)]

    @pytest.mark.parametrize("depth", ["catalogs", "db_schemas", "tables"])
    def test_get_objects_less_deep(self, connection: adbc.Connection, depth: Any) -> None:
        assert connection.adbc_get_objects(depth=depth).read_all().num_rows == 1

    def test_get_table_schema(self, connection: adbc.Connection) -> None:
        assert connection.adbc_get_table_schema("orders", db_schema_filter="main").equals(ORDERS)

    def test_get_table_types(self, connection: adbc.Connection) -> None:
        assert connection.adbc_get_table_types() == ["TABLE", "VIEW"]

    def test_get_info(self, connection: adbc.Connection) -> None:
        info = connection.adbc_get_info()
        assert info["vendor_name"] == "NeuroLake"
        assert info["vendor_version"] == "duckdb v2.0.0 (test)"
        assert info["vendor_arrow_version"] == pa.__version__

    def test_transactions_are_on_offer(self, connection: adbc.Connection) -> None:
        connection.adbc_connection.set_autocommit(False)
        connection.commit()
