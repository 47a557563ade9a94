"""Sessions over Flight: what belongs to a bearer token, how long it lasts, how many there may be, and their options."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import psutil
import pyarrow as pa
import pyarrow.flight as paflight
import pytest

from contract.clients import PASSWORD, Flight
from contract.conftest import serving, uri
from contract.test_statuses import until
from contract.wire import Option, Wire, bare, command
from flight.service import Service

INVALID_NAME, INVALID_VALUE = 1, 2


class TestBelonging:
    def test_what_is_set_is_the_tokens_own(self, wire: Wire, empty_service: Service) -> None:
        wire.update("CREATE SCHEMA s")
        wire.update("CREATE TEMP TABLE mine AS SELECT 1 AS a")
        wire.update("SET timezone = 'Asia/Tokyo'")
        wire.update("USE s")
        sql = "SELECT current_setting('timezone') || ' ' || current_schema() AS x"
        with Wire(uri(empty_service)) as other, Wire(uri(empty_service), token=wire.token) as again:
            for same in (wire, again):
                assert same.value(sql) == "Asia/Tokyo s"
                assert same.value("SELECT a FROM mine") == 1
            assert other.value(sql).endswith(" main")
            assert not other.value(sql).startswith("Asia")
            with pytest.raises(pa.ArrowKeyError):
                other.query("FROM mine")

    def test_a_password_with_every_call_is_one_session(self, empty_service: Service) -> None:
        with Wire.with_password(uri(empty_service)) as wire:
            wire.update("CREATE TEMP TABLE mine AS SELECT 1 AS a")
            assert wire.value("SELECT a FROM mine") == 1
            wire.update("DROP TABLE mine")

    def test_cursors_of_one_session_stream_side_by_side(self, wire: Wire) -> None:
        tickets = [
            wire.info(command("CommandStatementQuery", query=f"SELECT {n} AS n, range FROM range(400_000)"))
            for n in range(3)
        ]
        streams = [wire.stream(info.endpoints[0].ticket) for info in tickets]
        rows = [0, 0, 0]
        left = set(range(3))
        while left:
            for place in list(left):
                try:
                    chunk = streams[place].read_chunk().data
                except StopIteration:
                    left.discard(place)
                    continue
                assert set(chunk["n"].to_pylist()) == {place}
                rows[place] += chunk.num_rows
        assert rows == [400_000] * 3


class TestEnding:
    @pytest.mark.parametrize("call", ["GetSessionOptions", "query", "prepare", "begin"])
    def test_a_closed_session_is_unknown(self, empty_service: Service, call: str) -> None:
        with Wire(uri(empty_service)) as wire:
            assert wire.act("CloseSession", bare("CloseSessionRequest"))
            calls = {
                "GetSessionOptions": wire.session_options, "query": lambda: wire.query("SELECT 1"),
                "prepare": lambda: wire.prepare("SELECT 1"), "begin": wire.begin,
            }  # fmt: skip
            with pytest.raises(paflight.FlightUnauthenticatedError, match=r"\[session_unknown\]"):
                calls[call]()

    def test_closing_rolls_back_and_frees(self, wire: Wire, empty_service: Service) -> None:
        wire.update("CREATE TABLE t (a INT)")
        with Wire(uri(empty_service)) as other:
            transaction = other.begin()
            other.update("INSERT INTO t VALUES (1)", transaction)
            assert other.value("SELECT count(*) FROM t") == 1
            other.act("CloseSession", bare("CloseSessionRequest"))
        assert wire.value("SELECT count(*) FROM t") == 0

    def test_closing_ends_what_streams(self, empty_service: Service) -> None:
        with Wire(uri(empty_service)) as wire, Wire(uri(empty_service)) as watcher:
            info = wire.info(
                command("CommandStatementQuery", query="SELECT range AS closed FROM range(10_000_000_000)")
            )
            stream = wire.stream(info.endpoints[0].ticket)
            stream.read_chunk()
            wire.act("CloseSession", bare("CloseSessionRequest"))
            with pytest.raises((pa.ArrowException, OSError), match=r"\[(session_closed|cancelled)"):
                while True:
                    stream.read_chunk()
            sql = "SELECT 1 FROM neurolake.running WHERE sql LIKE 'SELECT range AS closed%'"
            until(lambda: not watcher.query(sql).num_rows, 2)

    def test_an_idle_one_ends_and_one_in_use_does_not(self, tmp_path: Path) -> None:
        with serving(tmp_path, session_idle_s=1) as service, Wire(uri(service)) as idle, Wire(uri(service)) as used:
            idle.update("CREATE TABLE t (a INT)")
            transaction = idle.begin()
            idle.update("INSERT INTO t VALUES (1)", transaction)
            sql = "SELECT range AS n FROM range(100_000_000)"
            stream = used.stream(used.info(command("CommandStatementQuery", query=sql)).endpoints[0].ticket)
            read = [0]

            def read_on() -> bool:
                read[0] += stream.read_chunk().data.num_rows
                return len(service.sessions) == 1

            time.sleep(1.5)
            with pytest.raises(paflight.FlightUnauthenticatedError, match=r"\[session_unknown\]"):
                idle.query("SELECT 1")
            until(read_on, 10)
            while read[0] < 100_000_000:
                read_on()
            assert used.value("SELECT count(*) FROM t") == 0


EXITS = """
import os, sys
from adbc_driver_flightsql import dbapi
connection = dbapi.connect(sys.argv[1], db_kwargs={"username": "admin", "password": sys.argv[2]})
cursor = connection.cursor()
cursor.execute("CREATE TEMP TABLE mine AS SELECT 1 AS a")
cursor.execute("UPDATE t SET a = 2")
cursor.execute("SELECT * FROM range(10_000_000)")
cursor.fetchone()
print("there", flush=True)
sys.stdin.read()
os._exit(1)
"""


class TestLeaving:
    def test_a_client_that_exits_leaves_nothing_behind(self, tmp_path: Path) -> None:
        with serving(tmp_path, session_left_s=0.5) as service, Wire(uri(service)) as stays:
            stays.update("CREATE TABLE t AS SELECT 1 AS a")
            command_line = [sys.executable, "-c", EXITS, uri(service), PASSWORD]
            with subprocess.Popen(command_line, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as client:
                assert client.stdout is not None
                assert client.stdout.readline() == b"there\n"
                time.sleep(1.5)
                assert len(service.sessions) == 2
                with pytest.raises(pa.ArrowException, match=r"\[transaction, query"):
                    stays.update("UPDATE t SET a = 3")
                client.communicate(b"")
            until(lambda: len(service.sessions) == 1, 5)
            stays.update("UPDATE t SET a = 3")
            assert stays.value("SELECT a FROM t") == 3
            assert len(service.engine.activities) == 0

    def test_one_that_comes_back_has_its_session(self, tmp_path: Path) -> None:
        with serving(tmp_path, session_left_s=1) as service:
            with Wire(uri(service)) as gone:
                gone.update("CREATE TEMP TABLE mine AS SELECT 1 AS a")
            for _ in range(3):
                time.sleep(0.5)
                with Wire(uri(service), token=gone.token) as back:
                    assert back.value("SELECT a FROM mine") == 1
            until(lambda: len(service.sessions) == 0, 6)

    def test_one_that_is_silent_or_closes_a_long_idle_connection_keeps_it(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with serving(tmp_path, session_left_s=0.2) as service, Wire(uri(service)) as silent:
            assert silent.value("SELECT 1") == 1
            monkeypatch.setattr("flight.sessions.RESTED_S", 1.0)
            with Wire(uri(service)) as rests:
                rests.update("CREATE TEMP TABLE mine AS SELECT 1 AS a")
                time.sleep(1.5)
            time.sleep(1)
            assert len(service.sessions) == 2
            with Wire(uri(service), token=rests.token) as back:
                assert back.value("SELECT a FROM mine") == 1

    def test_0_leaves_it_to_idleness(self, tmp_path: Path) -> None:
        with serving(tmp_path, session_left_s=0, session_idle_s=2) as service:
            with Wire(uri(service)) as gone:
                assert gone.value("SELECT 1") == 1
            time.sleep(1)
            assert len(service.sessions) == 1
            until(lambda: len(service.sessions) == 0, 5)


class TestCaps:
    def test_of_a_user(self, tmp_path: Path) -> None:
        with serving(tmp_path, sessions_per_user_max=3) as service:
            sessions = [Wire(uri(service)) for _ in range(3)]
            with pytest.raises(pa.ArrowException, match="sessions_per_user_max"):
                Wire(uri(service))
            sessions[0].act("CloseSession", bare("CloseSessionRequest"))
            with Wire(uri(service)) as wire:
                assert wire.value("SELECT 1") == 1
            assert [session.value("SELECT 1") for session in sessions[1:]] == [1, 1]
            for session in sessions:
                session.close()

    def test_of_the_server(self, tmp_path: Path) -> None:
        with serving(tmp_path, sessions_max=2) as service:
            sessions = [Wire(uri(service)) for _ in range(2)]
            with pytest.raises(pa.ArrowException, match="sessions_max"):
                Wire(uri(service))
            for session in sessions:
                session.close()

    def test_one_left_without_a_word_makes_room(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("flight.sessions.FORGOTTEN_S", 0.3)
        with (
            serving(tmp_path, sessions_per_user_max=3) as service,
            Wire(uri(service)) as keeps,
            Wire(uri(service)) as begins,
        ):
            keeps.update("CREATE TEMP TABLE kept AS SELECT 1 AS a")
            begins.begin()
            Wire(uri(service)).close()
            with pytest.raises(pa.ArrowException, match="sessions_per_user_max"):
                Wire(uri(service))
            time.sleep(0.4)
            with Wire(uri(service)) as wire:
                assert wire.value("SELECT 1") == 1
                assert keeps.value("SELECT a FROM kept") == 1
                wire.update("CREATE TEMP TABLE kept AS SELECT 1 AS a")
                time.sleep(0.4)
                with pytest.raises(pa.ArrowException, match="sessions_per_user_max"):
                    Wire(uri(service))

    @pytest.mark.slow
    def test_a_thousand_idle_ones(self, tmp_path: Path) -> None:
        with serving(tmp_path, sessions_per_user_max=1100, sessions_max=1100) as service:
            process = psutil.Process()
            with Wire(uri(service)) as first:
                before, threads = process.memory_info().rss, process.num_threads()
                for _ in range(1000):
                    _, value = first.client.authenticate_basic_token("admin", "a password for tests")
                    idle = Wire(uri(service), token=value.decode().removeprefix("Bearer "))
                    assert idle.value("SELECT 1") == 1
                    idle.close()
                assert len(service.sessions) == 1001
                assert process.memory_info().rss - before < 100 << 20
                assert process.num_threads() - threads < 20
                start = time.monotonic()
                assert first.value("SELECT 1") == 1
                assert time.monotonic() - start < 0.5
                cpu = process.cpu_times()
                time.sleep(1)
                used = process.cpu_times()
                assert (used.user + used.system) - (cpu.user + cpu.system) < 0.2


NAMES = {
    "catalog", "schema", "dialect", "role", "timezone", "statement_timeout_s", "result_rows_max", "result_bytes_max",
    "optimizer", "optimizer_rules_off", "result_endpoints",
}  # fmt: skip


class TestOptions:
    def test_their_defaults(self, wire: Wire, empty_service: Service) -> None:
        options = wire.session_options()
        assert set(options) == NAMES
        assert options["catalog"] == "lake"
        assert options["schema"] == "main"
        assert options["dialect"] == "duckdb"
        assert options["role"] == "admin"
        assert options["timezone"] == wire.value("SELECT current_setting('timezone')")
        assert options["statement_timeout_s"] == empty_service.settings.statement_timeout_s
        assert options["result_rows_max"] == 0
        assert options["optimizer"] is True
        assert options["optimizer_rules_off"] == ()

    @pytest.mark.parametrize(
        ("name", "value", "shows"),
        [("schema", "s", "SELECT current_schema() = 's'"),
         ("schema", 'odd "schema" 🦆', "SELECT current_schema() = 'odd \"schema\" 🦆'"),
         ("catalog", "lake", "SELECT current_database() = 'lake'"),
         ("timezone", "Asia/Tokyo", "SELECT current_setting('timezone') = 'Asia/Tokyo'"),
         ("statement_timeout_s", 2.5, "SELECT true"),
         ("statement_timeout_s", 2, "SELECT true"),
         ("result_rows_max", 7, "SELECT true"),
         ("result_bytes_max", 1_000_000, "SELECT true"),
         ("role", "admin", "SELECT true"),
         ("optimizer", False, "SELECT true"),
         ("optimizer_rules_off", ("or_to_in", "year_to_range"), "SELECT true"),
         ("optimizer_rules_off", (), "SELECT true")],
    )  # fmt: skip
    def test_set_and_unset(self, wire: Wire, name: str, value: Option, shows: str) -> None:
        wire.update('CREATE SCHEMA s; CREATE SCHEMA "odd ""schema"" 🦆"')
        before = wire.session_options()
        assert wire.set_session_options(**{name: value}) == {}
        assert wire.session_options() == before | {name: value}
        assert wire.value(shows) is True
        assert wire.set_session_options(**{name: None}) == {}
        assert wire.session_options() == before

    def test_the_dialect(self, wire: Wire) -> None:
        assert wire.set_session_options(dialect="snowflake") == {}
        assert wire.session_options()["dialect"] == "snowflake"
        assert wire.value("SELECT iff(true, 1, 2) AS x") == 1
        assert wire.set_session_options(dialect=None) == {}
        assert wire.session_options()["dialect"] == "duckdb"

    def test_a_limit_may_be_raised_again(self, wire: Wire) -> None:
        for value in (5, 50, 0):
            assert wire.set_session_options(result_rows_max=value) == {}
            assert wire.session_options()["result_rows_max"] == value

    @pytest.mark.parametrize(
        ("name", "value", "problem"),
        [("no_such_option", "x", INVALID_NAME), ("threads", 1, INVALID_NAME), ("admin_password", "x", INVALID_NAME),
         ("catalog", "other", INVALID_VALUE), ("catalog", 7, INVALID_VALUE), ("schema", "nowhere", INVALID_VALUE),
         ("schema", "neurolake", INVALID_VALUE), ("schema", "", INVALID_VALUE), ("schema", ("main",), INVALID_VALUE),
         ("dialect", "klingon", INVALID_VALUE), ("dialect", True, INVALID_VALUE),
         ("timezone", "Nowhere", INVALID_VALUE), ("timezone", 7, INVALID_VALUE),
         ("statement_timeout_s", -1.0, INVALID_VALUE), ("statement_timeout_s", "soon", INVALID_VALUE),
         ("statement_timeout_s", float("nan"), INVALID_VALUE),
         ("statement_timeout_s", True, INVALID_VALUE), ("result_rows_max", 1.5, INVALID_VALUE),
         ("role", "nobody", INVALID_VALUE), ("optimizer", "perhaps", INVALID_VALUE),
         ("optimizer_rules_off", 7, INVALID_VALUE), ("timezone", "UTC'; DROP TABLE t; --", INVALID_VALUE)],
    )  # fmt: skip
    def test_refused(self, wire: Wire, name: str, value: Option, problem: int) -> None:
        before = wire.session_options()
        assert wire.set_session_options(**{name: value}) == {name: problem}
        assert wire.session_options() == before

    def test_several_at_once(self, wire: Wire) -> None:
        problems = wire.set_session_options(result_rows_max=7, nonsense=1, timezone="Asia/Tokyo", dialect="klingon")
        assert problems == {"nonsense": INVALID_NAME, "dialect": INVALID_VALUE}
        options = wire.session_options()
        assert (options["result_rows_max"], options["timezone"]) == (7, "Asia/Tokyo")

    def test_what_a_statement_sets_is_shown(self, wire: Wire) -> None:
        wire.update("SET statement_timeout_s = 9")
        wire.update("SET timezone = 'Asia/Tokyo'")
        options = wire.session_options()
        assert (options["statement_timeout_s"], options["timezone"]) == (9, "Asia/Tokyo")

    def test_by_the_stock_driver(self, empty_service: Service) -> None:
        with closing(Flight(uri(empty_service), autocommit=True)) as flight:
            flight.execute("CREATE SCHEMA s")
            connection = flight.connection
            assert (connection.adbc_current_catalog, connection.adbc_current_db_schema) == ("lake", "main")
            connection.adbc_current_db_schema = "s"
            assert flight.value("SELECT current_schema()") == "s"
            option = "adbc.flight.sql.session.option"
            connection.adbc_connection.set_options(**{f"{option}.timezone": "Asia/Tokyo"})
            assert flight.value("SELECT current_setting('timezone')") == "Asia/Tokyo"
            connection.adbc_connection.set_options(**{f"{option}erase.timezone": ""})
            assert flight.value("SELECT current_setting('timezone')") != "Asia/Tokyo"
            connection.adbc_connection.set_options(**{f"{option}bool.optimizer": "false"})
            assert connection.adbc_connection.get_option(f"{option}bool.optimizer") == "false"
            with pytest.raises(flight.connection.Error):
                connection.adbc_connection.set_options(**{f"{option}.dialect": "klingon"})
