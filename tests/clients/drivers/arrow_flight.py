"""`pyarrow.flight` alone, with Flight SQL's messages put together by hand: what any Flight library can do."""

import pyarrow as pa
import pyarrow.flight as paflight
from trial import Server, main, refused, same, trial

PREFIX = b"type.googleapis.com/arrow.flight.protocol.sql."


def text(number: int, value: bytes) -> bytes:
    """A protobuf field of text or bytes, shorter than 16 KiB."""
    size = len(value)
    return bytes([number << 3 | 2]) + (bytes([size]) if size < 128 else bytes([size & 127 | 128, size >> 7])) + value


def command(name: bytes, body: bytes = b"") -> paflight.FlightDescriptor:
    return paflight.FlightDescriptor.for_command(text(1, PREFIX + name) + text(2, body))


class Opened:
    """A client with its bearer token."""

    def __init__(self, server: Server) -> None:
        self.client = paflight.connect(server.uri)
        token = self.client.authenticate_basic_token(server.user, server.password)
        self.options = paflight.FlightCallOptions(headers=[token])

    def __enter__(self) -> "Opened":
        return self

    def __exit__(self, *_: object) -> None:
        list(self.client.do_action(paflight.Action("CloseSession", b""), self.options))
        self.client.close()

    def ask(self, descriptor: paflight.FlightDescriptor) -> pa.Table:
        info = self.client.get_flight_info(descriptor, self.options)
        tables = [self.client.do_get(end.ticket, self.options).read_all() for end in info.endpoints]
        same([table.schema for table in tables], [info.schema] * len(tables))
        same(self.client.get_schema(descriptor, self.options).schema, info.schema)
        return pa.concat_tables(tables)

    def sql(self, query: str) -> pa.Table:
        return self.ask(command(b"CommandStatementQuery", text(1, query.encode())))


@trial
def query(server):
    with Opened(server) as opened:
        same(opened.sql("SELECT 1 AS a, 'é' AS b").to_pylist(), [{"a": 1, "b": "é"}])


@trial
def nested(server):
    with Opened(server) as opened:
        same(opened.sql("SELECT [1, NULL] AS l, MAP {'k': {'a': 1}} AS m").to_pylist(),
             [{"l": [1, None], "m": [("k", {"a": 1})]}])  # fmt: skip


@trial
def write(server):
    with Opened(server) as opened:
        opened.sql("CREATE OR REPLACE TABLE fw (a INTEGER)")
        update = command(b"CommandStatementUpdate", text(1, b"INSERT INTO fw VALUES (1), (2)"))
        writer, reader = opened.client.do_put(update, pa.schema([]), opened.options)
        writer.done_writing()
        same(reader.read().to_pybytes(), b"\x08\x02")
        writer.close()


@trial
def load(server):
    table = pa.table({"a": [1, 2, 3]})
    mode = text(1, b"\x08\x01\x10\x03")  # create what is missing, replace what is there
    with Opened(server) as opened:
        ingest = command(b"CommandStatementIngest", mode + text(2, b"fl"))
        writer, reader = opened.client.do_put(ingest, table.schema, opened.options)
        writer.write_table(table)
        writer.done_writing()
        same(reader.read().to_pybytes(), b"\x08\x03")
        writer.close()
        same(opened.sql("SELECT sum(a) AS s FROM fl").to_pylist(), [{"s": 6}])


@trial
def catalog(server):
    with Opened(server) as opened:
        same(opened.ask(command(b"CommandGetCatalogs"))["catalog_name"].to_pylist(), ["lake"])
        opened.sql("CREATE OR REPLACE TABLE fc (a INTEGER)")
        tables = opened.ask(command(b"CommandGetTables", text(3, b"fc") + b"\x28\x01"))
        schema = pa.ipc.read_schema(pa.py_buffer(tables["table_schema"][0].as_py()))
        same(schema.names, ["a"])


@trial
def large(server):
    with Opened(server) as opened:
        same(opened.sql("SELECT i FROM range(500000) t(i)").num_rows, 500_000)


@trial
def empty(server):
    with Opened(server) as opened:
        same(opened.sql("SELECT 1 AS a WHERE false").schema.names, ["a"])


@trial
def session(server):
    with Opened(server) as opened:
        opened.sql("CREATE TEMP TABLE mine AS SELECT 7 AS a")
        same(opened.sql("SELECT a FROM mine").to_pylist(), [{"a": 7}])


@trial
def errors(server):
    with Opened(server) as opened:
        refused(lambda: opened.sql("SELECT * FROM nowhere"), "not_found")


main(pa.__version__)
