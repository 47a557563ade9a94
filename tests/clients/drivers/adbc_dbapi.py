"""`adbc_driver_flightsql.dbapi`."""

import contextlib
import datetime
import threading
import time
from decimal import Decimal

import adbc_driver_flightsql
import pyarrow as pa
from adbc_driver_flightsql import dbapi
from trial import Server, main, refused, same, trial


def connect(server: Server, **options):
    return dbapi.connect(server.uri, db_kwargs={"username": server.user, "password": server.password}, **options)


def rows(connection, sql, values=None):
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.fetchall()


@trial
def query(server):
    with connect(server) as connection:
        found = rows(connection, "SELECT 1, 1.50::DECIMAL(9, 2), 'é', DATE '2024-02-29', true, NULL")
        same(found, [(1, Decimal("1.50"), "é", datetime.date(2024, 2, 29), True, None)])


@trial
def nested(server):
    with connect(server) as connection:
        found = rows(connection, "SELECT [1, NULL], {'a': 1, 'b': ['x']}, MAP {'k': 2}, 'ab'::BLOB")
        same(found, [([1, None], {"a": 1, "b": ["x"]}, [("k", 2)], b"ab")])


@trial
def parameters(server):
    with connect(server) as connection:
        same(rows(connection, "SELECT ? + 1, ?, ?", (41, "'; é", None)), [(42, "'; é", None)])


@trial
def write(server):
    with connect(server, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE OR REPLACE TABLE w (a INTEGER, b VARCHAR)")
        cursor.execute("INSERT INTO w VALUES (1, 'x'), (2, 'y')")
        same(cursor.rowcount, 2)
        cursor.execute("UPDATE w SET b = 'z' WHERE a > ?", (1,))
        same(cursor.rowcount, 1)
        same(rows(connection, "SELECT * FROM w ORDER BY a"), [(1, "x"), (2, "z")])


@trial
def many(server):
    with connect(server) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE OR REPLACE TABLE m (a INTEGER, b VARCHAR)")
        cursor.executemany("INSERT INTO m VALUES (?, ?)", [(1, "x"), (2, None), (3, "z")])
        same(cursor.rowcount, 3)
        same(rows(connection, "SELECT count(*), count(b) FROM m"), [(3, 2)])
        connection.commit()


@trial
def transactions(server):
    with connect(server) as connection:
        rows(connection, "CREATE OR REPLACE TABLE t (a INTEGER)")
        connection.commit()
        rows(connection, "INSERT INTO t VALUES (1)")
        connection.rollback()
        same(rows(connection, "SELECT count(*) FROM t"), [(0,)])
        rows(connection, "INSERT INTO t VALUES (1)")
        connection.commit()
        with connect(server) as other:
            same(rows(other, "SELECT count(*) FROM t"), [(1,)])


@trial
def load(server):
    with connect(server, autocommit=True) as connection, connection.cursor() as cursor:
        table = pa.table({"a": [1, 2, None], "b": ["x", None, "z"]})
        same(cursor.adbc_ingest("l", table, mode="replace"), 3)
        same(cursor.adbc_ingest("l", table, mode="append"), 3)
        same(rows(connection, "SELECT count(*), sum(a) FROM l"), [(6, 6)])
        refused(lambda: cursor.adbc_ingest("l", table, mode="create"), "already_exists")


@trial
def catalog(server):
    with connect(server, autocommit=True) as connection:
        rows(connection, "CREATE OR REPLACE TABLE c (a INTEGER PRIMARY KEY, b DECIMAL(9, 2))")
        (found,) = connection.adbc_get_objects(table_name_filter="c", db_schema_filter="main").read_all().to_pylist()
        same(found["catalog_name"], "lake")
        (table,) = found["catalog_db_schemas"][0]["db_schema_tables"]
        same([column["column_name"] for column in table["table_columns"]], ["a", "b"])
        same(connection.adbc_get_table_schema("c").field("b").type, pa.decimal128(9, 2))
        same((connection.adbc_current_catalog, connection.adbc_current_db_schema), ("lake", "main"))


@trial
def large(server):
    with connect(server) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT i, 'row ' || i AS t FROM range(500000) r(i)")
        table = cursor.fetch_arrow_table()
        same((table.num_rows, pa.compute.sum(table["i"]).as_py()), (500_000, 124999750000))


@trial
def empty(server):
    with connect(server) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT 1 AS a, 'x' AS b WHERE false")
        same([name for name, *_ in cursor.description], ["a", "b"])
        same(cursor.fetchall(), [])


@trial
def session(server):
    with connect(server, autocommit=True) as connection:
        rows(connection, "CREATE TEMP TABLE mine (a INTEGER)")
        rows(connection, "INSERT INTO mine VALUES (7)")
        same(rows(connection, "SELECT a FROM mine"), [(7,)])


@trial
def errors(server):
    with connect(server, autocommit=True) as connection:
        refused(lambda: rows(connection, "SELECT * FROM nowhere"), "not_found")
        refused(lambda: rows(connection, "SELEC 1"), "syntax")
        with contextlib.suppress(dbapi.ProgrammingError):
            rows(connection, "SELEC 1")
        refused(lambda: connect(server._replace(password="wrong")), "login_failed")


@trial
def cancel(server):
    with connect(server, autocommit=True) as connection, connection.cursor() as cursor:
        threading.Timer(0.5, cursor.adbc_cancel).start()
        began = time.monotonic()
        try:
            cursor.execute("SELECT count(*) FROM range(100000000000) t(i) WHERE i % 3 = 7")
            cursor.fetchall()
        except dbapi.Error:
            assert time.monotonic() - began < 5, "too late"
            return
        raise AssertionError("it went on")


main(adbc_driver_flightsql.__version__)
