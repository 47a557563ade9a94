"""Tickets: how long they live, who may redeem them, and how often."""

from __future__ import annotations

import datetime
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.flight as paflight
import pytest

from contract.clients import PASSWORD
from contract.conftest import serving, uri
from contract.wire import Wire, bare, command
from flight.protocol import messages
from flight.service import Service

EXPIRED = r"\[ticket_unknown"


def ask(wire: Wire, sql: str) -> paflight.FlightEndpoint:
    (endpoint,) = wire.info(command("CommandStatementQuery", query=sql)).endpoints
    return endpoint


def renewed(wire: Wire, endpoint: paflight.FlightEndpoint) -> paflight.FlightEndpoint:
    request = messages.message("RenewFlightEndpointRequest")()
    request.endpoint.ParseFromString(endpoint.serialize())
    (answer,) = wire.act("RenewFlightEndpoint", bytes(request.SerializeToString()))
    return paflight.FlightEndpoint.deserialize(answer)


def seconds_left(endpoint: paflight.FlightEndpoint) -> float:
    end = endpoint.expiration_time.as_py()
    return float((end - datetime.datetime.now(end.tzinfo)).total_seconds())


class TestLife:
    def test_it_is_told(self, wire: Wire, empty_service: Service) -> None:
        life = empty_service.settings.ticket_life_s
        assert life - 5 < seconds_left(ask(wire, "SELECT 1")) <= life + 1

    def test_it_ends(self, tmp_path: Path) -> None:
        with serving(tmp_path, ticket_life_s=1) as service, Wire(uri(service)) as wire:
            short, long = ask(wire, "SELECT 1 AS x"), ask(wire, "SELECT 2 AS x")
            time.sleep(0.6)
            again = renewed(wire, long)
            assert again.ticket == long.ticket
            assert again.expiration_time.as_py() > long.expiration_time.as_py()
            time.sleep(0.6)
            with pytest.raises(pa.ArrowKeyError, match=EXPIRED):
                wire.get(short.ticket)
            with pytest.raises(pa.ArrowKeyError, match=EXPIRED):
                renewed(wire, short)
            assert wire.get(long.ticket).to_pylist() == [{"x": 2}]

    def test_a_stream_goes_on_past_it(self, tmp_path: Path) -> None:
        with serving(tmp_path, ticket_life_s=1) as service, Wire(uri(service)) as wire:
            stream = wire.stream(ask(wire, "SELECT range AS n FROM range(5_000_000)").ticket)
            rows = stream.read_chunk().data.num_rows
            time.sleep(1.2)
            assert rows + stream.read_all().num_rows == 5_000_000

    def test_a_renewal_gives_back_what_it_was_given(self, wire: Wire) -> None:
        given = ask(wire, "SELECT 1 AS x")
        sent = paflight.FlightEndpoint(given.ticket, ["grpc://elsewhere:1"], None, b"mine")
        back = renewed(wire, sent)
        assert (back.ticket, back.locations, back.app_metadata) == (sent.ticket, sent.locations, b"mine")

    @pytest.mark.parametrize("ticket", [b"", b"x", command("TicketStatementQuery", statement_handle=b"x" * 16)])
    def test_a_renewal_of_none(self, wire: Wire, ticket: bytes) -> None:
        with pytest.raises((pa.ArrowInvalid, pa.ArrowKeyError, pa.ArrowNotImplementedError)):
            renewed(wire, paflight.FlightEndpoint(ticket, []))

    def test_unread_ones_are_bounded_and_fetched_ones_make_room(self, tmp_path: Path) -> None:
        with serving(tmp_path, tickets_per_session_max=5) as service, Wire(uri(service)) as wire:
            tickets = [ask(wire, f"SELECT {n} AS x").ticket for n in range(5)]
            with pytest.raises(pa.ArrowException, match="tickets_per_session_max"):
                ask(wire, "SELECT 5 AS x")
            assert wire.get(tickets[0]).to_pylist() == [{"x": 0}]
            assert ask(wire, "SELECT 5 AS x")
            with pytest.raises(pa.ArrowKeyError, match=EXPIRED):
                wire.get(tickets[0])
            assert [wire.get(ticket)["x"][0].as_py() for ticket in tickets[1:]] == [1, 2, 3, 4]

    def test_writes_whose_answers_nobody_fetches_are_not_counted(self, tmp_path: Path) -> None:
        with serving(tmp_path, tickets_per_session_max=5) as service, Wire(uri(service)) as wire:
            wire.update("CREATE TABLE t (a INT)")
            for n in range(20):
                ask(wire, f"INSERT INTO t VALUES ({n})")
            assert wire.value("SELECT count(*) FROM t") == 20


class TestAgain:
    def test_a_read_runs_again(self, wire: Wire) -> None:
        wire.update("CREATE TABLE t AS SELECT 1 AS a")
        ticket = ask(wire, "SELECT a FROM t").ticket
        assert wire.get(ticket).to_pylist() == [{"a": 1}]
        wire.update("UPDATE t SET a = 2")
        assert wire.get(ticket).to_pylist() == [{"a": 2}]

    def test_a_write_does_not(self, wire: Wire) -> None:
        wire.update("CREATE TABLE t (a INT)")
        ticket = ask(wire, "INSERT INTO t VALUES (1)").ticket
        together = [threading.Thread(target=lambda: wire.get(ticket)) for _ in range(4)]
        for thread in together:
            thread.start()
        for thread in together:
            thread.join()
        assert wire.value("SELECT count(*) FROM t") == 1

    def test_a_write_that_failed_leaves_no_ticket(self, wire: Wire, empty_service: Service) -> None:
        wire.update("CREATE TABLE t (a INT PRIMARY KEY)")
        wire.update("INSERT INTO t VALUES (1)")
        session = empty_service.sessions.find(wire.token)
        assert session is not None
        before = set(session.tickets)
        with pytest.raises(pa.ArrowInvalid, match=r"\[constraint"):
            ask(wire, "INSERT INTO t VALUES (1)")
        assert set(session.tickets) == before

    def test_each_run_is_a_statement_of_its_own(self, wire: Wire) -> None:
        ticket = ask(wire, "SELECT 1 AS run_twice").ticket
        for _ in range(2):
            wire.get(ticket)
        sql = "SELECT count(*) AS n, count(DISTINCT query_id) AS d FROM neurolake.queries WHERE sql LIKE '%run_twice'"
        assert wire.query(sql).to_pylist() == [{"n": 2, "d": 2}]

    def test_two_runs_at_once_are_cancelled_both(self, wire: Wire) -> None:
        info = wire.info(command("CommandStatementQuery", query="SELECT range AS n FROM range(10_000_000_000)"))
        streams = [wire.stream(info.endpoints[0].ticket) for _ in range(2)]
        for stream in streams:
            stream.read_chunk()
        assert wire.cancel(info) == 1
        for stream in streams:
            with pytest.raises((pa.ArrowException, OSError, KeyboardInterrupt)):
                while True:
                    stream.read_chunk()


class TestOwners:
    @pytest.fixture
    def others(self, empty_service: Service, wire: Wire) -> Iterator[list[Wire]]:
        """A second session of the same user, and one of another."""
        wire.query("CALL neurolake.create_user('eve', 'eve has a password', roles => ['admin'])")
        with Wire(uri(empty_service)) as same, Wire(uri(empty_service), "eve", "eve has a password") as other:
            yield [same, other]
        wire.query("CALL neurolake.drop_user('eve')")

    def test_nobody_elses_session_redeems_or_renews_or_cancels_it(self, wire: Wire, others: list[Wire]) -> None:
        info = wire.info(command("CommandStatementQuery", query="SELECT 1 AS x"))
        (endpoint,) = info.endpoints
        for other in others:
            with pytest.raises(pa.ArrowKeyError, match=EXPIRED):
                other.get(endpoint.ticket)
            with pytest.raises(pa.ArrowKeyError, match=EXPIRED):
                renewed(other, endpoint)
            assert other.cancel(info) == 3  # not cancellable
        assert wire.get(endpoint.ticket).to_pylist() == [{"x": 1}]

    def test_without_a_login(self, wire: Wire, empty_service: Service) -> None:
        endpoint = ask(wire, "SELECT 1 AS x")
        for token in ("", "x", PASSWORD):
            with Wire(uri(empty_service), token=token) as nobody, pytest.raises(paflight.FlightUnauthenticatedError):
                nobody.get(endpoint.ticket)

    @pytest.mark.parametrize(
        "ticket",
        [b"", b"SELECT 1", b"\x00" * 100, command("CommandStatementQuery", query="SELECT 1"),
         command("CommandGetTables"), command("TicketStatementQuery", statement_handle=b""),
         command("TicketStatementQuery", statement_handle=b"a")],
    )  # fmt: skip
    def test_what_is_no_ticket(self, wire: Wire, ticket: bytes) -> None:
        with pytest.raises((pa.ArrowInvalid, pa.ArrowKeyError, pa.ArrowNotImplementedError)):
            wire.get(ticket)

    def test_they_say_nothing_and_are_never_alike(self, wire: Wire) -> None:
        tickets = {ask(wire, "SELECT 'a secret' AS x").ticket.ticket for _ in range(50)}
        assert len(tickets) == 50
        assert not any(b"secret" in ticket for ticket in tickets)

    def test_after_its_session(self, empty_service: Service) -> None:
        with Wire(uri(empty_service)) as wire:
            endpoint = ask(wire, "SELECT 1 AS x")
            wire.act("CloseSession", bare("CloseSessionRequest"))
            with pytest.raises(paflight.FlightUnauthenticatedError):
                wire.get(endpoint.ticket)


class TestCancel:
    def test_before_it_is_redeemed(self, wire: Wire) -> None:
        info = wire.info(command("CommandStatementQuery", query="SELECT 1"))
        assert wire.cancel(info) == 1
        with pytest.raises(pa.ArrowKeyError, match=EXPIRED):
            wire.get(info.endpoints[0].ticket)

    def test_a_write_is_over_when_it_has_a_ticket(self, wire: Wire) -> None:
        wire.update("CREATE TABLE t (a INT)")
        info = wire.info(command("CommandStatementQuery", query="INSERT INTO t VALUES (1)"))
        assert wire.cancel(info) == 3  # not cancellable
        assert wire.value("SELECT count(*) FROM t") == 1

    def test_after_its_end(self, wire: Wire) -> None:
        info = wire.info(command("CommandStatementQuery", query="SELECT 1"))
        wire.get(info.endpoints[0].ticket)
        assert wire.cancel(info) == 3

    def test_the_older_way(self, wire: Wire) -> None:
        info = wire.info(command("CommandStatementQuery", query="SELECT 1"))
        (answer,) = wire.act("CancelQuery", command("ActionCancelQueryRequest", info=info.serialize()))
        sent = messages.message("sql.ActionCancelQueryResult").FromString(messages.unpack(answer)[1])
        assert sent.result == 1
