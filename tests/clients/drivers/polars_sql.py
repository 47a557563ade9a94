"""polars: `read_database`, `read_database_uri` and `write_database` through the ADBC driver."""

import datetime
from decimal import Decimal

import polars as pl
from adbc_driver_flightsql import dbapi
from trial import Server, main, refused, same, trial

FRAME = pl.DataFrame(
    {
        "a": [1, 2, None],
        "b": ["x", None, "é"],
        "c": [Decimal("1.50"), None, Decimal("-2.00")],
        "d": [datetime.date(2024, 2, 29), None, datetime.date(1, 1, 1)],
        "e": [[1, 2], None, []],
        "f": [{"x": 1, "y": "a"}, {"x": None, "y": None}, {"x": 3, "y": "c"}],
        "g": [datetime.datetime(2024, 1, 1, 12, 30, 0, 123456), None, datetime.datetime(1970, 1, 1)],
    },
    schema_overrides={"c": pl.Decimal(9, 2), "e": pl.List(pl.Int64)},
)


def connect(server: Server):
    return dbapi.connect(server.uri, db_kwargs={"username": server.user, "password": server.password})


@trial
def query(server):
    with connect(server) as connection:
        frame = pl.read_database("SELECT 1::INTEGER AS a, 'x' AS b, 1.50::DECIMAL(9, 2) AS c", connection)
        same(frame.rows(), [(1, "x", Decimal("1.50"))])
        same(frame.schema["c"], pl.Decimal(9, 2))


@trial
def nested(server):
    with connect(server) as connection:
        frame = pl.read_database("SELECT [1, NULL] AS l, {'a': 1, 'b': ['x']} AS s", connection)
        same(frame.rows(), [([1, None], {"a": 1, "b": ["x"]})])


@trial
def parameters(server):
    with connect(server) as connection:
        frame = pl.read_database("SELECT ? + 1 AS a", connection, execute_options={"parameters": (41,)})
        same(frame.item(), 42)


@trial
def load(server):
    with connect(server) as connection:
        for mode, rows in (("replace", 3), ("append", 6), ("replace", 3)):
            same(FRAME.write_database("ol", connection, engine="adbc", if_table_exists=mode), 3)
            back = pl.read_database("SELECT * FROM ol ORDER BY a", connection)
            same(back.height, rows)
        connection.commit()
        same(back.rows(), FRAME.rows())
        FRAME.write_database("main.os", connection, engine="adbc", if_table_exists="replace")
        refused(lambda: FRAME.write_database("ol", connection, engine="adbc", if_table_exists="fail"), "already_exists")


@trial
def write(server):
    with connect(server) as connection, connection.cursor() as cursor:
        FRAME.write_database("ow", connection, engine="adbc", if_table_exists="replace")
        cursor.execute("DELETE FROM ow WHERE a = 1")
        same(cursor.rowcount, 1)
        connection.commit()


@trial
def catalog(server):
    with connect(server) as connection:
        frame = pl.read_database("SELECT table_name FROM information_schema.tables WHERE table_name = 'ol'", connection)
        same(frame.item(), "ol")


@trial
def large(server):
    with connect(server) as connection:
        frame = pl.read_database("SELECT i FROM range(500000) t(i)", connection)
        same((frame.height, frame["i"].sum()), (500_000, 124999750000))
        pieces = pl.read_database("SELECT i FROM range(500000) t(i)", connection, iter_batches=True, batch_size=50_000)
        same(sum(piece.height for piece in pieces), 500_000)


@trial
def empty(server):
    with connect(server) as connection:
        same(pl.read_database("SELECT 1 AS a, 'x' AS b WHERE false", connection).columns, ["a", "b"])


@trial
def errors(server):
    with connect(server) as connection:
        refused(lambda: pl.read_database("SELECT * FROM nowhere", connection), "not_found")


main(pl.__version__)
