"""ADBC without the dbapi: `adbc_driver_manager`'s own objects, as other languages' bindings use them."""

import adbc_driver_flightsql
import adbc_driver_manager as manager
import pyarrow as pa
from trial import Server, main, refused, same, trial


class Opened:
    """A database and a connection."""

    def __init__(self, server: Server, **options: str) -> None:
        self.database = adbc_driver_flightsql.connect(
            server.uri, db_kwargs={"username": server.user, "password": server.password}
        )
        self.connection = manager.AdbcConnection(self.database, **options)

    def __enter__(self) -> "Opened":
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()
        self.database.close()

    def table(self, sql: str, bound: pa.RecordBatch | None = None, *, prepare: bool = False) -> pa.Table:
        with manager.AdbcStatement(self.connection) as statement:
            statement.set_sql_query(sql)
            if prepare or bound is not None:
                statement.prepare()
            if bound is not None:
                statement.bind(*_exported(bound))
            stream, _ = statement.execute_query()
            return pa.RecordBatchReader._import_from_c(stream.address).read_all()

    def update(self, sql: str, bound: pa.RecordBatch | None = None) -> int:
        with manager.AdbcStatement(self.connection) as statement:
            statement.set_sql_query(sql)
            if bound is not None:
                statement.prepare()
                statement.bind(*_exported(bound))
            return statement.execute_update()


def _exported(batch: pa.RecordBatch) -> tuple:
    array, schema = manager.ArrowArrayHandle(), manager.ArrowSchemaHandle()
    batch._export_to_c(array.address, schema.address)
    return array, schema


def _read(stream) -> pa.Table:
    return pa.RecordBatchReader._import_from_c(stream.address).read_all()


@trial
def query(server):
    with Opened(server) as opened:
        for prepare in (False, True):
            table = opened.table("SELECT 1::INTEGER AS a, 1.50::DECIMAL(9, 2) AS b, 'é' AS c", prepare=prepare)
            same(table.schema.types, [pa.int32(), pa.decimal128(9, 2), pa.string()])


@trial
def nested(server):
    with Opened(server) as opened:
        same(opened.table("SELECT [1, NULL] AS l, {'a': {'b': 1}} AS s").to_pylist(),
             [{"l": [1, None], "s": {"a": {"b": 1}}}])  # fmt: skip


@trial
def parameters(server):
    batch = pa.record_batch({"x": pa.array([1, 2], pa.int64()), "y": pa.array(["a", None])})
    with Opened(server) as opened:
        same(opened.table("SELECT ?::BIGINT AS x, ?::VARCHAR AS y", batch).to_pylist(), batch.to_pylist())
        with manager.AdbcStatement(opened.connection) as statement:
            statement.set_sql_query("SELECT ?::INTEGER AS a, $2 AS b")
            statement.prepare()
            handle = statement.get_parameter_schema()
            same(len(pa.Schema._import_from_c(handle.address)), 2)


@trial
def write(server):
    with Opened(server) as opened:
        opened.update("CREATE OR REPLACE TABLE lw (a INTEGER)")
        same(opened.update("INSERT INTO lw VALUES (1), (2)"), 2)
        same(opened.update("DELETE FROM lw WHERE a = 1"), 1)


@trial
def many(server):
    with Opened(server) as opened:
        opened.update("CREATE OR REPLACE TABLE lm (a INTEGER)")
        batch = pa.record_batch({"a": pa.array([1, None, 3], pa.int32())})
        same(opened.update("INSERT INTO lm VALUES (?)", batch), 3)


@trial
def transactions(server):
    with Opened(server) as opened:
        opened.update("CREATE OR REPLACE TABLE lt (a INTEGER)")
        opened.connection.set_autocommit(False)
        opened.update("INSERT INTO lt VALUES (1)")
        opened.connection.rollback()
        same(opened.table("SELECT count(*) AS n FROM lt").to_pylist(), [{"n": 0}])
        opened.connection.commit()
        opened.connection.set_autocommit(True)


@trial
def load(server):
    batch = pa.record_batch({"a": [1, 2]})
    with Opened(server) as opened:
        for mode, rows in (("replace", 2), ("append", 4)):
            with manager.AdbcStatement(opened.connection) as statement:
                statement.set_options(**{
                    manager.StatementOptions.INGEST_TARGET_TABLE.value: "ll",
                    manager.StatementOptions.INGEST_MODE.value: f"adbc.ingest.mode.{mode}",
                })  # fmt: skip
                statement.bind(*_exported(batch))
                same(statement.execute_update(), 2)
            same(opened.table("SELECT count(*) AS n FROM ll").to_pylist(), [{"n": rows}])


@trial
def catalog(server):
    with Opened(server) as opened:
        opened.update("CREATE OR REPLACE TABLE lc (a INTEGER PRIMARY KEY)")
        same("BASE TABLE" in _read(opened.connection.get_table_types())["table_type"].to_pylist(), True)
        info = {row["info_name"]: row["info_value"] for row in _read(opened.connection.get_info()).to_pylist()}
        assert str(info[1]).startswith("duckdb"), info
        depth = manager.GetObjectsDepth.ALL
        objects = _read(opened.connection.get_objects(depth, table_name="lc")).to_pylist()
        same([one["catalog_name"] for one in objects], ["lake"])
        handle = opened.connection.get_table_schema(None, None, "lc")
        same(pa.Schema._import_from_c(handle.address).names, ["a"])


@trial
def large(server):
    with Opened(server) as opened:
        same(opened.table("SELECT i FROM range(500000) t(i)").num_rows, 500_000)


@trial
def empty(server):
    with Opened(server) as opened:
        table = opened.table("SELECT 1::SMALLINT AS a WHERE false")
        same((table.num_rows, table.schema.field("a").type), (0, pa.int16()))


@trial
def session(server):
    with Opened(server) as opened:
        opened.update("CREATE TEMP TABLE mine (a INTEGER)")
        same(opened.table("SELECT * FROM mine").num_rows, 0)
        opened.connection.set_options(**{"adbc.flight.sql.session.option.timezone": "Asia/Tokyo"})
        same(opened.table("SELECT current_setting('TimeZone') AS z").to_pylist(), [{"z": "Asia/Tokyo"}])


@trial
def errors(server):
    with Opened(server) as opened:
        refused(lambda: opened.table("SELECT * FROM nowhere"), "not_found")
        try:
            opened.table("SELECT * FROM nowhere")
        except manager.ProgrammingError as error:
            same(error.status_code, manager.AdbcStatusCode.NOT_FOUND)


main(adbc_driver_flightsql.__version__)
