"""A proxy before a real S3 server spoils its answers: what comes out is exactly right, or an error, never a part."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import faulty_proxy
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from faulty_proxy import Answer, Asked, Fault, FaultyProxy
from storage import ACCESS_KEY, SECRET_KEY, Lakeside, S3Server, fingerprint

from neurolake.errors import NeuroLakeError
from neurolake.sources.storage import StorageOptions

QUICK = StorageOptions(connect_timeout_s=1, request_timeout_s=5, stall_timeout_s=0.3, retries=3)
REMOTE = "'s3://tpch/lineitem.parquet'"

Make = Callable[..., Lakeside]


def is_read(asked: Asked) -> bool:
    return asked.is_read


def is_list(asked: Asked) -> bool:
    return asked.is_list


def is_head(asked: Asked) -> bool:
    return asked.method == "HEAD"


PASSING: dict[str, Fault] = {
    "internal error": faulty_proxy.status(500),
    "slow down": faulty_proxy.status(503, "SlowDown"),
    "too many requests": faulty_proxy.status(429, "TooManyRequests"),
    "request timeout": faulty_proxy.status(408, "RequestTimeout"),
    "reset before the answer": faulty_proxy.reset(-1),
    "reset in the answer": faulty_proxy.reset(1000),
    "body ends early": faulty_proxy.short(),
    "range comes back shorter": faulty_proxy.fewer_bytes(),
    "silent before the answer": faulty_proxy.stall(-1),
    "silent in the answer": faulty_proxy.stall(1000),
}


def most(kinds: Mapping[str, Fault], *first: str) -> list[object]:
    """The names of faults; those not named here are left to the longer run."""
    return [name if name in first else pytest.param(name, marks=pytest.mark.faults) for name in kinds]


class TestPassingFaults:
    @pytest.mark.parametrize(
        "name", most(PASSING, "slow down", "reset in the answer", "body ends early", "silent in the answer")
    )
    def test_the_answer_is_right_after_some_tries(
        self, lakeside: Make, lineitem: Path, proxy: FaultyProxy, name: str
    ) -> None:
        lake = lakeside(proxy.endpoint, QUICK)
        proxy.inject(PASSING[name], when=is_read, times=3)  # the footer's request, three times
        proxy.inject(PASSING[name], when=lambda asked: asked.is_read and proxy.count(is_read) > 8, times=3)
        assert lake.rows(fingerprint(REMOTE)) == lake.rows(fingerprint(f"'{lineitem}'"))

    @pytest.mark.parametrize("name", ["slow down", "reset before the answer"])
    def test_looking_at_a_file_and_listing_are_tried_again_too(
        self, lakeside: Make, lineitem: Path, proxy: FaultyProxy, name: str
    ) -> None:
        lake = lakeside(proxy.endpoint, QUICK)
        proxy.inject(PASSING[name], when=is_head, times=2)
        proxy.inject(PASSING[name], when=is_list, times=2)
        assert lake.storage.refresh("s3://tpch/lineitem.parquet").entries[0].size == lineitem.stat().st_size
        assert len(lake.storage.refresh("s3://tpch/line*.parquet").entries) == 1

    @pytest.mark.parametrize("fault", [faulty_proxy.cut_listing(), faulty_proxy.short(), faulty_proxy.reset(100)])
    def test_a_listing_that_breaks_off_is_asked_for_again(
        self, lakeside: Make, s3_server: S3Server, bucket: str, proxy: FaultyProxy, fault: Fault
    ) -> None:
        s3_server.put_many(bucket, {f"{i}.csv": b"%d\n" % i for i in range(20)})
        lake = lakeside(proxy.endpoint, QUICK)
        proxy.inject(fault, when=is_list, times=2)
        for pattern in (f"s3://{bucket}/*.csv", f"s3://{bucket}/**/*.csv"):
            assert len(lake.storage.refresh(pattern).entries) == 20

    @pytest.mark.parametrize("driver", ["obstore", "fsspec"])
    def test_no_wrong_bytes_whatever_order_answers_come_in(
        self, lakeside: Make, lineitem: Path, proxy: FaultyProxy, driver: str
    ) -> None:
        chance = random.Random(7)
        proxy.inject(lambda answer: setattr(answer, "pause_s", chance.choice((0, 0, 0.01, 0.05))), when=is_read)
        lake = lakeside(proxy.endpoint, driver=driver)
        local = lake.rows(fingerprint(f"'{lineitem}'"))
        with ThreadPoolExecutor(4) as pool:
            queries = [pool.submit(lake.rows, fingerprint(REMOTE)) for _ in range(4)]
            assert [query.result() for query in queries] == [local] * 4

    @pytest.mark.parametrize("fault", [faulty_proxy.fewer_bytes(), faulty_proxy.status(503)])
    def test_the_general_driver_refuses_short_answers_too(
        self, lakeside: Make, lineitem: Path, proxy: FaultyProxy, fault: Fault
    ) -> None:
        lake = lakeside(proxy.endpoint, QUICK, driver="fsspec")
        proxy.inject(fault, when=is_read, times=3)
        assert lake.rows(fingerprint(REMOTE)) == lake.rows(fingerprint(f"'{lineitem}'"))


class TestLastingFaults:
    @pytest.mark.parametrize(
        ("name", "code", "says"),
        [
            ("internal error", "source_unreachable", "500"),
            ("slow down", "source_unreachable", "503 SlowDown"),
            ("reset before the answer", "source_unreachable", "connection broke"),
            ("body ends early", "source_truncated", "broke off"),
            ("range comes back shorter", "source_truncated", "broke off"),
            ("silent before the answer", "source_unreachable", "fell silent"),
            ("silent in the answer", "source_unreachable", "fell silent"),
        ],
    )
    @pytest.mark.usefixtures("lineitem")
    def test_retries_are_counted_and_the_error_says_why(
        self, lakeside: Make, proxy: FaultyProxy, name: str, code: str, says: str
    ) -> None:
        lake = lakeside(proxy.endpoint, QUICK)
        proxy.inject(PASSING[name], when=is_read)
        error = lake.problem(f"SELECT count(*) FROM {REMOTE}")
        assert (error.code, error.retryable) == (code, True)
        assert says in error.message
        assert "s3://tpch/lineitem.parquet" in error.message
        assert error.next_step
        assert proxy.count(is_read) == 1 + QUICK.retries  # one request: the footer
        assert not any(secret in f"{error!r}{error.__cause__!r}" for secret in (SECRET_KEY, ACCESS_KEY, "Signature"))

    def test_in_mid_stream(self, lakeside: Make, s3_server: S3Server, bucket: str, proxy: FaultyProxy) -> None:
        s3_server.put(bucket, "x.parquet", _grouped(tuple(range(40))))
        lake = lakeside(proxy.endpoint, QUICK)
        proxy.inject(faulty_proxy.status(500), when=lambda asked: asked.is_read and _late(asked))
        cursor = lake.instance.cursor()
        reader = cursor.stream(f"FROM 's3://{bucket}/x.parquet'")
        rows = 0
        with pytest.raises(OSError) as caught:
            while batch := reader.read_next_batch():
                rows += batch.num_rows
        assert 0 < rows < 40 * 20_000
        assert cursor.stream_problem(caught.value).code == "source_unreachable"
        cursor.close()

    def test_a_listing_that_stays_broken(self, lakeside: Make, proxy: FaultyProxy) -> None:
        lake = lakeside(proxy.endpoint, QUICK)
        proxy.inject(faulty_proxy.cut_listing(), when=is_list)
        with pytest.raises(NeuroLakeError) as caught:
            lake.storage.refresh("s3://tpch/*.parquet")
        assert caught.value.code == "source_truncated"
        assert proxy.count(is_list) == 1 + QUICK.retries

    @pytest.mark.usefixtures("lineitem")
    def test_the_lake_works_again_when_storage_does(self, lakeside: Make, proxy: FaultyProxy) -> None:
        lake = lakeside(proxy.endpoint, StorageOptions(retries=0))
        proxy.inject(faulty_proxy.status(500), when=is_read)
        lake.problem(f"SELECT sum(l_quantity) FROM {REMOTE}")
        proxy.heal()
        assert lake.rows(f"SELECT count(l_comment) FROM {REMOTE}") == [(600_572,)]


class TestReplacedObjects:
    @pytest.mark.parametrize("driver", ["obstore", "fsspec"])
    def test_between_two_reads(
        self, lakeside: Make, s3_server: S3Server, bucket: str, proxy: FaultyProxy, driver: str
    ) -> None:
        """Both versions have the same size, so that only the tag can tell."""
        old, new = _grouped((1,) * 20), _grouped((2,) * 20)
        assert len(old) == len(new)
        s3_server.put(bucket, "x.parquet", old)
        lake, source = lakeside(proxy.endpoint, driver=driver), f"'s3://{bucket}/x.parquet'"
        swapped, in_turn = threading.Event(), threading.Lock()

        def swap(_: Answer) -> None:
            with in_turn:  # or the other connections would fetch the rest while a slow server still stores the new one
                if not swapped.is_set():
                    s3_server.put(bucket, "x.parquet", new)
                    swapped.set()

        proxy.inject(swap, when=lambda asked: asked.is_read and proxy.count(is_read) >= 3)
        error = lake.problem(f"SELECT min(v), max(v), sum(hash(w)) FROM {source}")
        assert (error.code, error.retryable) == ("source_changed", True)
        assert swapped.is_set()
        assert lake.rows(f"SELECT min(v), max(v) FROM {source}") == [(2, 2)]

    @pytest.mark.faults
    def test_a_writer_that_never_rests(self, lakeside: Make, s3_server: S3Server, bucket: str) -> None:
        versions = [_grouped((number,) * 20) for number in range(4)]
        s3_server.put(bucket, "x.parquet", versions[0])
        lake, source = lakeside(), f"s3://{bucket}/x.parquet"
        done = threading.Event()

        def write() -> None:
            turn = 0
            while not done.is_set():
                turn += 1
                s3_server.put(bucket, "x.parquet", versions[turn % 4])
                time.sleep(random.uniform(0, 0.03))

        def read() -> set[str]:
            outcomes = set()
            while not done.is_set():
                try:
                    lake.storage.refresh(source)
                    low, high = lake.rows(f"SELECT min(v), max(v), sum(hash(w)) FROM '{source}'")[0][:2]
                except NeuroLakeError as problem:
                    outcomes.add(problem.code)
                else:
                    outcomes.add("whole" if low == high else "MIXED")
            return outcomes

        with ThreadPoolExecutor(4) as pool:
            writing, readings = pool.submit(write), [pool.submit(read) for _ in range(3)]
            time.sleep(20)
            done.set()
            writing.result()
            seen = set().union(*(reading.result() for reading in readings))
        assert seen <= {"whole", "source_changed"}
        assert "whole" in seen

    def test_deleted_while_read(self, lakeside: Make, s3_server: S3Server, bucket: str, proxy: FaultyProxy) -> None:
        s3_server.put(bucket, "x.parquet", _grouped(tuple(range(40))))
        lake = lakeside(proxy.endpoint)
        proxy.inject(lambda _: s3_server.delete(bucket, "x.parquet"), when=is_read, times=1)
        error = lake.problem(f"SELECT sum(v) FROM 's3://{bucket}/x.parquet'")
        assert error.code == "source_changed"
        assert "deleted" in error.message


class TestSilentServer:
    """S3 says nothing for ever: that statement can be stopped at once, and no other one waits for it."""

    @pytest.fixture
    def stopped(self) -> set[str]:
        """The locations whose statements were stopped."""
        return set()

    @pytest.fixture
    def lake(self, lakeside: Make, proxy: FaultyProxy, lineitem: Path, stopped: set[str]) -> Lakeside:
        patient = StorageOptions(request_timeout_s=60, stall_timeout_s=60)
        return lakeside(proxy.endpoint, patient, abandoned=lambda location: location in stopped)

    @pytest.mark.parametrize("after", [-1, 0, 1000])
    def test_a_read_is_given_up_at_once(
        self, lake: Lakeside, proxy: FaultyProxy, stopped: set[str], after: int
    ) -> None:
        proxy.inject(faulty_proxy.stall(after), when=is_read)
        with ThreadPoolExecutor() as pool:
            query = pool.submit(lake.problem, f"SELECT sum(l_quantity) FROM {REMOTE}")
            _until(lambda: proxy.count(is_read) > 0)
            began = time.monotonic()
            stopped.add("s3://tpch/lineitem.parquet")
            assert query.result(5).code == "cancelled"
            assert time.monotonic() - began < 1

    def test_so_is_a_statement_in_mid_scan(self, lake: Lakeside, proxy: FaultyProxy, stopped: set[str]) -> None:
        proxy.inject(faulty_proxy.stall(500), when=lambda asked: asked.is_read and proxy.count(is_read) > 8)
        with ThreadPoolExecutor() as pool:
            query = pool.submit(lake.problem, f"SELECT sum(l_quantity), max(l_comment) FROM {REMOTE}")
            _until(lambda: proxy.count(is_read) > 8)
            time.sleep(0.3)
            began = time.monotonic()
            stopped.add("s3://tpch/lineitem.parquet")
            assert query.result(5).code == "cancelled"
            assert time.monotonic() - began < 1

    def test_so_is_a_listing(self, lake: Lakeside, proxy: FaultyProxy, stopped: set[str]) -> None:
        proxy.inject(faulty_proxy.stall(-1), when=is_list)
        pattern = "s3://tpch/**/*.parquet"
        with ThreadPoolExecutor() as pool:
            listing = pool.submit(lake.storage.refresh, pattern)
            _until(lambda: proxy.count(is_list) > 0)
            stopped.add(pattern)
            assert getattr(listing.exception(1), "code", None) == "cancelled"

    def test_a_file_stays_wanted_while_any_of_its_patterns_is(
        self, lake: Lakeside, proxy: FaultyProxy, stopped: set[str]
    ) -> None:
        one, other = "s3://tpch/line*.parquet", "s3://tpch/*item.parquet"
        lake.storage.refresh(one)
        lake.storage.refresh(other)
        stopped |= {"s3://tpch/lineitem.parquet"}
        proxy.inject(faulty_proxy.delay(0.5), when=is_read)
        with ThreadPoolExecutor() as pool:
            query = pool.submit(lake.rows, f"SELECT count(*) FROM '{one}'")
            _until(lambda: proxy.count(is_read) > 0)
            stopped.add(one)
            assert query.result(10) == [(600_572,)]

    def test_nobody_else_waits(self, lake: Lakeside, proxy: FaultyProxy, lineitem: Path, stopped: set[str]) -> None:
        """Sixteen silent statements on an instance with two threads, and the others go on."""
        proxy.inject(faulty_proxy.stall(100), when=is_read)
        with ThreadPoolExecutor(16) as pool:
            silent = [pool.submit(lake.problem, f"SELECT sum(l_quantity) FROM {REMOTE}") for _ in range(16)]
            _until(lambda: proxy.count(is_read) > 0 and all(query.running() for query in silent))
            time.sleep(1)  # a file that is opened after its statement was stopped is nobody's, and waits its time
            began = time.monotonic()
            assert lake.rows("SELECT sum(i) FROM range(1000000) t(i)") == [(499_999_500_000,)]
            assert lake.rows(f"SELECT count(*) FROM '{lineitem}' WHERE l_comment <> ''") == [(600_572,)]
            assert time.monotonic() - began < 5
            stopped.add("s3://tpch/lineitem.parquet")
            assert {query.result(10).code for query in silent} == {"cancelled"}

    def test_another_file_of_the_same_server_is_read(
        self, lake: Lakeside, s3_server: S3Server, bucket: str, proxy: FaultyProxy, stopped: set[str]
    ) -> None:
        s3_server.put(bucket, "x.parquet", _grouped((1,)))
        proxy.inject(faulty_proxy.stall(100), when=lambda asked: asked.is_read and "lineitem" in asked.path)
        with ThreadPoolExecutor() as pool:
            query = pool.submit(lake.problem, f"SELECT sum(l_quantity) FROM {REMOTE}")
            _until(lambda: proxy.count(is_read) > 0)
            assert lake.rows(f"SELECT count(*) FROM 's3://{bucket}/x.parquet'") == [(20_000,)]
            stopped.add("s3://tpch/lineitem.parquet")
            assert query.result(5).code == "cancelled"

    def test_its_connection_is_closed(self, lake: Lakeside, proxy: FaultyProxy, stopped: set[str]) -> None:
        proxy.inject(faulty_proxy.stall(100), when=is_read)
        with ThreadPoolExecutor() as pool:
            query = pool.submit(lake.problem, f"SELECT sum(l_quantity) FROM {REMOTE}")
            _until(lambda: proxy.count(is_read) > 0)
            stopped.add("s3://tpch/lineitem.parquet")
            query.result(5)
        _until(lambda: proxy.hung_up >= 1)

    def test_who_is_not_watched_waits_for_its_time_limit(self, lakeside: Make, proxy: FaultyProxy) -> None:
        lake = lakeside(proxy.endpoint, StorageOptions(stall_timeout_s=0.6, retries=0), abandoned=lambda location: True)
        proxy.inject(faulty_proxy.stall(-1), when=is_read)
        assert lake.problem(f"SELECT count(*) FROM {REMOTE}").code == "source_unreachable"

    def test_closing_the_lake_ends_it(self, lake: Lakeside, proxy: FaultyProxy) -> None:
        proxy.inject(faulty_proxy.stall(-1), when=is_list)
        with ThreadPoolExecutor() as pool:
            listing = pool.submit(lake.storage.refresh, "s3://tpch/*.parquet")
            _until(lambda: proxy.count(is_list) > 0)
            lake.storage.close()
            assert getattr(listing.exception(2), "code", None) == "closed"


class TestForLong:
    @pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.faults) for seed in range(1, 8))])
    def test_everything_at_once(self, lakeside: Make, lineitem: Path, proxy: FaultyProxy, seed: int) -> None:
        """A third of all answers are spoiled, each in a way of its own; no answer differs by a bit."""
        chance = random.Random(seed)
        options = StorageOptions(connect_timeout_s=1, request_timeout_s=10, stall_timeout_s=0.5, retries=12)
        lake = lakeside(proxy.endpoint, options)
        kinds = list(PASSING.values())

        def spoil(answer: Answer) -> None:
            if chance.random() < 1 / 3:
                chance.choice(kinds)(answer)

        local = lake.rows(fingerprint(f"'{lineitem}'"))
        proxy.inject(spoil)
        with ThreadPoolExecutor(3) as pool:
            queries = [pool.submit(lake.rows, fingerprint(REMOTE)) for _ in range(3)]
            assert [query.result() for query in queries] == [local] * 3

    @pytest.mark.faults
    def test_a_slow_line_is_no_stall(
        self, lakeside: Make, s3_server: S3Server, bucket: str, proxy: FaultyProxy
    ) -> None:
        data = _grouped(tuple(range(10)))
        s3_server.put(bucket, "x.parquet", data)
        lake = lakeside(proxy.endpoint, StorageOptions(stall_timeout_s=1, request_timeout_s=30))
        proxy.inject(faulty_proxy.slow(len(data) / 4), when=is_read)
        assert lake.rows(f"SELECT count(v), sum(v) FROM 's3://{bucket}/x.parquet'") == [(200_000, 900_000)]

    @pytest.mark.faults
    def test_a_line_too_slow_ends_by_the_time_limit(self, lakeside: Make, proxy: FaultyProxy, lineitem: Path) -> None:
        lake = lakeside(proxy.endpoint, StorageOptions(stall_timeout_s=1, request_timeout_s=2, retries=1))
        proxy.inject(faulty_proxy.slow(1000), when=is_read)
        began = time.monotonic()
        assert lake.problem(f"SELECT sum(l_quantity) FROM {REMOTE}").code == "source_unreachable"
        assert time.monotonic() - began < 10


def _grouped(values: tuple[int, ...]) -> bytes:
    """A Parquet file with one row group of 20,000 rows for each value, 320 kB each whatever the value."""
    sink = pa.BufferOutputStream()
    schema = pa.schema([("v", pa.int64()), ("w", pa.int64())])
    with pq.ParquetWriter(sink, schema, compression="none", use_dictionary=False) as writer:
        for place, value in enumerate(values):
            noise = pa.py_buffer(random.Random(1000 * place + value).randbytes(160_000))
            words = pa.Array.from_buffers(pa.int64(), 20_000, [None, noise])
            writer.write_table(pa.table([pa.repeat(pa.scalar(value), 20_000), words], schema=schema))
    return bytes(sink.getvalue())


def _late(asked: Asked) -> bool:
    return asked.range is not None and 8_000_000 < asked.range[1] < 11_000_000


def _until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)
