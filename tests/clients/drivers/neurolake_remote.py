"""`neurolake.connect` to a server."""

import pyarrow as pa
from trial import Server, main, refused, same, trial

import neurolake


def connect(server: Server):
    return neurolake.connect(server.uri, user=server.user, password=server.password)


@trial
def query(server):
    with connect(server) as lake:
        same(lake.sql("SELECT 1, 'é', NULL").fetchall(), [(1, "é", None)])


@trial
def nested(server):
    with connect(server) as lake:
        same(lake.sql("SELECT [1, NULL], {'a': 1}").fetchall(), [([1, None], {"a": 1})])


@trial
def parameters(server):
    with connect(server) as lake:
        same(lake.sql("SELECT ? + 1", [41]).fetchall(), [(42,)])
        same(lake.sql("SELECT $a || $b", {"a": "x", "b": "y"}).fetchall(), [("xy",)])


@trial
def write(server):
    with connect(server) as lake:
        lake.sql("CREATE OR REPLACE TABLE nw (a INTEGER)").fetchall()
        same(lake.sql("INSERT INTO nw VALUES (1), (2)").fetchall(), [(2,)])


@trial
def transactions(server):
    with connect(server) as lake:
        lake.sql("CREATE OR REPLACE TABLE nt (a INTEGER)").fetchall()
        try:
            with lake.transaction():
                lake.sql("INSERT INTO nt VALUES (1)").fetchall()
                raise ZeroDivisionError
        except ZeroDivisionError:
            pass
        same(lake.sql("SELECT count(*) FROM nt").fetchall(), [(0,)])


@trial
def load(server):
    with connect(server) as lake:
        same(lake.load("nl", pa.table({"a": [1, 2]}), "replace"), 2)
        same(lake.load("nl", pa.table({"a": [3]}), "append"), 1)


@trial
def catalog(server):
    with connect(server) as lake:
        lake.sql("CREATE OR REPLACE TABLE nc (a INTEGER)").fetchall()
        same(lake.sql("SELECT table_name FROM information_schema.tables WHERE table_name = 'nc'").fetchall(), [("nc",)])


@trial
def large(server):
    with connect(server) as lake:
        same(sum(batch.num_rows for batch in lake.sql("SELECT i FROM range(500000) t(i)")), 500_000)


@trial
def empty(server):
    with connect(server) as lake:
        same(lake.sql("SELECT 1 AS a WHERE false").arrow().schema.names, ["a"])


@trial
def session(server):
    with connect(server) as lake:
        lake.sql("CREATE TEMP TABLE mine AS SELECT 7 AS a").fetchall()
        same(lake.sql("SELECT a FROM mine").fetchall(), [(7,)])


@trial
def errors(server):
    with connect(server) as lake:
        refused(lambda: lake.sql("SELECT * FROM nowhere").fetchall(), "not_found")


main(neurolake.__version__)
