"""A served lake before a faulty S3, asked by the stock driver.

Where S3 has fallen silent, what is stopped ends, and nobody else waits; where it fails, an answer is right or an error.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, closing
from itertools import count
from pathlib import Path

import faulty_proxy
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from contract.clients import PASSWORD, Failure, Flight
from contract.conftest import uri
from contract.test_statuses import until
from faulty_proxy import Asked, FaultyProxy
from storage import S3Server, fingerprint

from flight.service import Service
from neurolake import errors
from neurolake.activity import Activity
from neurolake.config import load
from neurolake.home import Home

WITHIN_S = 1.0
SLOTS = 4
SILENT = "SELECT sum(l_quantity + l_tax), sum(l_partkey) AS silent FROM "
FILE = "'s3://tpch/lineitem.parquet'"

Ask = Callable[..., "Future[Failure]"]


def of_lineitem(asked: Asked) -> bool:
    return asked.is_read and "lineitem" in asked.path


@pytest.fixture(scope="module")
def proxy(s3_server: S3Server) -> Iterator[FaultyProxy]:
    with closing(FaultyProxy(s3_server.endpoint)) as made:
        yield made


@pytest.fixture(scope="module")
def served(
    tmp_path_factory: pytest.TempPathFactory, s3_server: S3Server, proxy: FaultyProxy, lineitem: Path
) -> Iterator[Service]:
    """A lake with files in S3, and so patient with it that what is given up ends by nothing else."""
    s3_server.put("tpch", "other.parquet", lineitem)
    home = Home.open(tmp_path_factory.mktemp("stalled") / "lake", create=True)
    with (home.path / "neurolake.toml").open("a") as settings:
        settings.write('\n[storage."s3://"]\n')
        settings.writelines(f'{key} = "{value}"\n' for key, value in s3_server.settings(proxy.endpoint).items())
    flags = {
        "port": 0, "http_port": 0, "admin_password": PASSWORD, "shutdown_grace_s": 0, "threads": 2,
        "concurrent_statements_max": SLOTS, "storage_stall_timeout_s": 120.0, "storage_request_timeout_s": 120.0,
    }  # fmt: skip
    service = Service(home, load(home.path, flags=flags))
    service.start()
    with closing(Flight(uri(service), autocommit=True)) as flight:
        flight.execute("CREATE TABLE numbers AS FROM range(5000000) t(i)")
        flight.execute("CREATE VIEW seen AS SELECT * FROM 's3://tpch/lineitem.parquet'")
        flight.register("lines", "s3://tpch/lineitem.parquet")
        flight.register("pattern", "s3://tpch/line*.parquet")
        flight.register("others", "s3://tpch/other.parquet")
        flight.register("local", lineitem)
    yield service
    service.stop()


@pytest.fixture
def flight(served: Service) -> Iterator[Flight]:
    with closing(Flight(uri(served), autocommit=True)) as flight:
        yield flight


@pytest.fixture
def ask(served: Service, flight: Flight, proxy: FaultyProxy) -> Iterator[Ask]:
    """Lets a client of its own run a statement that fails; by then S3 answers no more reads of one file."""
    with ExitStack() as ends:
        pool = ends.enter_context(ThreadPoolExecutor(32))
        asked: list[Future[Failure]] = []

        def start(sql: str, *first: str) -> Future[Failure]:
            own = ends.enter_context(closing(Flight(flight.uri, autocommit=True)))
            for each in first:
                own.execute(each)
            asked.append(pool.submit(own.failure, sql))
            return asked[-1]

        for name in ("lines", "pattern", "seen", FILE):
            flight.execute(f"SELECT count(*) FROM {name}")  # so that no footer is read any more
        proxy.inject(faulty_proxy.stall(-1), when=of_lineitem)
        yield start
        served.engine.activities.stop_all(lambda: errors.Cancelled("The test is over."))
        wait(asked, 10)
        proxy.heal()


def silent(served: Service) -> list[Activity]:
    """The statements that wait for S3, or for their turn to do so."""
    return [activity for activity in served.engine.activities.snapshot() if "silent" in activity.text]


@pytest.mark.parametrize("source", ["lines", "pattern", "seen", FILE])
class TestStopped:
    """While a stream of a managed table is open that nobody reads."""

    @pytest.fixture(autouse=True)
    def unread(self, flight: Flight) -> Iterator[None]:
        with closing(Flight(flight.uri, autocommit=True)) as idle:
            stream = idle.stream("FROM numbers")
            next(stream)
            yield
            stream.close()

    def test_by_its_id(self, served: Service, flight: Flight, proxy: FaultyProxy, ask: Ask, source: str) -> None:
        before, hung_up = proxy.count(of_lineitem), proxy.hung_up
        answer = ask(SILENT + source)
        until(lambda: proxy.count(of_lineitem) > before)
        (stuck,) = until(lambda: [activity for activity in silent(served) if activity.phase == "running"])
        began = time.monotonic()
        flight.execute("CALL neurolake.cancel(?)", [stuck.query_id])
        assert answer.result(10).code == "cancelled"
        assert time.monotonic() - began < 4
        assert not silent(served)
        until(lambda: proxy.hung_up > hung_up)

    def test_by_its_time_limit(self, proxy: FaultyProxy, ask: Ask, source: str) -> None:
        before = proxy.count(of_lineitem)
        began = time.monotonic()
        answer = ask(SILENT + source, "SET statement_timeout_s = 1")
        assert answer.result(10).code == "timed_out"
        assert time.monotonic() - began < 1 + 2 * WITHIN_S  # its client connects meanwhile
        assert proxy.count(of_lineitem) > before


class TestTheOthers:
    def test_go_on_while_more_statements_are_stuck_than_may_run(
        self, served: Service, flight: Flight, proxy: FaultyProxy, ask: Ask
    ) -> None:
        """Also those that read files of this machine: the engine reads these with the threads that wait for S3."""
        before = proxy.count(of_lineitem)
        answers = [ask(SILENT + source) for source in ("lines", "pattern", "seen", FILE) * 2]
        until(lambda: [activity.phase for activity in silent(served)].count("queued") == len(answers) - SLOTS)
        until(lambda: proxy.count(of_lineitem) - before > 2 * 4)  # more than the engine would have threads for them
        began = time.monotonic()
        assert flight.value("SELECT 1") == 1
        assert flight.value("SELECT sum(i) FROM numbers") == 12_499_997_500_000
        assert flight.value("SELECT count(*) FROM local WHERE l_comment <> ''") == 600_572
        assert flight.change("CREATE TABLE kept AS SELECT l_orderkey FROM local") == 600_572
        assert time.monotonic() - began < 5 * WITHIN_S
        served.engine.activities.stop_all(lambda: errors.Cancelled("Enough."))
        assert {answer.result(10).code for answer in answers} == {"cancelled"}
        assert flight.value("SELECT count(*) FROM others WHERE l_comment <> ''") == 600_572

    def test_read_other_files_of_the_same_server(self, flight: Flight, proxy: FaultyProxy, ask: Ask) -> None:
        before = proxy.count(of_lineitem)
        for _ in range(SLOTS - 1):
            ask(SILENT + "lines")
        until(lambda: proxy.count(of_lineitem) - before > 8)
        began = time.monotonic()
        assert flight.value("SELECT count(*) FROM others WHERE l_shipinstruct <> ''") == 600_572
        assert time.monotonic() - began < 5 * WITHIN_S

    @pytest.mark.parametrize("first", [0, 1])
    def test_of_two_on_one_file_only_the_stopped_one_fails(
        self, served: Service, proxy: FaultyProxy, ask: Ask, first: int
    ) -> None:
        """The engine does not say which of them a read is for: the stopped one may end only when the other one does."""
        before = proxy.count(of_lineitem)
        answers = [ask(SILENT + "lines") for _ in range(2)]
        until(lambda: [activity.phase for activity in silent(served)] == ["running"] * 2)
        until(lambda: proxy.count(of_lineitem) > before + 8)
        stopped, other = silent(served)[:: 1 - 2 * first]
        stopped.stop(errors.Cancelled("Enough."))
        time.sleep(0.5)
        assert other in silent(served)
        assert [answer.done() for answer in answers].count(False) >= 1
        other.stop(errors.Cancelled("Enough."))
        began = time.monotonic()
        assert {answer.result(10).code for answer in answers} == {"cancelled"}
        assert time.monotonic() - began < WITHIN_S


FAULTS = {
    "slow down": faulty_proxy.status(503, "SlowDown"),
    "internal error": faulty_proxy.status(500),
    "reset": faulty_proxy.reset(1000),
    "short body": faulty_proxy.short(),
    "shorter range": faulty_proxy.fewer_bytes(),
}


@pytest.mark.faults
class TestSpoiled:
    @pytest.fixture(autouse=True)
    def healed(self, proxy: FaultyProxy) -> Iterator[None]:
        yield
        proxy.heal()

    @pytest.mark.parametrize("fault", FAULTS)
    def test_a_burst_of_faults_does_not_show(
        self, flight: Flight, proxy: FaultyProxy, s3_server: S3Server, bucket: str, lineitem: Path, fault: str
    ) -> None:
        s3_server.put(bucket, "x.parquet", lineitem)
        proxy.inject(FAULTS[fault], when=lambda asked: asked.is_read and bucket in asked.path, times=4)
        assert flight.rows(fingerprint(f"'s3://{bucket}/x.parquet'")) == flight.rows(fingerprint("local"))

    def test_a_fault_that_lasts_is_an_error(
        self, flight: Flight, proxy: FaultyProxy, s3_server: S3Server, bucket: str, lineitem: Path
    ) -> None:
        s3_server.put(bucket, "x.parquet", lineitem)
        asked_late = count_from(6)
        proxy.inject(faulty_proxy.short(), when=lambda asked: asked.is_read and bucket in asked.path and asked_late())
        failure = flight.failure(f"FROM 's3://{bucket}/x.parquet'")
        assert failure.code == "source_truncated"

    def test_an_object_replaced_between_two_reads_is_an_error(
        self, flight: Flight, proxy: FaultyProxy, s3_server: S3Server, bucket: str, lineitem: Path
    ) -> None:
        """By one of the same size, so that only the tag can tell."""
        sink = pa.BufferOutputStream()
        pq.write_table(pq.read_table(lineitem).slice(0, 100_000), sink, row_group_size=2_000)
        old = sink.getvalue().to_pybytes()
        new = bytearray(old)
        new[4] ^= 1
        s3_server.put(bucket, "x.parquet", old)
        flight.register("replaced", f"s3://{bucket}/x.parquet")
        asked_late = count_from(3)
        proxy.inject(
            lambda _: s3_server.put(bucket, "x.parquet", bytes(new)),
            when=lambda asked: asked.is_read and bucket in asked.path and asked_late(),
            times=1,
        )
        assert flight.failure(fingerprint("replaced")).code == "source_changed"


def count_from(first: int) -> Callable[[], bool]:
    """Says True from the so-many-th time on that it is asked."""
    times = count(1)
    return lambda: next(times) >= first
