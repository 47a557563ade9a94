"""What a measuring process does: jobs, asked for by one line of JSON each, answered by another.

Clients, and the engine run in process, each have a process of their own, so that their CPU can be told from that of
the server and of the benchmark itself. `python -m benchmarks.jobs` reads lines until its standard input ends.
"""

from __future__ import annotations

import itertools
import json
import os
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from benchmarks.measure import quantile

__all__ = ["STREAM_BATCH_ROWS", "Jobs", "main"]

STREAM_BATCH_ROWS = 16_384
"""Rows asked for in each batch of a stream: the size at which the engine, bare Flight and the client all cost least."""

POINT_ROWS = 1_000_000
"""Rows of the table `points`, whose `id` runs from 0."""

PERSON_ROWS = 100_000
"""Rows that the table `persons` has at least; its `id` runs from 0."""

Answer = dict[str, Any]

_TEXTS: dict[str, Callable[[int], str]] = {
    "select": lambda number: f"SELECT {number}",
    # A prime step spreads the look-ups over the whole table.
    "point": lambda number: f"SELECT * FROM points WHERE id = {number * 7_919 % POINT_ROWS}",
    "person": lambda number: f"SELECT id, kind, amount, email FROM persons WHERE id = {number * 7_919 % PERSON_ROWS}",
    "person_shape": lambda number: f"SELECT id, kind AS kind_{number}, amount, email FROM persons WHERE id = 17",
}


class Jobs:
    """The jobs, and what they keep between calls: connections, databases, tables by the name they were given."""

    def __init__(self) -> None:
        self._connections: dict[str, list[Any]] = {}
        self._databases: dict[str, Any] = {}
        self._tables: dict[str, Any] = {}
        self._lakes: dict[str, Any] = {}

    def close(self) -> None:
        """Close all that is still open."""
        opened = [*itertools.chain(*self._connections.values()), *self._databases.values(), *self._lakes.values()]
        for each in opened:
            each.close()

    # Over Flight SQL, through the stock driver.

    def connect(self, name: str, uri: str, options: dict[str, str], count: int = 1, autocommit: bool = False) -> Answer:
        """Open connections; `name` stands for all of them."""
        self._connections[name] = [_connect(uri, options, autocommit) for _ in range(count)]
        return {}

    def disconnect(self, name: str) -> Answer:
        """Close them."""
        for connection in self._connections.pop(name):
            connection.close()
        return {}

    def fetch(self, name: str, sql: str) -> Answer:
        """Run a query and drain its batches as they come."""
        with _measured() as answer, self._connections[name][0].cursor() as cursor:
            cursor.execute(sql)
            answer["rows"] = sum(batch.num_rows for batch in cursor.fetch_record_batch())
        return answer

    def repeat(self, name: str, sql: str, count: int) -> Answer:
        """Run a query so many times and drain its batches as they come."""
        with _measured() as answer:
            answer["rows"] = sum(self.fetch(name, sql)["rows"] for _ in range(count))
        return answer

    def answer(self, name: str, sql: str, file: str | None = None) -> Answer:
        """Run a query and take the whole answer as an Arrow table."""
        with _measured() as answer, self._connections[name][0].cursor() as cursor:
            cursor.execute(sql)
            table = cursor.fetch_arrow_table()
        _keep(table, file)
        return answer

    def execute(self, name: str, statements: list[str]) -> Answer:
        """Run statements whose answers do not matter."""
        with _measured() as answer, self._connections[name][0].cursor() as cursor:
            for sql in statements:
                cursor.execute(sql)
                cursor.fetchall()
        return answer

    def ingest(self, name: str, source: str, target: str) -> Answer:
        """Send an opened table to a new managed table, and have the server checkpoint."""
        with _measured() as answer, self._connections[name][0].cursor() as cursor:
            cursor.adbc_ingest(target, self._tables[source], mode="create")
            cursor.execute("CHECKPOINT")
            cursor.fetchall()
        with self._connections[name][0].cursor() as cursor:
            cursor.execute(f"SELECT count(*) FROM {target}")
            answer["rows"] = cursor.fetchone()[0]
        return answer

    def short(self, name: str, kind: str, first: int, count: int) -> Answer:
        """So many short queries one after the other on one cursor, no text twice."""
        latencies_s = []
        with _measured() as answer, self._connections[name][0].cursor() as cursor:
            for number in range(first, first + count):
                latencies_s.append(_query(cursor, _TEXTS[kind](number)))
        return answer | _latencies(latencies_s)

    def load(self, name: str, kind: str, first: int, step: int, duration_s: float) -> Answer:
        """Short queries on all connections of a name at once, for so long; each has a thread and reuses its cursor."""
        numbers = itertools.count(first, step)
        latencies_s: list[float] = []
        problems: list[BaseException] = []
        connections = self._connections[name]
        start = threading.Barrier(len(connections) + 1)

        def run(connection: Any) -> None:
            try:
                with connection.cursor() as cursor:
                    start.wait()
                    end = time.perf_counter() + duration_s
                    while True:
                        latency_s = _query(cursor, _TEXTS[kind](next(numbers)))
                        if time.perf_counter() > end:  # Answered too late: with many connections this is many.
                            return
                        latencies_s.append(latency_s)
            except BaseException as problem:
                problems.append(problem)
                start.abort()

        threads = [threading.Thread(target=run, args=(connection,)) for connection in connections]
        for thread in threads:
            thread.start()
        with suppress(threading.BrokenBarrierError), _measured() as answer:
            start.wait()
            for thread in threads:
                thread.join()
        if problems:
            raise problems[0]
        return answer | _latencies(latencies_s)

    def first_query(self, uri: str, options: dict[str, str], timeout_s: float) -> Answer:
        """Try until the server at `uri` answers a query; `at_s` is when, on the clock all processes share."""
        end = time.monotonic() + timeout_s
        while True:
            try:
                with _connect(uri, options, False) as connection, connection.cursor() as cursor:
                    _query(cursor, "SELECT 1")
                    return {"at_s": time.monotonic()}
            except _driver_errors():
                if time.monotonic() > end:
                    raise
                time.sleep(0.01)

    # In this process.

    def open(self, name: str, path: str) -> Answer:
        """Open, or make, a plain DuckDB database."""
        import duckdb

        database = duckdb.connect(path)
        database.execute("SET enable_progress_bar = false")
        self._databases[name] = database
        return {}

    def drain(self, name: str, sql: str) -> Answer:
        """Run a query and drain its Arrow reader."""
        with _measured() as answer:
            reader = self._databases[name].sql(sql).to_arrow_reader(STREAM_BATCH_ROWS)
            answer["rows"] = sum(batch.num_rows for batch in reader)
        return answer

    def answer_in_process(self, name: str, sql: str, file: str | None = None) -> Answer:
        """Run a query and take the whole answer as an Arrow table."""
        with _measured() as answer:
            table = self._databases[name].sql(sql).to_arrow_table()
        _keep(table, file)
        return answer

    def read(self, name: str, file: str) -> Answer:
        """Read a Parquet file into an Arrow table, which is kept under a name."""
        self._tables[name] = arrow_of_parquet(Path(file)).read_all()
        return {"rows": self._tables[name].num_rows}

    def create(self, path: str, files: dict[str, str] | None = None, sources: dict[str, str] | None = None) -> Answer:
        """CREATE TABLE AS into a fresh database file, commit and checkpoint included.

        Args:
            path: the database file.
            files: Parquet files by the names of their tables.
            sources: kept tables by the names of theirs.
        """
        import duckdb

        with duckdb.connect(path) as database:
            database.execute("SET enable_progress_bar = false")
            relations = {table: database.read_parquet(file) for table, file in (files or {}).items()}
            relations |= {table: database.from_arrow(self._tables[kept]) for table, kept in (sources or {}).items()}
            with _measured() as answer:
                for table, relation in relations.items():
                    relation.create(table)
                database.execute("CHECKPOINT")
            rows = [database.table(table).shape[0] for table in relations]
        return answer | {"rows": sum(rows)}

    def open_lake(self, name: str, path: str) -> Answer:
        """Open an embedded lake."""
        import neurolake

        self._lakes[name] = neurolake.connect(path)
        return {}

    def close_lake(self, name: str) -> Answer:
        """Close it."""
        self._lakes.pop(name).close()
        return {}

    def short_in_lake(self, name: str, kind: str, first: int, count: int) -> Answer:
        """So many short queries through an embedded lake."""
        return self._short(lambda sql: self._lakes[name].sql(sql).fetchall(), kind, first, count)

    def short_in_process(self, name: str, kind: str, first: int, count: int) -> Answer:
        """So many short queries on a plain DuckDB connection."""
        return self._short(lambda sql: self._databases[name].execute(sql).fetchall(), kind, first, count)

    def _short(self, run: Callable[[str], Any], kind: str, first: int, count: int) -> Answer:
        latencies_s = []
        with _measured() as answer:
            for number in range(first, first + count):
                start = time.perf_counter()
                run(_TEXTS[kind](number))
                latencies_s.append(time.perf_counter() - start)
        return answer | _latencies(latencies_s)


def arrow_of_parquet(file: Path) -> Any:
    """A Parquet file as an Arrow stream in the engine's own types and batches: the file's string views are strings."""
    import duckdb

    connection = duckdb.connect()
    connection.execute("SET enable_progress_bar = false")
    return connection.read_parquet(str(file)).to_arrow_reader(STREAM_BATCH_ROWS)


@contextmanager
def _measured() -> Iterator[Answer]:
    """Wall time, and the CPU of all threads of this process, of a block."""
    answer: Answer = {}
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    yield answer
    answer["cpu_s"] = time.process_time() - cpu_s
    answer["wall_s"] = time.perf_counter() - wall_s


def _connect(uri: str, options: dict[str, str], autocommit: bool) -> Any:
    import adbc_driver_flightsql.dbapi

    return adbc_driver_flightsql.dbapi.connect(uri, db_kwargs=options, autocommit=autocommit)


def _driver_errors() -> type[Exception]:
    import adbc_driver_manager

    error: type[Exception] = adbc_driver_manager.Error
    return error


def _query(cursor: Any, sql: str) -> float:
    start = time.perf_counter()
    cursor.execute(sql)
    rows = cursor.fetchall()
    assert len(rows) == 1
    return time.perf_counter() - start


def _latencies(latencies_s: list[float]) -> Answer:
    return {
        "count": len(latencies_s),
        "p50_s": statistics.median(latencies_s),
        "p99_s": quantile(latencies_s, 0.99),
    }


def _keep(table: Any, file: str | None) -> None:
    if file is None:
        return
    import pyarrow as pa

    with pa.OSFile(file, "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)


def main() -> None:
    """Answer jobs until standard input ends."""
    # Libraries print; the answers' channel must stay clean.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    jobs = Jobs()
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            answer = {"answer": getattr(jobs, asked["job"])(**asked["arguments"])}
        except Exception as error:  # The boundary: the case that asked reports it.
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
    jobs.close()


if __name__ == "__main__":
    main()
