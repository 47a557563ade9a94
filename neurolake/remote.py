"""A lake behind a server: the interface of an embedded one over Flight SQL, through the stock ADBC driver."""

from __future__ import annotations

import json
import re
import secrets
import threading
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pyarrow as pa

from neurolake import errors, loading
from neurolake.activity import Activity, Step, Steps
from neurolake.adbc import Connection, Statement
from neurolake.engine.literal_checks import LITERALS
from neurolake.engine.result_checks import RESULT_CHECK
from neurolake.identifiers import fold
from neurolake.interrupts import hears_ctrl_c
from neurolake.lake import Lake
from neurolake.query import Principal, Values
from neurolake.result import Result, TableStream
from neurolake.sql.statements import first_word
from neurolake.sql.text import Name, columns, quote, split_identifier
from neurolake.user_sessions import check_proof

if TYPE_CHECKING:
    from neurolake._duckdb import Cursor

__all__ = ["RemoteLake"]

CONNECT_TIMEOUT_S = 10.0
_BEGINS = frozenset(("BEGIN", "START"))
_ENDS = frozenset(("COMMIT", "END", "ROLLBACK", "ABORT"))
_READS = frozenset(("SELECT", "FROM", "WITH", "VALUES", "TABLE", "DESCRIBE", "SHOW", "SUMMARIZE", "PIVOT", "UNPIVOT"))
"""Statements that only read: their rows are fetched as they are asked for. All others are over when `sql` returns."""
_WRITES = re.compile(r"\b(?:insert|update|delete|merge)\b", re.IGNORECASE)
_INGEST = "adbc.ingest."
_QUERY_ID = b"neurolake.query_id"
"""Where a server writes a statement's id into the metadata of its rows' schema."""
_AUTHORIZATION = "adbc.flight.sql.authorization_header"
_CERTIFICATE = "adbc.flight.sql.client_option.mtls_cert_chain"
_KEY = "adbc.flight.sql.client_option.mtls_private_key"
_PROOFS = frozenset(("username", "password", _AUTHORIZATION, _CERTIFICATE, _KEY))
"""The driver's options that say who one is."""
BATCH_ROWS = 65_536
BATCH_BYTES = 4 << 20
MESSAGE_BYTES_MAX = 256 << 20
"""The largest message either way: one row of the widest kind must pass."""


class RemoteLake(Lake):
    """A lake on a server. Thread-safe: threads share one session, with its temporary tables and settings.

    While a thread has a transaction open, the session is that thread's; the others' statements then take a second
    session, which has neither the first one's temporary tables nor its settings.
    """

    def __init__(self, uri: str, options: Mapping[str, str], home: Path | None = None) -> None:
        self.uri = uri
        self._home = home
        self._options = dict(options)
        self._connections: list[Connection] = []
        self._streams: weakref.WeakSet[_Rows] = weakref.WeakSet()
        self._free = threading.Condition()
        self._sending = 0
        self._owner: int | None = None
        self._closed = False
        self._aside: Connection | None = None
        self._sent = Steps()
        self._main = self._connect()

    def _connect(self) -> Connection:
        connection = Connection(self.uri, self._options)
        self._connections.append(connection)
        return connection

    @classmethod
    def open(
        cls,
        uri: str,
        *,
        user: str | None = None,
        password: str | None = None,
        token: str | None = None,
        tls_ca: str | Path | None = None,
        tls_cert: str | Path | None = None,
        tls_key: str | Path | None = None,
        verify: bool = True,
        home: Path | None = None,
    ) -> RemoteLake:
        """Connect and log in, with a token or with a user and password.

        Args:
            uri, user, password, token, tls_ca, tls_cert, tls_key: as in `neurolake.connect`.
            verify: whether the server must prove who it is. Only where the connection cannot leave this machine is
                there no need to.
            home: the home folder of the lake, where it is at hand: files to load are reached by its storage settings.

        Raises:
            LoginFailed: the server does not know these credentials.
            Unavailable: there is no server at that address.
        """
        options = {
            "adbc.flight.sql.rpc.timeout_seconds.connect": str(CONNECT_TIMEOUT_S),
            "adbc.flight.sql.client_option.with_max_msg_size": str(MESSAGE_BYTES_MAX),
            **_proof(user, password, token),
        }
        if tls_ca is not None:
            options["adbc.flight.sql.client_option.tls_root_certs"] = _pem(Path(tls_ca))
        if tls_cert is not None and tls_key is not None:
            options |= {_CERTIFICATE: _pem(Path(tls_cert)), _KEY: _pem(Path(tls_key))}
        if not verify:
            options["adbc.flight.sql.client_option.tls_skip_verify"] = "true"
        return cls(uri.rstrip("/"), options, home)

    def as_user(self, user: str | None = None, *, password: str | None = None, token: str | None = None) -> RemoteLake:
        """The same server for another user, by a connection of its own. See `Lake.as_user`."""
        check_proof(user, password, token)
        kept = {name: value for name, value in self._options.items() if name not in _PROOFS}
        return RemoteLake(self.uri, {**kept, **_proof(user, password, token)}, self._home)

    def sql(self, text: str, values: Values = None, *, timeout_s: float | None = None, **named: object) -> Result:
        """Run one statement. See `Lake.sql`."""
        if named and values is not None:
            raise errors.InvalidRequest(
                "Give parameters once: as a sequence, a mapping, or keywords.", code="parameters"
            )
        verb = first_word(text)
        with self._chosen(verb) as connection:
            try:
                result, rows = _query(self, connection, text, named or values, timeout_s)
            except errors.LoginFailed:
                # The session is over: idle for too long, or the server began anew. Nothing of the statement ran.
                if self._owner is not None or connection is not self._main:
                    raise
                result, rows = _query(self, self._main_again(connection), text, named or values, timeout_s)
            self._streams.add(rows)
            return _whole(self, result) if _changes(verb, text, result.schema) else result

    @contextmanager
    def _chosen(self, verb: str) -> Iterator[Connection]:
        me = threading.get_ident()
        with self._free:
            if self._closed:
                raise errors.Unavailable("The lake is closed.", code="closed", retryable=False)
            if verb in _BEGINS:
                self._take(me)
            on_main = self._owner in (None, me)
            connection = self._main if on_main else self._second()
            self._sending += on_main
        failed = True
        try:
            yield connection
            failed = False
        finally:
            with self._free:
                self._sending -= on_main
                if self._owner == me and (verb in _ENDS or (failed and verb in _BEGINS)):
                    self._owner = None
                self._free.notify_all()

    def _take(self, me: int) -> None:
        """Make the session this thread's, once what other threads are sending has arrived."""
        if self._owner is not None:
            raise errors.InvalidRequest(
                "A transaction is open in this session already.",
                code="transaction_open",
                next_step="COMMIT or ROLLBACK it first.",
            )
        self._owner = me
        self._free.wait_for(lambda: self._sending == 0)

    def _second(self) -> Connection:
        if self._aside is None:
            self._aside = self._connect()
        return self._aside

    def _main_again(self, over: Connection) -> Connection:
        with self._free:
            if self._main is over:
                self._main = self._connect()
            return self._main

    def load(self, name: str, data: object, mode: str = "create", keys: Sequence[str] = ()) -> int:
        """Send data, or a file of this machine, into a managed table. See `Lake.load`."""
        if mode not in loading.MODES:
            raise errors.InvalidRequest(
                f"{mode!r} is not a mode.", code="mode", next_step=f"Use {', '.join(loading.MODES)}."
            )
        if (mode == "upsert") != bool(keys):
            raise errors.InvalidRequest("Upsert, and only upsert, needs keys.", code="keys")
        self._sent = sent = Steps()
        with _readable(data, self._home, sent) as reader:
            if mode == "upsert":
                return self._upsert(name, reader, keys)
            return self._ingest(name, mode, reader)

    def progress(self) -> Step | None:
        """How far the last load is: what was sent. See `Lake.progress`."""
        return self._sent.now()

    def _ingest(self, name: str, mode: str, reader: pa.RecordBatchReader, *, temporary: bool = False) -> int:
        target = Name.parse(name)
        options = {f"{_INGEST}target_table": target.table, f"{_INGEST}mode": f"{_INGEST}mode.{mode}"}
        if len(split_identifier(name)) > 1:
            options[f"{_INGEST}target_db_schema"] = target.schema
        if temporary:
            options[f"{_INGEST}temporary"] = "true"
        with self._chosen("INSERT") as connection:
            statement = connection.statement()
            try:
                with hears_ctrl_c(statement.interrupt):
                    return statement.ingest(options, reader)
            finally:
                statement.close()

    def _upsert(self, name: str, reader: pa.RecordBatchReader, keys: Sequence[str]) -> int:
        """Send the rows into a temporary table; then replace the rows that match, and add the others."""
        self._check_keys(name, keys)
        staged = f"_neurolake_upsert_{secrets.token_hex(6)}"
        table, rows = Name.parse(name).sql(), f"temp.{staged}"
        matches = " AND ".join(f"t.{quote(key)} IS NOT DISTINCT FROM s.{quote(key)}" for key in keys)
        mine = self._owner == threading.get_ident()
        with nullcontext() if mine else self.transaction():
            count = self._ingest(staged, "create", reader, temporary=True)
            twice = f"SELECT 1 FROM {rows} GROUP BY {columns(keys)} HAVING count(*) > 1 LIMIT 1"
            if self.sql(twice).fetchall():
                raise errors.ConstraintViolated(
                    f"Some values of {', '.join(keys)} come more than once in the data; nothing was written.",
                    code="keys_not_unique",
                    next_step="Keep one row for each key, then load again.",
                )
            self._execute(f"DELETE FROM {table} t USING {rows} s WHERE {matches}")
            self._execute(f"INSERT INTO {table} BY NAME FROM {rows}")
            self._execute(f"DROP TABLE {rows}")
        return count

    def _check_keys(self, name: str, keys: Sequence[str]) -> None:
        with self.sql(f"SELECT * FROM {Name.parse(name).sql()} LIMIT 0") as existing:
            known = {fold(column) for column in existing.columns}
        for key in keys:
            if fold(key) not in known:
                raise errors.NotFound(f"{name} has no column named {key}.", code="key_unknown")

    def close(self) -> None:
        """Close the lake. Statements in flight are cancelled."""
        with self._free:
            if self._closed:
                return
            self._closed = True
        for rows in list(self._streams):
            rows.stop()
        for connection in self._connections:
            with suppress(errors.NeuroLakeError):  # the server may be gone, and the session with it
                connection.close()

    def __repr__(self) -> str:
        return f"<Lake {self.uri}>"


class _Rows:
    """The rows of one statement as the server sends them."""

    def __init__(self, statement: Statement, reader: pa.RecordBatchReader, activity: Activity) -> None:
        self._statement = statement
        self._activity = activity
        self._reader: pa.RecordBatchReader | None = reader
        self._reading = threading.Lock()

    def read(self) -> pa.RecordBatch | None:
        """The next batch, None at the end."""
        with self._reading:
            if self._reader is None:
                return None
            try:
                batch = self._statement.read(self._reader)
            except errors.NeuroLakeError as error:
                self._activity.query_id = error.query_id or self._activity.query_id
                raise
        if batch is None:
            self._free()
        return batch

    def stop(self) -> None:
        """The lake is closed: end the statement, and tell so whoever reads it."""
        self._activity.stop(errors.Cancelled("The lake was closed."))
        self.close()

    def close(self) -> None:
        """End the statement, also while another thread waits for its rows."""
        if self._reader is not None:
            self._statement.interrupt()
            self._free()

    def _free(self) -> None:
        with self._reading:
            reader, self._reader = self._reader, None
            if reader is not None:
                reader.close()
                with suppress(errors.NeuroLakeError):  # it is over either way
                    self._statement.close()


class _Answer(Result):
    """A result of a server's, which keeps in the audit log what the rows turned out to hold."""

    lake: RemoteLake

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the statement holds as literals, where the server tells it, and what the rows turned out to hold, where
        it checks them: known once they are read.
        """
        said = self.schema.metadata or {}
        if LITERALS in said:
            self._activity.literals = tuple(said[LITERALS].decode().split(", "))
        if not self._open and RESULT_CHECK in said and not self._activity.personal:
            sql = "SELECT details FROM neurolake.audit WHERE query_id = ?"
            for (details,) in self.lake.sql(sql, [self.query_id]).fetchall():
                self._activity.personal.update(json.loads(details).get("personal", {}))
        return super().warnings


def _query(
    lake: RemoteLake, connection: Connection, text: str, values: Values, timeout_s: float | None
) -> tuple[Result, _Rows]:
    statement = connection.statement(timeout_s)
    activity = Activity("", Principal("", ""), "remote", text)
    activity.cursor = cast("Cursor", statement)  # what it is asked for is `interrupt`
    try:
        with hears_ctrl_c(partial(_ctrl_c, activity)):
            reader = statement.query(text, values)
    except BaseException as error:
        statement.close()
        if (cause := activity.cause(error)) is not error:
            raise cause from None
        raise
    activity.query_id = (reader.schema.metadata or {}).get(_QUERY_ID, b"").decode()
    rows = _Rows(statement, reader, activity)
    result = _Answer(reader.schema, rows, activity, _end)
    result.lake = lake
    return result, rows


def _whole(lake: RemoteLake, result: Result) -> Result:
    """A result that is here already: a write is over, and has failed if it fails, whether or not it is read."""
    table = result.arrow()
    activity = Activity(result.query_id, Principal("", ""), "remote", "")
    whole = _Answer(table.schema, TableStream(table), activity, _end)
    whole.lake = lake
    return whole


def _changes(verb: str, text: str, schema: pa.Schema) -> bool:
    if schema.names == ["Count"] or (verb and verb not in _READS):
        return True
    return verb == "WITH" and _WRITES.search(text) is not None


def _ctrl_c(activity: Activity) -> None:
    activity.stop(errors.Cancelled("The statement was cancelled by Ctrl-C."))


def _end(activity: Activity, problem: BaseException | None) -> None:
    """The server does the accounts."""


@contextmanager
def _readable(data: object, home: Path | None, sent: Steps) -> Iterator[pa.RecordBatchReader]:
    """Data at hand, or a file of this machine, as a stream of batches. What fails in it is raised as it was."""
    problems: list[Exception] = []
    opened = _file(data, home) if isinstance(data, str | Path) else nullcontext((loading.arrow(data), None))
    with opened as (source, lake):
        batches = source.to_batches(BATCH_ROWS) if isinstance(source, pa.Table) else source
        counted = _counted(batches, sent, lake)
        try:
            yield pa.RecordBatchReader.from_batches(source.schema, _noting(source.schema, counted, problems))
        except errors.NeuroLakeError as error:
            raise (problems[0] if problems else error) from None


@contextmanager
def _file(path: str | Path, home: Path | None) -> Iterator[tuple[Result, Lake]]:
    """A file read by an engine of its own, and so just as a lake in this process would read it: that home's, if any."""
    from neurolake.config import load
    from neurolake.lake import EmbeddedLake

    settings = load(None, flags={"optimizer": False})
    if home is not None:
        settings = settings.reaching_storage_as(load(home))
    with EmbeddedLake.in_memory(settings) as scratch:
        scratch.register("file", path)
        with scratch.sql("FROM file") as rows:
            yield rows, scratch


def _counted(batches: Iterable[pa.RecordBatch], sent: Steps, reading: Lake | None) -> Iterator[pa.RecordBatch]:
    """Note what goes out, and how much of the file the lake that reads it has read."""
    sent.begin("sending")
    for batch in batches:
        yield batch
        read = None if reading is None else reading.progress()
        sent.add(bytes=batch.nbytes, part=None if read is None else read.share)


def _noting(
    schema: pa.Schema, batches: Iterable[pa.RecordBatch], problems: list[Exception]
) -> Iterator[pa.RecordBatch]:
    """Batches for the driver, which keeps no more than an error's words, and without any sends not even the schema."""
    none = True
    try:
        for batch in batches:
            none = False
            yield from _cut(batch)
        if none:
            yield pa.RecordBatch.from_pylist([], schema)
    except Exception as error:  # handed on, whatever it is
        problems.append(error)
        raise


def _cut(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """A batch in pieces of about `BATCH_BYTES`: gRPC takes no message without an end."""
    rows = max(1, batch.num_rows * BATCH_BYTES // max(1, batch.nbytes))
    for start in range(0, max(1, batch.num_rows), rows):
        yield batch.slice(start, rows)


def _proof(user: str | None, password: str | None, token: str | None) -> dict[str, str]:
    if token is not None:
        return {_AUTHORIZATION: f"Bearer {token}"}
    return {} if user is None else {"username": user, "password": password or ""}


def _pem(path: Path) -> str:
    try:
        return path.expanduser().read_text()
    except (OSError, UnicodeDecodeError):
        raise errors.InvalidRequest(
            f"The file {path} cannot be read.", code="tls_ca", next_step="Name a PEM file."
        ) from None
