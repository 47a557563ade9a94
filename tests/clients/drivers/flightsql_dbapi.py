"""flightsql-dbapi: its DB-API and its client, without SQLAlchemy."""

from importlib.metadata import version

from flightsql import FlightSQLClient
from flightsql import connect as dbapi_connect
from flightsql.client import TableRef
from trial import Server, main, refused, same, trial


def opened(server: Server, password: str | None = None) -> FlightSQLClient:
    return FlightSQLClient(
        host=server.host, port=server.port, user=server.user, password=password or server.password, insecure=True
    )


def rows(server: Server, sql: str, values=None):
    connection = dbapi_connect(opened(server))
    cursor = connection.cursor()
    cursor.execute(sql, values)
    return cursor.fetchall()


@trial
def query(server):
    same(rows(server, "SELECT 1, 'é', true, 1.5::DOUBLE"), [[1, "é", True, 1.5]])


@trial
def nested(server):
    ((found, structure),) = rows(server, "SELECT [1, 2], {'a': 1}")
    same((list(found), structure), ([1, 2], {"a": 1}))


@trial
def parameters(server):
    same(rows(server, "SELECT ? + 1, ?", (41, "é")), [[42, "é"]])


@trial
def write(server):
    client = opened(server)
    client.execute_update("CREATE OR REPLACE TABLE dw (a INTEGER)")
    same(client.execute_update("INSERT INTO dw VALUES (1), (2)"), 2)


@trial
def many(server):
    connection = dbapi_connect(opened(server))
    cursor = connection.cursor()
    cursor.execute("CREATE OR REPLACE TABLE dm (a INTEGER)")
    cursor.executemany("INSERT INTO dm VALUES (?)", [(1,), (2,)])
    cursor.execute("SELECT count(*) FROM dm")
    same(cursor.fetchall(), [[2]])


@trial
def catalog(server):
    client = opened(server)
    client.execute_update("CREATE OR REPLACE TABLE dc (a INTEGER PRIMARY KEY, b VARCHAR)")
    connection = dbapi_connect(client)
    same([column["name"] for column in connection.flightsql_get_columns("dc", "main")], ["a", "b"])
    same("dc" in connection.flightsql_get_table_names("main"), True)
    same("main" in connection.flightsql_get_schema_names(), True)
    same(connection.flightsql_get_sql_info([504])[504], '"')


@trial
def keys(server):
    client = opened(server)
    client.execute_update("DROP TABLE IF EXISTS dkf")
    client.execute_update("CREATE OR REPLACE TABLE dkp (a INTEGER PRIMARY KEY)")
    client.execute_update("CREATE OR REPLACE TABLE dkf (b INTEGER REFERENCES dkp (a))")
    connection = dbapi_connect(client)
    same([key["column_name"] for key in connection.flightsql_get_primary_keys("dkp", "main")], ["a"])
    same([key["fk_column_name"] for key in connection.flightsql_get_foreign_keys("dkf", "main")], ["b"])
    info = client.get_exported_keys(TableRef(table="dkp"))
    same(client.do_get(info.endpoints[0].ticket).read_all().num_rows, 1)


@trial
def large(server):
    client = opened(server)
    info = client.execute("SELECT i FROM range(500000) t(i)")
    same(client.do_get(info.endpoints[0].ticket).read_all().num_rows, 500_000)


@trial
def empty(server):
    connection = dbapi_connect(opened(server))
    cursor = connection.cursor()
    cursor.execute("SELECT 1 AS a, 'x' AS b WHERE false")
    same(([column[0] for column in cursor.description], cursor.fetchall()), (["a", "b"], []))


@trial
def session(server):
    client = opened(server)
    client.execute_update("CREATE TEMP TABLE mine AS SELECT 7 AS a")
    info = client.execute("SELECT a FROM mine")
    same(client.do_get(info.endpoints[0].ticket).read_all().to_pylist(), [{"a": 7}])


@trial
def errors(server):
    refused(lambda: rows(server, "SELECT * FROM nowhere"), "not_found")


@trial
def login(server):
    refused(lambda: opened(server, "wrong").execute("SELECT 1"), "login_failed")


main(version("flightsql-dbapi"))
