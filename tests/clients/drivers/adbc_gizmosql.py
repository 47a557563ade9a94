"""adbc-driver-gizmosql: a driver of its own, in Go, with its own rules for what is an update."""

from importlib.metadata import version

import pyarrow as pa
from adbc_driver_gizmosql import dbapi
from trial import Server, main, refused, same, trial


def connect(server: Server, **options):
    return dbapi.connect(server.uri, username=server.user, password=server.password, **options)


def rows(connection, sql, values=None):
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.fetchall()


@trial
def query(server):
    with connect(server) as connection:
        same(rows(connection, "SELECT 1, 'é', true, NULL"), [(1, "é", True, None)])


@trial
def nested(server):
    with connect(server) as connection:
        same(rows(connection, "SELECT [1, NULL], {'a': 1}"), [([1, None], {"a": 1})])


@trial
def parameters(server):
    with connect(server) as connection:
        same(rows(connection, "SELECT ? + 1, ?", (41, None)), [(42, None)])


@trial
def write(server):
    with connect(server) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE OR REPLACE TABLE gw (a INTEGER)")
        same(cursor.description, None)
        cursor.execute("INSERT INTO gw VALUES (1), (2) RETURNING a")
        same(sorted(cursor.fetchall()), [(1,), (2,)])
        cursor.execute("UPDATE gw SET a = a + 1")
        same(rows(connection, "SELECT sum(a) FROM gw"), [(5,)])


@trial
def many(server):
    with connect(server) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE OR REPLACE TABLE gm (a INTEGER)")
        cursor.executemany("INSERT INTO gm VALUES (?)", [(1,), (2,), (None,)])
        same(rows(connection, "SELECT count(*), count(a) FROM gm"), [(3, 2)])


@trial
def transactions(server):
    with connect(server, autocommit=False) as connection:
        rows(connection, "CREATE OR REPLACE TABLE gt (a INTEGER)")
        connection.commit()
        rows(connection, "INSERT INTO gt VALUES (1)")
        connection.rollback()
        same(rows(connection, "SELECT count(*) FROM gt"), [(0,)])


@trial
def load(server):
    with connect(server) as connection, connection.cursor() as cursor:
        same(cursor.adbc_ingest("gl", pa.table({"a": [1, 2, 3]}), mode="replace"), 3)
        same(rows(connection, "SELECT sum(a) FROM gl"), [(6,)])


@trial
def catalog(server):
    with connect(server) as connection:
        rows(connection, "CREATE OR REPLACE TABLE gc (a INTEGER)")
        (found,) = connection.adbc_get_objects(table_name_filter="gc").read_all().to_pylist()
        same(found["catalog_name"], "lake")
        same(connection.adbc_get_table_schema("gc").names, ["a"])


@trial
def large(server):
    with connect(server) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT i FROM range(500000) t(i)")
        same(cursor.fetch_arrow_table().num_rows, 500_000)


@trial
def empty(server):
    with connect(server) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT 1 AS a WHERE false")
        same((cursor.description[0][0], cursor.fetchall()), ("a", []))


@trial
def session(server):
    with connect(server) as connection:
        rows(connection, "CREATE TEMP TABLE mine AS SELECT 7 AS a")
        same(rows(connection, "SELECT a FROM mine"), [(7,)])


@trial
def errors(server):
    with connect(server) as connection:
        refused(lambda: rows(connection, "SELECT * FROM nowhere"), "not_found")


@trial
def login(server):
    refused(lambda: connect(server._replace(password="wrong")), "login_failed")


main(version("adbc-driver-gizmosql"))
