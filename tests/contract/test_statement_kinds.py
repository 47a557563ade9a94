"""Every kind of statement, asked for as a query and as a prepared one: its schema, announced and streamed, and its
effect, which comes exactly once, with GetFlightInfo and not before."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.flight as paflight
import pyarrow.parquet as pq
import pytest

from contract.wire import Wire, command
from flight.service import Service

COUNT = [("Count", pa.int64())]
EXPLANATION = [("explain_key", pa.string()), ("explain_value", pa.string())]

SETUP = """
    CREATE TABLE t (id INTEGER PRIMARY KEY, name VARCHAR NOT NULL, amount DECIMAL(9, 2) DEFAULT 0);
    INSERT INTO t VALUES (1, 'a', 1.5), (2, 'b', 2.5), (3, 'a', NULL);
    CREATE TABLE u (id INTEGER, name VARCHAR);
    CREATE SCHEMA s;
    CREATE SEQUENCE numbers
"""

ROWS_OF_T = "SELECT count(*) FROM lake.main.t"
ROWS_OF_U = "SELECT count(*) FROM lake.main.u"
HERE = "SELECT current_schema() = 's'"
MADE = "SELECT count(*) FROM duckdb_tables() WHERE table_name = 'made'"
OPEN = "SELECT count(*) FROM lake.main.u WHERE name = 'open'"


class Case(NamedTuple):
    """One statement.

    Attributes:
        sql: the text.
        columns: what it answers with; None where only running can tell, () where the test does not care which.
        effect: a query whose value `sql` changes, and what it becomes.
        before: a statement ahead of it.
        after: one behind it.
        returns_rows: whether a prepared one has rows of its own, rather than a count.
    """

    sql: str
    columns: Any = ()
    effect: tuple[str, Any] | None = None
    before: str | None = None
    after: str | None = None
    returns_rows: bool = True


def changes(sql: str, effect: str, becomes: Any, **more: Any) -> Case:
    """A statement that answers with a count."""
    return Case(sql, COUNT, (effect, becomes), returns_rows=False, **more)


CASES = {
    "select": Case("SELECT id, name FROM t ORDER BY id", [("id", pa.int32()), ("name", pa.string())]),
    "select, nothing found": Case("SELECT id, amount FROM t WHERE false",
                                  [("id", pa.int32()), ("amount", pa.decimal128(9, 2))]),
    "select, two columns of one name": Case("SELECT id, name AS id FROM t", [("id", pa.int32()), ("id", pa.string())]),
    "select, nested": Case("SELECT [{'a': id, 'b': MAP {name: amount}}] AS x FROM t"),
    "select, enum": Case("SELECT 'a'::ENUM('a', 'b') AS x", [("x", pa.string())]),
    "select, time zone": Case("SELECT TIMESTAMPTZ '2024-01-01' AS x"),
    "select, null": Case("SELECT NULL AS x"),
    "select with an effect": Case("SELECT nextval('numbers') AS n", [("n", pa.int64())]),
    "values": Case("VALUES (1, 'x')"),
    "from": Case("FROM t"),
    "with": Case("WITH x AS (SELECT 1 AS a) SELECT a FROM x", [("a", pa.int32())]),
    "system table": Case("SELECT * FROM neurolake.procedures"),
    "information schema": Case("SELECT table_name FROM information_schema.tables", [("table_name", pa.string())]),
    "table function": Case("FROM range(3)", [("range", pa.int64())]),
    "insert": changes("INSERT INTO t VALUES (4, 'd', 4)", ROWS_OF_T, 4),
    "insert select": changes("INSERT INTO u SELECT id, name FROM t", ROWS_OF_U, 3),
    "insert, a cte ahead": changes("WITH x AS (SELECT 9 AS id, 'x' AS name) INSERT INTO u FROM x", ROWS_OF_U, 1),
    "insert returning": Case("INSERT INTO t (id, name) VALUES (4, 'd') RETURNING id, amount",
                             [("id", pa.int32()), ("amount", pa.decimal128(9, 2))], (ROWS_OF_T, 4)),
    "update": changes("UPDATE t SET amount = amount + 1", "SELECT sum(amount)::INT FROM lake.main.t", 6),
    "update returning": Case("UPDATE t SET amount = amount + 1 RETURNING name", [("name", pa.string())],
                             ("SELECT sum(amount)::INT FROM lake.main.t", 6)),
    "delete": changes("DELETE FROM t WHERE id > 1", ROWS_OF_T, 1),
    "delete returning": Case("DELETE FROM t WHERE id > 1 RETURNING *", (), (ROWS_OF_T, 1)),
    "merge": changes("MERGE INTO u USING t ON u.id = t.id WHEN NOT MATCHED THEN INSERT VALUES (t.id, t.name)",
                     ROWS_OF_U, 3),
    "merge returning": Case("MERGE INTO u USING t ON u.id = t.id WHEN NOT MATCHED THEN INSERT VALUES (t.id, t.name) "
                            "RETURNING merge_action, id", (), (ROWS_OF_U, 3)),
    "truncate": changes("TRUNCATE t", ROWS_OF_T, 0),
    "copy to": Case("COPY t TO '{folder}/out.parquet'", COUNT, returns_rows=False),
    "copy from": changes("COPY u FROM '{folder}/rows.parquet'", ROWS_OF_U, 2),
    "create table": changes("CREATE TABLE made (a INT)", MADE, 1),
    "create table as": changes("CREATE TABLE made AS SELECT 1 AS a", MADE, 1),
    "create temporary table": changes("CREATE TEMP TABLE made (a INT)", MADE, 1),
    "create or replace": changes("CREATE OR REPLACE TABLE u AS SELECT 7 AS a", "SELECT count(*) FROM lake.main.u", 1),
    "create view": changes("CREATE VIEW made AS SELECT 1 AS a",
                           "SELECT count(*) FROM duckdb_views() WHERE view_name = 'made'", 1),
    "create schema": changes("CREATE SCHEMA made",
                             "SELECT count(*) FROM duckdb_schemas() WHERE schema_name = 'made'", 1),
    "create index": changes("CREATE INDEX made ON u (id)",
                            "SELECT count(*) FROM duckdb_indexes() WHERE index_name = 'made'", 1),
    "alter": changes("ALTER TABLE u ADD COLUMN more INT",
                     "SELECT count(*) FROM duckdb_columns() WHERE column_name = 'more'", 1),
    "drop": changes("DROP TABLE u", "SELECT count(*) FROM duckdb_tables() WHERE table_name = 'u'", 0),
    "comment": changes("COMMENT ON TABLE u IS 'said'",
                       "SELECT count(*) FROM duckdb_tables() WHERE comment = 'said'", 1),
    "checkpoint": Case("CHECKPOINT", [("Success", pa.bool_())]),
    "explain": Case("EXPLAIN SELECT * FROM t", EXPLANATION),
    "explain a write": Case("EXPLAIN INSERT INTO u SELECT id, name FROM t", EXPLANATION),
    "explain analyze": Case("EXPLAIN ANALYZE SELECT * FROM t", EXPLANATION),
    "show tables": Case("SHOW TABLES", [("name", pa.string())]),
    "show all tables": Case("SHOW ALL TABLES"),
    "show a table": Case("SHOW t"),
    "show databases": Case("SHOW DATABASES"),
    "describe": Case("DESCRIBE t"),
    "describe a query": Case("DESCRIBE SELECT 1 AS a"),
    "summarize": Case("SUMMARIZE t"),
    "summarize a query": Case("SUMMARIZE SELECT * FROM t"),
    "pragma": Case("PRAGMA table_info('t')"),
    "pivot": Case("PIVOT t ON name USING sum(amount) GROUP BY id", None),
    "pivot, values given": Case("PIVOT t ON name IN ('a', 'b') USING sum(amount) GROUP BY id"),
    "pivot in from": Case("SELECT * FROM (PIVOT t ON name IN ('a', 'b') USING sum(amount) GROUP BY id) ORDER BY id"),
    "pivot in from, standard": Case("SELECT * FROM t PIVOT (sum(amount) FOR name IN ('a', 'b'))"),
    "unpivot": Case("UNPIVOT (SELECT 1 AS jan, 2 AS feb) ON jan, feb INTO NAME m VALUE v",
                    [("m", pa.string()), ("v", pa.int32())]),
    "call of a procedure": Case("CALL neurolake.register('made', '{folder}/rows.parquet')", (),
                                ("SELECT count(*) FROM neurolake.sources WHERE table_name = 'made'", 1)),
    "call of a function": Case("CALL range(3)", [("range", pa.int64())]),
    "set": changes("SET schema = 's'", HERE, True, after="USE main"),
    "use": changes("USE s", HERE, True, after="USE main"),
    "reset": changes("RESET schema", HERE, False, before="USE s"),
    "set a setting of ours": changes("SET result_rows_max = 5", "SELECT 1", 1, after="RESET result_rows_max"),
    "set variable": changes("SET VARIABLE x = 7", "SELECT getvariable('x') IS NOT DISTINCT FROM 7", True),
    "begin": Case("BEGIN", COUNT, after="ROLLBACK", returns_rows=False),
    "commit": changes("COMMIT", OPEN, 1, before="BEGIN; INSERT INTO u VALUES (1, 'open')"),
    "rollback": changes("ROLLBACK", OPEN, 0, before="BEGIN; INSERT INTO u VALUES (1, 'open')"),
    "prepare": Case("PREPARE p AS SELECT 1 AS a", COUNT, after="DEALLOCATE p", returns_rows=False),
    "execute": Case("EXECUTE p", [("a", pa.int32())], before="PREPARE p AS SELECT 1 AS a", after="DEALLOCATE p"),
    "deallocate": Case("DEALLOCATE p", COUNT, before="PREPARE p AS SELECT 1 AS a", returns_rows=False),
    "script that ends in rows": Case("INSERT INTO u VALUES (1, 'x'); SELECT count(*) AS n FROM u", None,
                                     (ROWS_OF_U, 1)),
    "script of writes": Case("INSERT INTO u VALUES (1, 'x'); INSERT INTO u VALUES (2, 'y')", None, (ROWS_OF_U, 2),
                             returns_rows=False),
}  # fmt: skip


@pytest.fixture
def wire(empty_service: Service, tmp_path: Path) -> Iterator[Wire]:
    with Wire(f"grpc://127.0.0.1:{empty_service.port}") as wire:
        for statement in SETUP.split(";"):
            wire.update(statement)
        pq.write_table(pa.table({"id": pa.array([1, 2], pa.int32()), "name": ["x", "y"]}), tmp_path / "rows.parquet")
        yield wire


@pytest.fixture(params=["query", "prepared"])
def way(request: pytest.FixtureRequest) -> str:
    """How a statement is asked for."""
    return str(request.param)


def asked(wire: Wire, case: Case, way: str, folder: Path) -> bytes:
    sql = case.sql.replace("{folder}", str(folder))
    if way == "query":
        return command("CommandStatementQuery", query=sql)
    prepared = wire.prepare(sql)
    assert prepared.is_update is not case.returns_rows
    announced = prepared.dataset_schema
    if not case.returns_rows or case.columns is None:
        assert announced == b""
    else:
        assert pa.ipc.read_schema(pa.py_buffer(announced)).names
    return command("CommandPreparedStatementQuery", prepared_statement_handle=prepared.prepared_statement_handle)


def same(one: pa.Schema, other: pa.Schema) -> bool:
    """Names, types and nullability: what clients compare."""
    return bool(one.equals(other, check_metadata=False))


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
class TestEveryKind:
    def test_its_schemas_agree_and_its_effect_comes_once(
        self, wire: Wire, case: Case, way: str, tmp_path: Path
    ) -> None:
        if case.before:
            wire.query(case.before)
        effect, becomes = case.effect or ("SELECT 1", 1)
        was = None if "COMMIT" in case.sql else wire.value(effect)
        asked_for = asked(wire, case, way, tmp_path)
        if case.columns is None:
            with pytest.raises(pa.ArrowNotImplementedError, match="known only by running it"):
                wire.schema(asked_for)
            schema = None
        else:
            schema = wire.schema(asked_for)
        if "COMMIT" not in case.sql:
            assert wire.value(effect) == was
        info = wire.info(asked_for)
        assert wire.value(effect) == becomes
        (endpoint,) = info.endpoints
        table = wire.get(endpoint.ticket)
        if schema is not None:
            assert same(table.schema, schema)
        if info.schema is not None:
            assert same(info.schema, table.schema)
        assert info.schema is not None or case.sql.startswith("PIVOT")
        if case.columns:
            assert list(zip(table.schema.names, table.schema.types, strict=True)) == case.columns
        table.validate(full=True)
        assert wire.value(effect) == becomes
        if case.effect:
            assert wire.get(endpoint.ticket).equals(table)
            assert wire.value(effect) == becomes
        if case.after:
            wire.query(case.after)


EFFECTS = {name: case for name, case in CASES.items() if case.columns == COUNT and case.effect}


@pytest.mark.parametrize("case", EFFECTS.values(), ids=EFFECTS.keys())
class TestAsAnUpdate:
    def test_it_runs_once(self, wire: Wire, case: Case, way: str, tmp_path: Path) -> None:
        if case.before:
            wire.query(case.before)
        assert case.effect is not None
        effect, becomes = case.effect
        sql = case.sql.replace("{folder}", str(tmp_path))
        if way == "query":
            wire.update(sql)
        else:
            handle = wire.prepare(sql).prepared_statement_handle
            wire.put(command("CommandPreparedStatementUpdate", prepared_statement_handle=handle))
        assert wire.value(effect) == becomes
        if case.after:
            wire.query(case.after)


class TestWhatIsNotServed:
    @pytest.mark.parametrize(
        "descriptor",
        [command("CommandStatementSubstraitPlan", plan={"plan": b"x"}), command("CommandStatementIngest", table="t"),
         b"SELECT 1", b""],
        ids=["substrait", "ingest", "text", "nothing"],
    )  # fmt: skip
    def test_as_a_query(self, wire: Wire, descriptor: bytes) -> None:
        with pytest.raises((pa.ArrowInvalid, pa.ArrowNotImplementedError)):
            wire.info(descriptor)

    def test_a_path(self, wire: Wire) -> None:
        with pytest.raises((pa.ArrowInvalid, pa.ArrowNotImplementedError)):
            wire.client.get_flight_info(paflight.FlightDescriptor.for_path("orders"), wire.options)
