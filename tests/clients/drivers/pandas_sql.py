"""pandas: `read_sql`, `read_sql_query`, `read_sql_table` and `to_sql` over an ADBC connection."""

import datetime

import numpy as np
import pandas as pd
from adbc_driver_flightsql import dbapi
from trial import Server, main, refused, same, trial

FRAME = pd.DataFrame(
    {
        "a": [1, 2, 3],
        "b": ["x", None, "é"],
        "c": [1.5, np.nan, -0.0],
        "d": pd.to_datetime(["2024-02-29 00:00:00.000001", "1999-12-31 23:59:59.123456", None]),
        "e": [True, False, True],
    }
)


def connect(server: Server):
    return dbapi.connect(server.uri, db_kwargs={"username": server.user, "password": server.password})


@trial
def query(server):
    with connect(server) as connection:
        frame = pd.read_sql("SELECT 1 AS a, 'x' AS b, DATE '2024-02-29' AS c", connection)
        same(frame.iloc[0].tolist(), [1, "x", datetime.date(2024, 2, 29)])
        frame = pd.read_sql_query("SELECT 1::TINYINT AS a", connection, dtype_backend="pyarrow")
        same(str(frame.dtypes["a"]), "int8[pyarrow]")


@trial
def nested(server):
    with connect(server) as connection:
        frame = pd.read_sql("SELECT [1, 2] AS l, {'a': 1} AS s", connection)
        same((list(frame["l"][0]), frame["s"][0]), ([1, 2], {"a": 1}))


@trial
def parameters(server):
    with connect(server) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT ? + 1 AS a", (41,))
        same(cursor.fetch_df()["a"].tolist(), [42])


@trial
def load(server):
    with connect(server) as connection:
        for mode, rows in (("replace", 3), ("append", 6), ("delete_rows", 3)):
            same(FRAME.to_sql("pl", connection, index=False, if_exists=mode), 3)
            back = pd.read_sql("SELECT * FROM pl ORDER BY a", connection)
            same(len(back), rows)
        pd.testing.assert_frame_equal(back, FRAME, check_dtype=False)
        try:
            FRAME.to_sql("pl", connection, index=False, if_exists="fail")
        except ValueError:
            pass
        else:
            raise AssertionError("it did not fail")
        FRAME.rename_axis("i").to_sql("pi", connection, index=True, schema="main", if_exists="replace")
        same(pd.read_sql("SELECT i FROM pi ORDER BY i", connection)["i"].tolist(), [0, 1, 2])


@trial
def write(server):
    with connect(server) as connection, connection.cursor() as cursor:
        FRAME.to_sql("pw", connection, index=False, if_exists="replace")
        cursor.execute("UPDATE pw SET a = a + 1")
        same(cursor.rowcount, 3)
        connection.commit()


@trial
def transactions(server):
    with connect(server) as connection:
        FRAME.to_sql("pt", connection, index=False, if_exists="replace")
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM pt")
        connection.rollback()
        same(len(pd.read_sql("SELECT * FROM pt", connection)), 3)


@trial
def catalog(server):
    with connect(server) as connection:
        FRAME.to_sql("pc", connection, index=False, if_exists="replace")
        frame = pd.read_sql_table("pc", connection, schema="main", columns=["a", "b"])
        same((frame.columns.tolist(), len(frame)), (["a", "b"], 3))
        from pandas.io.sql import has_table

        same((has_table("pc", connection), has_table("no", connection)), (True, False))


@trial
def large(server):
    with connect(server) as connection:
        frame = pd.read_sql("SELECT i, i * 0.5 AS h FROM range(500000) t(i)", connection)
        same((len(frame), int(frame["i"].sum())), (500_000, 124999750000))


@trial
def empty(server):
    with connect(server) as connection:
        frame = pd.read_sql("SELECT 1 AS a, 'x' AS b WHERE false", connection)
        same((frame.columns.tolist(), len(frame)), (["a", "b"], 0))


@trial
def errors(server):
    with connect(server) as connection:
        refused(lambda: pd.read_sql("SELECT * FROM nowhere", connection), "not_found")


main(pd.__version__)
