"""A remote lake beyond the contract: threads, the client's own files, a server that goes away, and typed errors."""

from __future__ import annotations

import gzip
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pytest

import neurolake
from flight.service import Service
from neurolake import errors
from neurolake.config import load
from neurolake.home import Home
from neurolake.remote import RemoteLake

PASSWORD = "correct horse battery"
ENDLESS = "SELECT count(*) FROM range(100000000000) AS t(i) WHERE i % 3 = 7"


def serve(folder: Path, **flags: object) -> Service:
    home = Home.open(folder, create=True)
    given = {"port": 0, "http_port": 0, "admin_password": PASSWORD, "shutdown_grace_s": 0, **flags}
    service = Service(home, load(home.path, flags=given))
    service.start()
    return service


def connect(service: Service) -> neurolake.Lake:
    return neurolake.connect(f"grpc://127.0.0.1:{service.port}", user="admin", password=PASSWORD)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    service = serve(tmp_path_factory.mktemp("served") / "lake")
    yield service
    service.stop()


@pytest.fixture
def lake(service: Service) -> Iterator[neurolake.Lake]:
    with connect(service) as lake:
        yield lake


def in_thread(work: Callable[[], object]) -> object:
    """What work gives back, done in a thread of its own."""
    answers: list[object] = []
    thread = threading.Thread(target=lambda: answers.append(work()))
    thread.start()
    thread.join(60)
    return answers[0]


def running(service: Service) -> list[str]:
    return [activity.text for activity in service.engine.activities.snapshot()]


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


# Connecting


@pytest.mark.parametrize(
    ("login", "code"),
    [
        ({}, "login_missing"),
        ({"user": "admin", "password": "wrong"}, "login_failed"),
        ({"user": "nobody", "password": PASSWORD}, "login_failed"),
        ({"token": "made up"}, "session_unknown"),
    ],
)
def test_a_login_that_is_wrong(service: Service, login: dict[str, str], code: str) -> None:
    with pytest.raises(errors.LoginFailed) as refused:
        neurolake.connect(f"grpc://127.0.0.1:{service.port}", **login).sql("SELECT 1")
    assert refused.value.code == code


def test_the_owners_token_is_a_login(service: Service) -> None:
    from neurolake.home import read_server_file

    info = read_server_file(service.home.path)
    assert info is not None
    with neurolake.connect(info.uri, token=info.token) as lake:
        assert lake.sql("SELECT count(*) FROM neurolake.users").fetchall() == [(1,)]


def test_settings_are_the_servers(service: Service) -> None:
    with pytest.raises(errors.InvalidRequest, match=r"neurolake\.toml"):
        neurolake.connect(f"grpc://127.0.0.1:{service.port}", user="admin", password=PASSWORD, threads=2)


def test_a_certificate_authority_that_is_not_there() -> None:
    with pytest.raises(errors.InvalidRequest, match=r"none\.pem"):
        neurolake.connect("grpc+tls://127.0.0.1:1", user="a", password="b", tls_ca="none.pem")


def test_a_session_that_is_over_is_opened_again(service: Service, lake: neurolake.Lake) -> None:
    assert lake.sql("SELECT 1").fetchall() == [(1,)]
    for session in list(service.sessions._by_token.values()):
        service.sessions.close(session)
    assert lake.sql("SELECT 2").fetchall() == [(2,)]


def test_a_transaction_whose_session_is_over_is_not_begun_anew(service: Service, lake: neurolake.Lake) -> None:
    lake.sql("CREATE OR REPLACE TABLE t (a INT)")

    def interrupted() -> None:
        with lake.transaction():
            lake.sql("INSERT INTO t VALUES (1)")
            for session in list(service.sessions._by_token.values()):
                service.sessions.close(session)
            lake.sql("INSERT INTO t VALUES (2)")

    with pytest.raises(errors.LoginFailed):
        interrupted()
    assert lake.sql("FROM t").fetchall() == []


def test_a_lost_session_does_not_hide_why_a_block_was_left(service: Service, lake: neurolake.Lake) -> None:
    def fail() -> None:
        with lake.transaction():
            lake.sql("CREATE TABLE halves (a INTEGER)").close()
            for session in list(service.sessions._by_token.values()):
                service.sessions.close(session)
            raise KeyError("the user's own")

    with pytest.raises(KeyError, match="the user's own") as caught:
        fail()
    assert "The ROLLBACK failed: " in caught.value.__notes__[0]
    assert "halves" not in lake.tables()


def test_a_lake_outlives_a_restart_of_its_server(tmp_path: Path) -> None:
    first = serve(tmp_path / "lake")
    with connect(first) as lake:
        lake.sql("CREATE TABLE t AS SELECT 7 AS a")
        first.stop()
        with pytest.raises(errors.Unavailable) as gone:
            lake.sql("FROM t")
        assert gone.value.code == "unreachable"
        assert gone.value.retryable
        second = serve(tmp_path / "lake", port=first.port)
        try:
            until(lambda: _answers(lake))
            assert lake.sql("FROM t").fetchall() == [(7,)]
        finally:
            lake.close()
            second.stop()


def _answers(lake: neurolake.Lake) -> bool:
    try:
        lake.sql("SELECT 1")
    except errors.Unavailable:  # the driver waits a moment before it connects again
        return False
    return True


# Threads


def test_threads_share_temporary_tables_and_settings(lake: neurolake.Lake) -> None:
    lake.sql("CREATE TEMP TABLE mine AS SELECT 1 AS a")
    lake.sql("SET timezone = 'Asia/Tokyo'")
    seen = in_thread(lambda: lake.sql("SELECT a, current_setting('timezone') FROM mine").fetchall())
    assert seen == [(1, "Asia/Tokyo")]


def test_a_transaction_is_its_threads_alone(lake: neurolake.Lake) -> None:
    lake.sql("CREATE OR REPLACE TABLE t (a INT)")
    with lake.transaction():
        lake.sql("INSERT INTO t VALUES (1)")
        lake.load("t", pa.table({"a": [2]}), mode="append")
        assert lake.sql("SELECT count(*) FROM t").fetchone() == (2,)
        assert in_thread(lambda: lake.sql("SELECT count(*) FROM t").fetchone()) == (0,)
        with pytest.raises(errors.InvalidRequest) as refused:
            lake.sql("BEGIN")
        assert refused.value.code == "transaction_open"
    assert in_thread(lambda: lake.sql("SELECT count(*) FROM t").fetchone()) == (2,)


def test_many_threads_at_once(lake: neurolake.Lake) -> None:
    answers: list[bool] = []

    def ask(number: int) -> None:
        for other in range(10):
            answers.append(lake.sql("SELECT $1 + $2", [number, other]).fetchone() == (number + other,))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert answers == [True] * 120


def test_closing_ends_what_another_thread_reads(service: Service) -> None:
    lake = connect(service)
    result = lake.sql("SELECT i FROM range(10000000000) AS t(i)")
    assert result.read() is not None
    ended: list[BaseException] = []

    def read() -> None:
        try:
            for _ in result:
                pass
        except errors.NeuroLakeError as error:
            ended.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    time.sleep(0.2)
    lake.close()
    thread.join(10)
    assert not thread.is_alive()
    assert [type(error) for error in ended] == [errors.Cancelled]
    until(lambda: not running(service))
    with pytest.raises(errors.Unavailable):
        lake.sql("SELECT 1")


def test_closing_between_two_reads_does_not_make_an_answer_look_whole(service: Service) -> None:
    lake = connect(service)
    result = lake.sql("SELECT i FROM range(10000000000) AS t(i)")
    assert result.fetchone() == (0,)
    assert result.read() is not None
    lake.close()
    with pytest.raises(errors.Cancelled, match="closed"):
        result.read()


def test_a_result_that_is_dropped_stops_the_statement(service: Service, lake: neurolake.Lake) -> None:
    result = lake.sql("SELECT i FROM range(10000000000) AS t(i)")
    assert result.fetchone() == (0,)
    del result
    until(lambda: not running(service))


# Statements


def test_a_write_is_over_when_sql_returns_though_nobody_reads_its_answer(lake: neurolake.Lake) -> None:
    lake.sql("CREATE OR REPLACE TABLE t (a INT)")
    lake.sql("INSERT INTO t VALUES (1)")
    lake.sql("WITH more AS (SELECT 2) INSERT INTO t FROM more")
    lake.sql("SELECT 1; INSERT INTO t VALUES (3)")
    assert lake.sql("FROM t ORDER BY a").fetchall() == [(1,), (2,), (3,)]
    with pytest.raises(errors.ConversionFailed):
        lake.sql("INSERT INTO t VALUES ('not a number')")


def test_errors_are_typed_and_name_the_statement(lake: neurolake.Lake) -> None:
    for text, kind in (
        ("selec", errors.SyntaxProblem),
        ("FROM nothing_there", errors.NotFound),
        ("SELECT CAST('x' AS INT) FROM range(2)", errors.ConversionFailed),
    ):
        with pytest.raises(kind) as failed:
            lake.sql(text).fetchall()
        assert failed.value.query_id
        shown = lake.sql("SELECT sql FROM neurolake.queries WHERE query_id = ?", [failed.value.query_id])
        assert shown.fetchall() == [(text,)]


@pytest.mark.parametrize("rows", [1, 500_000])
def test_a_result_knows_its_statement(lake: neurolake.Lake, rows: int) -> None:
    result = lake.sql(f"SELECT i, i + 1 AS j FROM range({rows}) AS t(i)")
    result.arrow()
    found = lake.sql("SELECT state, rows_out FROM neurolake.queries WHERE query_id = ?", [result.query_id]).fetchall()
    assert found == [("done", rows)]


def test_a_statement_is_stopped_after_its_time(service: Service, lake: neurolake.Lake) -> None:
    with pytest.raises(errors.TimedOut):
        lake.sql(ENDLESS, timeout_s=0.3).fetchall()
    until(lambda: not running(service))


def test_parameters_by_name_in_any_order(lake: neurolake.Lake) -> None:
    text = "SELECT $b || $a || $b"
    assert lake.sql(text, {"a": "1", "b": "2", "unused": 3}).fetchall() == [("212",)]
    assert lake.sql(text, a="1", b="2").fetchall() == [("212",)]
    with pytest.raises(errors.InvalidRequest) as missing:
        lake.sql(text, a="1")
    assert missing.value.code == "parameter_missing"
    with pytest.raises(errors.InvalidRequest):
        lake.sql("SELECT ?", [object()])


# Loading


def test_a_file_of_the_client_is_read_as_an_embedded_lake_reads_it(lake: neurolake.Lake, tmp_path: Path) -> None:
    with gzip.open(tmp_path / "people.csv.gz", "wt") as file:
        file.write("id;born;name\n1;2001-02-03;Ann\n2;;Ben\n")
    assert lake.load("people", tmp_path / "people.csv.gz", mode="replace") == 2
    here = neurolake.connect(":memory:")
    with here:
        here.load("people", tmp_path / "people.csv.gz")
        assert lake["people"].arrow().equals(here["people"].arrow())


@pytest.mark.parametrize("rows_before", [0, 50_000])
def test_a_load_that_fails_half_way_leaves_nothing(lake: neurolake.Lake, tmp_path: Path, rows_before: int) -> None:
    def batches() -> Iterator[pa.RecordBatch]:
        for start in range(0, rows_before, 1000):
            yield pa.record_batch({"a": range(start, start + 1000)})
        raise KeyError("the data ran out")

    reader = pa.RecordBatchReader.from_batches(pa.schema([("a", pa.int64())]), batches())
    with pytest.raises(KeyError, match="the data ran out"):
        lake.load("half", reader)
    broken = tmp_path / "broken.csv"
    broken.write_text("a\n" + "".join(f"{n}\n" for n in range(rows_before)) + '1,2,3\n"not closed\n')
    if rows_before:
        with pytest.raises(errors.NeuroLakeError):
            lake.load("half", broken)
    with pytest.raises(errors.NotFound):
        lake.sql("FROM half")


def test_upsert_refuses_keys_that_come_twice_and_columns_that_are_not_there(lake: neurolake.Lake) -> None:
    lake.load("stock", pa.table({"id": [1, 2], "n": [10, 20]}), mode="replace")
    assert lake.load("stock", pa.table({"id": [2, 3], "n": [21, 30]}), mode="upsert", keys=["ID"]) == 2
    for data, keys, code in (
        ({"id": [4, 4], "n": [1, 2]}, ["id"], "keys_not_unique"),
        ({"id": [4], "n": [1]}, ["nothing"], "key_unknown"),
    ):
        with pytest.raises(errors.InvalidRequest) as refused:
            lake.load("stock", pa.table(data), mode="upsert", keys=keys)
        assert refused.value.code == code
    assert lake.sql("FROM stock ORDER BY id").fetchall() == [(1, 10), (2, 21), (3, 30)]


@pytest.mark.parametrize(("rows", "width"), [(100_000, 1000), (3, 12_000_000)])
def test_wide_rows_pass_both_ways(lake: neurolake.Lake, rows: int, width: int) -> None:
    assert lake.load("wide", pa.table({"text": ["x" * width] * rows}), mode="replace") == rows
    back = lake.sql("FROM wide").arrow()
    assert (back.num_rows, back.nbytes >= rows * width) == (rows, True)


def test_it_says_where_it_is(service: Service, lake: neurolake.Lake) -> None:
    assert isinstance(lake, RemoteLake)
    assert repr(lake) == f"<Lake grpc://127.0.0.1:{service.port}>"
