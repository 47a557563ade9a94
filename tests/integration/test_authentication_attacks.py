"""What somebody tries who should not come in, or not as that user: over Flight, against a running server."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import adbc_driver_flightsql.dbapi as flight_sql
import jwt
import pyarrow as pa
import pyarrow.flight as paflight
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

import neurolake
from flight.protocol import messages
from flight.service import Service
from neurolake import errors
from neurolake.config import load
from neurolake.home import Home

PASSWORD = "a password for tests"
ISSUER, AUDIENCE = "https://login.example.com", "lake"
PROVIDER = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EVIL = rsa.generate_private_key(public_exponent=65537, key_size=2048)
SQL = "SELECT 42 AS answer"


def shown(key: rsa.RSAPrivateKey, key_id: str) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key()))
    return {**made, "kid": key_id}


def signed(key: rsa.RSAPrivateKey = PROVIDER, key_id: str = "1", **claims: Any) -> str:
    now = time.time()
    basis = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ada", "exp": now + 600, "nbf": now - 1, "groups": ["data"]}
    return jwt.encode({**basis, **claims}, key, "RS256", headers={"kid": key_id})


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("attacked")
    (folder / "jwks.json").write_text(json.dumps({"keys": [shown(PROVIDER, "1")]}))
    home = Home.open(folder / "lake", create=True)
    flags = {
        "port": 0, "http_port": 0, "admin_password": PASSWORD, "shutdown_grace_s": 0, "login_failures_max": 0,
        "oidc_issuer": ISSUER, "oidc_audience": AUDIENCE, "oidc_jwks": str(folder / "jwks.json"),
        "oidc_role_claim": "groups", "oidc_roles": ("data=analyst", "root=admin"), "oidc_leeway_s": 0.0,
        "oidc_attributes": ("region=region", "places=places"),
        "client_address_header": "x-real-ip",
    }  # fmt: skip
    service = Service(home, load(home.path, flags=flags))
    service.start()
    with connected(service) as lake:
        lake.call("create_role", "analyst")
        for name in ("ada", "bob"):
            lake.call("create_user", name, password=PASSWORD, roles=["analyst"])
    yield service
    service.stop()


def uri(service: Service) -> str:
    return f"grpc://127.0.0.1:{service.port}"


def connected(service: Service, user: str = "admin", token: str | None = None) -> neurolake.Lake:
    if token is not None:
        return neurolake.connect(uri(service), token=token)
    return neurolake.connect(uri(service), user=user, password=PASSWORD)


def command(name: str, **fields: Any) -> bytes:
    """A command of Flight SQL."""
    message = messages.message(f"sql.{name}")()
    for field, value in fields.items():
        setattr(message, field, value)
    return messages.pack(message)


class Wire:
    """A plain Flight client: it sends what it is told, and keeps no token by itself."""

    def __init__(self, service: Service) -> None:
        self._client = paflight.connect(uri(service))

    def login(self, user: str, password: str = PASSWORD) -> bytes:
        """The authorization header of a new session."""
        _, value = self._client.authenticate_basic_token(user, password)
        return bytes(value)

    def options(self, *headers: tuple[bytes, bytes]) -> paflight.FlightCallOptions:
        return paflight.FlightCallOptions(headers=list(headers))

    def ask(self, authorization: bytes, *more: tuple[bytes, bytes], sql: str = SQL) -> pa.Table:
        """Run a statement."""
        options = self.options((b"authorization", authorization), *more)
        descriptor = paflight.FlightDescriptor.for_command(command("CommandStatementQuery", query=sql))
        return self.fetch(self._client.get_flight_info(descriptor, options).endpoints[0].ticket, authorization)

    def plan(self, authorization: bytes, sql: str = SQL) -> paflight.Ticket:
        """Plan a statement; its ticket."""
        options = self.options((b"authorization", authorization))
        descriptor = paflight.FlightDescriptor.for_command(command("CommandStatementQuery", query=sql))
        return self._client.get_flight_info(descriptor, options).endpoints[0].ticket

    def fetch(self, ticket: paflight.Ticket, authorization: bytes) -> pa.Table:
        return self._client.do_get(ticket, self.options((b"authorization", authorization))).read_all()

    def act(self, authorization: bytes, kind: str, body: bytes) -> list[bytes]:
        options = self.options((b"authorization", authorization))
        return [r.body.to_pybytes() for r in self._client.do_action(paflight.Action(kind, body), options)]

    def info(self, authorization: bytes, body: bytes) -> paflight.FlightInfo:
        options = self.options((b"authorization", authorization))
        return self._client.get_flight_info(paflight.FlightDescriptor.for_command(body), options)

    def close(self) -> None:
        self._client.close()


@pytest.fixture
def wire(service: Service) -> Iterator[Wire]:
    wire = Wire(service)
    yield wire
    wire.close()


def refused(call: Callable[[], Any]) -> str:
    """The code that a call is refused with; it gets neither data nor a traceback."""
    with pytest.raises((paflight.FlightError, pa.ArrowException, OSError)) as caught:
        call()
    text = str(caught.value)
    assert "Traceback" not in text
    return text.rpartition("[")[2].partition("]")[0].partition(",")[0] if "[" in text else text


def failures(service: Service) -> list[dict[str, Any]]:
    """What the audit log says of the logins that failed."""
    return [json.loads(row[8]) for row in service.engine.governance.audit.rows() if row[3] == "login_failed"]


def counted(service: Service, method: str, outcome: str) -> float:
    labels = {"method": method, "outcome": outcome}
    return service.engine.metrics.registry.get_sample_value("neurolake_logins_total", labels) or 0


def basic(name: str, password: str) -> bytes:
    return b"Basic " + base64.b64encode(f"{name}:{password}".encode())


class TestForgedTokens:
    def test_a_good_one_is_let_in(self, service: Service, wire: Wire) -> None:
        assert wire.ask(f"Bearer {signed()}".encode()).to_pydict() == {"answer": [42]}
        with connected(service, token=signed(sub="someone@example.com")) as lake:
            assert lake.sql("SELECT user_name, role FROM neurolake.running").fetchall() == [
                ("someone@example.com", "analyst")
            ]

    @pytest.mark.parametrize("algorithm", ["none", "None", "HS256"])
    def test_without_a_signature_or_with_the_public_key_as_a_secret(self, wire: Wire, algorithm: str) -> None:
        claims = signed(groups=["root"]).split(".")[1]
        header = base64.urlsafe_b64encode(json.dumps({"alg": algorithm, "typ": "JWT", "kid": "1"}).encode())
        body = f"{header.decode().rstrip('=')}.{claims}"
        public = PROVIDER.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        mac = base64.urlsafe_b64encode(hmac.digest(public, body.encode(), hashlib.sha256)).decode().rstrip("=")
        for signature in ("", mac):
            assert refused(lambda s=signature: wire.ask(f"Bearer {body}.{s}".encode())) == "token_refused"  # type: ignore[misc]

    @pytest.mark.parametrize(
        ("claims", "code"),
        [({"exp": time.time() - 5}, "token_expired"), ({"nbf": time.time() + 3600}, "token_not_yet_valid"),
         ({"aud": "another"}, "token_refused"), ({"iss": "https://evil.example.com"}, "token_refused"),
         ({"sub": "admin", "groups": ["root"]}, "login_unmapped"), ({"sub": "owner"}, "login_unmapped"),
         ({"groups": []}, "login_unmapped"), ({"groups": ["admin"]}, "login_unmapped"),
         ({"groups": "evil"}, "login_unmapped"), ({"sub": ["ada"]}, "token_refused")],
    )  # fmt: skip
    def test_by_its_claims(self, wire: Wire, claims: dict[str, object], code: str) -> None:
        assert refused(lambda: wire.ask(f"Bearer {signed(**claims)}".encode())) == code

    def test_of_another_key(self, wire: Wire) -> None:
        for key_id in ("1", "2"):
            token = signed(EVIL, key_id, groups=["root"])
            assert refused(lambda t=token: wire.ask(f"Bearer {t}".encode())) == "token_refused"  # type: ignore[misc]

    def test_it_gives_a_user_no_role_that_they_do_not_have_here(self, wire: Wire) -> None:
        assert refused(lambda: wire.ask(f"Bearer {signed(groups=['root'])}".encode())) == "login_unmapped"

    def test_row_filters_ask_for_claims_that_are_named_of_who_is_no_user(self, service: Service) -> None:
        inside = "list_contains(TRY_CAST(TRY_CAST(neurolake.attribute(''places'') AS JSON) AS VARCHAR[]), region)"
        with connected(service) as admin:
            admin.sql(
                "CREATE TABLE sales AS FROM (VALUES ('north', 1), ('south', 2), ('west', 3)) v(region, n)"
            ).close()
            admin.call("set_pii", "sales", None, "confirmed")
            admin.call("grant", "read", "sales", "analyst")
            condition = f"region = neurolake.attribute(''region'') OR {inside}"
            admin.sql(f"CALL neurolake.set_row_filter('own', 'analyst', 'sales', '{condition}')").close()

            def seen(**claims: Any) -> list[int]:
                token = {"adbc.flight.sql.authorization_header": f"Bearer {signed(**claims)}"}
                with flight_sql.connect(uri(service), token) as connection, connection.cursor() as cursor:
                    cursor.execute("SELECT n FROM sales ORDER BY n")
                    before = [n for (n,) in cursor.fetchall()]
                    admin.call("tag", "sales", "seen")  # a change after which sessions are looked at again
                    cursor.execute("SELECT n FROM sales ORDER BY n")
                    assert [n for (n,) in cursor.fetchall()] == before
                    return before

            someone = "someone@example.com"
            assert seen(sub=someone, region="north") == [1]
            assert seen(sub=someone, places=["north", "west"]) == [1, 3]
            for hostile in ("x' OR true --", ["north"], {"region": "north"}, True, None, "north\0", "\u202enorth"):
                assert seen(sub=someone, region=hostile) == [], hostile
            for hostile in ("north", "[", ["x', 'north"], [["north"]], {"a": "north"}):
                assert seen(sub=someone, places=hostile) == [], hostile
            assert seen(sub="ada", region="north") == []  # a user of the lake, who has no attribute there
            rows = admin.call("explain_policy", "SELECT n FROM sales", role="analyst").to_pylist()
            assert rows[-1]["action"] == "row_filter"

    def test_its_session_ends_with_it(self, service: Service) -> None:
        with connected(service, token=signed(exp=time.time() + 2)) as lake:
            assert lake.sql(SQL).fetchall() == [(42,)]
            time.sleep(2.1)
            with pytest.raises(errors.LoginFailed):
                lake.sql(SQL)


class TestReplay:
    def test_a_revoked_token(self, service: Service, wire: Wire) -> None:
        with connected(service) as admin:
            (row,) = admin.call("create_token", "ada").to_pylist()
            held = f"Bearer {row['token']}".encode()
            assert wire.ask(held).to_pydict() == {"answer": [42]}
            ticket = wire.plan(held)
            with connected(service, token=row["token"]) as lake:
                assert lake.sql(SQL).fetchall() == [(42,)]
                admin.call("revoke_token", row["token_id"])
                with pytest.raises(errors.LoginFailed):
                    lake.sql(SQL)
        assert refused(lambda: wire.ask(held)) == "token_revoked"
        assert refused(lambda: wire.fetch(ticket, held)) == "token_revoked"

    def test_what_it_runs_is_cancelled(self, service: Service) -> None:
        with connected(service) as admin:
            (row,) = admin.call("create_token", "admin").to_pylist()
            with connected(service, token=row["token"]) as lake:
                found: list[BaseException] = []

                def run() -> None:
                    try:
                        lake.sql("SELECT sum(a.range * b.range) FROM range(10000000) a, range(10000000) b").fetchall()
                    except errors.NeuroLakeError as error:
                        found.append(error)

                thread = threading.Thread(target=run)
                thread.start()
                while not any("a.range * b.range" in a.text for a in service.engine.activities.snapshot()):
                    time.sleep(0.01)
                started = time.monotonic()
                admin.call("revoke_token", row["token_id"])
                thread.join(10)
                assert not thread.is_alive()
                assert time.monotonic() - started < 5
                assert len(found) == 1

    def test_a_changed_password(self, service: Service, wire: Wire) -> None:
        session, every_call = wire.login("bob"), basic("bob", PASSWORD)
        assert wire.ask(session).num_rows == wire.ask(every_call).num_rows == 1
        with connected(service) as admin:
            admin.call("set_password", "bob", "another password")
            assert refused(lambda: wire.ask(session)) == "session_unknown"
            assert refused(lambda: wire.ask(every_call)) == "login_failed"
            assert wire.ask(basic("bob", "another password")).num_rows == 1
            admin.call("set_password", "bob", PASSWORD)

    def test_who_changes_their_own_stays_and_the_old_one_is_gone(self, service: Service, wire: Wire) -> None:
        every_call = basic("bob", PASSWORD)
        mine, other = wire.login("bob"), wire.login("bob")
        wire.ask(every_call)
        wire.ask(mine, sql="CALL neurolake.set_password('bob', 'another password')")
        assert wire.ask(mine).num_rows == 1
        assert refused(lambda: wire.ask(every_call)) == "login_failed"
        assert refused(lambda: wire.ask(other)) == "session_unknown"
        with connected(service) as admin:
            admin.call("set_password", "bob", PASSWORD)
        assert refused(lambda: wire.ask(mine)) == "session_unknown"

    def test_who_changes_their_own_by_the_old_one_with_every_call(self, service: Service, wire: Wire) -> None:
        """The session that asks lives on, but the old password does not open it any more."""
        every_call = basic("bob", PASSWORD)
        wire.plan(every_call, "CALL neurolake.set_password('bob', 'another password')")
        assert refused(lambda: wire.ask(every_call)) == "login_failed"
        with connected(service) as admin:
            admin.call("set_password", "bob", PASSWORD)

    def test_who_revokes_the_token_they_came_with(self, service: Service) -> None:
        with connected(service) as admin:
            (row,) = admin.call("create_token", "ada").to_pylist()
        with connected(service, token=row["token"]) as lake:
            assert lake.call("revoke_token", row["token_id"]).to_pylist()[0]["user_name"] == "ada"
        with pytest.raises(errors.LoginFailed):
            connected(service, token=row["token"]).sql(SQL)

    def test_a_dropped_user(self, service: Service, wire: Wire) -> None:
        with connected(service) as admin:
            admin.call("create_user", "carol", password=PASSWORD, roles=["analyst"])
            (row,) = admin.call("create_token", "carol").to_pylist()
            session, token = wire.login("carol"), f"Bearer {row['token']}".encode()
            ticket = wire.plan(session)
            wire.ask(token)
            admin.call("drop_user", "carol")
        assert refused(lambda: wire.ask(session)) == "session_unknown"
        assert refused(lambda: wire.fetch(ticket, session)) == "session_unknown"
        assert refused(lambda: wire.ask(token)) == "token_unknown"
        assert refused(lambda: wire.login("carol")) == "login_failed"


class TestOthersHandles:
    def test_anothers_ticket(self, wire: Wire) -> None:
        mine, other = wire.login("ada"), wire.login("bob")
        ticket = wire.plan(mine)
        assert refused(lambda: wire.fetch(ticket, other)) == "ticket_unknown"
        # Not even one's own, from another session.
        assert refused(lambda: wire.fetch(ticket, wire.login("ada"))) == "ticket_unknown"
        assert wire.fetch(ticket, mine).num_rows == 1

    def test_anothers_prepared_statement(self, wire: Wire) -> None:
        mine, other = wire.login("ada"), wire.login("bob")
        body = command("ActionCreatePreparedStatementRequest", query=SQL)
        (answer,) = wire.act(mine, "CreatePreparedStatement", body)
        made = messages.message("sql.ActionCreatePreparedStatementResult")()
        made.ParseFromString(messages.unpack(answer)[1])
        ask = command("CommandPreparedStatementQuery", prepared_statement_handle=made.prepared_statement_handle)
        assert refused(lambda: wire.info(other, ask)) == "prepared_unknown"
        close = command("ActionClosePreparedStatementRequest", prepared_statement_handle=made.prepared_statement_handle)
        with suppress(paflight.FlightError, pa.ArrowException):
            wire.act(other, "ClosePreparedStatement", close)
        assert len(wire.info(mine, ask).endpoints) == 1

    def test_anothers_transaction(self, wire: Wire) -> None:
        mine, other = wire.login("admin"), wire.login("bob")
        (answer,) = wire.act(mine, "BeginTransaction", command("ActionBeginTransactionRequest"))
        begun = messages.message("sql.ActionBeginTransactionResult")()
        begun.ParseFromString(messages.unpack(answer)[1])
        end = command("ActionEndTransactionRequest", transaction_id=begun.transaction_id, action=1)
        assert refused(lambda: wire.act(other, "EndTransaction", end)) == "transaction_unknown"
        wire.act(mine, "EndTransaction", end)

    @pytest.mark.parametrize("handle", [b"", b"\0" * 16, b"x" * 16, b"../../etc", b"'; DROP TABLE t; --"])
    def test_guessed_handles(self, wire: Wire, handle: bytes) -> None:
        mine = wire.login("ada")
        ticket = paflight.Ticket(command("TicketStatementQuery", statement_handle=handle))
        assert refused(lambda: wire.fetch(ticket, mine)) == "ticket_unknown"


class TestSessions:
    def test_a_client_does_not_choose_its_token(self, service: Service, wire: Wire) -> None:
        """Fixation: a token that somebody knows beforehand never becomes a session's."""
        fixed = b"Bearer known-to-the-attacker"
        for _ in range(2):
            assert refused(lambda: wire.ask(fixed)) == "session_unknown"
        client = paflight.connect(uri(service))
        cookie = wire.options((b"cookie", b"session=known-to-the-attacker"), (b"x-session", fixed))
        first = client.authenticate_basic_token("ada", PASSWORD, cookie)[1]
        assert first != fixed
        both = wire.options((b"authorization", fixed))
        with suppress(paflight.FlightUnauthenticatedError):
            assert client.authenticate_basic_token("ada", PASSWORD, both)[1] not in (first, fixed)
        assert refused(lambda: wire.ask(fixed)) == "session_unknown"
        assert wire.login("ada") not in (first, fixed)
        client.close()

    def test_two_authorizations_at_once(self, wire: Wire) -> None:
        """They do not mix: one of them counts, whichever gRPC hands over first."""
        mine, other = wire.login("ada"), wire.login("bob")
        for second, names in ((other, {"ada", "bob"}), (basic("admin", "wrong"), {"ada"}), (b"Bearer x", {"ada"})):
            with suppress(paflight.FlightUnauthenticatedError):
                found = wire.ask(mine, (b"authorization", second), sql="SELECT user_name FROM neurolake.running")
                assert set(found["user_name"].to_pylist()) <= names

    @pytest.mark.parametrize(
        "sent",
        [b"", b"Bearer", b"Bearer ", b"Basic", b"Basic ", b"Basic !!!", b"Basic " + b"A" * 3, b"Digest x", b"bearer x",
         b"Bearer \t", b"Basic Og==", b"Bearer nlt_", b"Bearer nlt_000000000000_" + b"x" * 43, b"Bearer ..",
         b"Basic " + base64.b64encode(b"admin"), b"Basic " + base64.b64encode(b"owner:"),
         b"Basic " + base64.b64encode(b"\xff\xfe:\xff"), b"Basic " + base64.b64encode(b"admin:" + b"x" * 5000)],
    )  # fmt: skip
    def test_odd_headers(self, wire: Wire, sent: bytes) -> None:
        assert refused(lambda: wire.ask(sent)) in (
            "login_missing", "login_failed", "session_unknown", "token_unknown", "token_refused", "login_back_off",
            "Flight returned internal error, with message: Invalid metadata",  # by gRPC itself
        )  # fmt: skip

    def test_a_token_with_every_call_takes_one_session(self, service: Service, wire: Wire) -> None:
        with connected(service) as admin:
            (row,) = admin.call("create_token", "ada").to_pylist()
            before = len(service.sessions)
            for _ in range(5):
                wire.ask(f"Bearer {row['token']}".encode())
            assert len(service.sessions) == before + 1

    def test_no_header_at_all(self, service: Service) -> None:
        with paflight.connect(uri(service)) as client:
            descriptor = paflight.FlightDescriptor.for_command(command("CommandStatementQuery", query=SQL))
            for call in (
                lambda: client.get_flight_info(descriptor), lambda: list(client.list_flights()),
                lambda: client.get_schema(descriptor), lambda: list(client.list_actions()),
                lambda: client.do_get(paflight.Ticket(b"x")).read_all(),
                lambda: list(client.do_action(paflight.Action("CloseSession", b""))),
            ):  # fmt: skip
                assert refused(call) == "login_missing"

    @pytest.mark.parametrize("size", [9_000, 300_000])
    def test_oversized_headers(self, wire: Wire, size: int) -> None:
        mine = wire.login("ada")
        descriptor = paflight.FlightDescriptor.for_command(command("CommandStatementQuery", query=SQL))
        for headers in (
            [(b"authorization", b"Bearer " + b"x" * size)],
            [(b"authorization", b"Basic " + b"A" * size)],
            [(b"authorization", b"x" * size)],
            [(b"authorization", mine), (b"x-more", b"x" * 100 * size)],
        ):
            options = wire.options(*headers)
            refused(partial(wire._client.get_flight_info, descriptor, options))
        assert wire.ask(mine).num_rows == 1

    def test_the_owners_token_is_not_a_password_of_others(self, service: Service, wire: Wire) -> None:
        from neurolake.home import read_server_file

        info = read_server_file(service.home.path)
        assert info is not None
        assert wire.ask(f"Bearer {info.token}".encode()).num_rows == 1
        for name in ("admin", "ada", ""):
            assert refused(lambda n=name: wire.login(n, info.token)) in ("login_failed", "login_back_off")  # type: ignore[misc]

    def test_the_owners_token_does_not_outlast_its_change(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from neurolake.home import read_server_file

        monkeypatch.setattr("flight.service.OWNER_GRACE_S", 0.0)
        home = Home.open(tmp_path / "lake", create=True)
        flags = {
            "port": 0,
            "http_port": 0,
            "admin_password": PASSWORD,
            "owner_token_life_s": 1.0,
            "shutdown_grace_s": 0,
        }
        service = Service(home, load(home.path, flags=flags))
        service.start()
        wire = Wire(service)
        first = read_server_file(home.path)
        assert first is not None
        held = f"Bearer {first.token}".encode()
        assert wire.ask(held).num_rows == 1
        until = time.monotonic() + 10
        while (now := read_server_file(home.path)) is None or now.token == first.token:
            assert time.monotonic() < until
            time.sleep(0.02)
        time.sleep(0.2)  # the file is written first
        assert refused(lambda: wire.ask(held)) == "session_unknown"
        wire.close()
        service.stop()


class TestGuessing:
    def test_an_unknown_user_looks_like_a_wrong_password(self, wire: Wire) -> None:
        def text(name: str) -> str:
            with pytest.raises(paflight.FlightUnauthenticatedError) as caught:
                wire.login(name, "wrong password")
            return str(caught.value)

        assert text("dave") == text("nobody at all") == text("bob")

    def test_and_takes_as_long(self, service: Service, wire: Wire) -> None:
        def seconds(name: str) -> float:
            started = time.perf_counter()
            refused(lambda: wire.login(name, "wrong password"))
            return time.perf_counter() - started

        with connected(service) as admin:
            for number in range(5):
                admin.call("create_user", f"timed {number}", roles=["analyst"])
        known, unknown = [], []
        for number in range(5):
            known.append(seconds(f"timed {number}"))
            unknown.append(seconds(f"untimed {number}"))
        # A hash that one of them went without would show as a factor of ten and more.
        assert 1 / 3 < statistics.median(unknown) / statistics.median(known) < 3

    def test_it_slows_down_and_the_right_password_does_not_help(self, service: Service, wire: Wire) -> None:
        with connected(service) as admin:
            admin.call("create_user", "erin", password=PASSWORD)
            codes = [refused(lambda: wire.login("erin", "wrong")) for _ in range(8)]
            assert codes[0] == "login_failed"
            assert codes[-1] == "login_back_off"
            assert refused(lambda: wire.login("erin")) == "login_back_off"
            assert "back_off" in refused(lambda: wire.ask(basic("erin", PASSWORD)))
            # Another's login does not wait, nor does a token of that user.
            assert wire.ask(wire.login("ada")).num_rows == 1
            (row,) = admin.call("create_token", "erin").to_pylist()
            assert wire.ask(f"Bearer {row['token']}".encode()).num_rows == 1
            admin.call("set_password", "erin", "another password")
            assert wire.ask(wire.login("erin", "another password")).num_rows == 1

    def test_everything_is_in_the_audit_log_and_counted(self, service: Service, wire: Wire) -> None:
        refused(lambda: wire.ask(basic("nobody", "a secret guess"), (b"x-real-ip", b"192.0.2.7")))
        refused(lambda: wire.ask(f"Bearer {signed(EVIL)}".encode()))
        rows = service.engine.governance.audit.rows()
        failed = [json.loads(row[8]) for row in rows if row[3] == "login_failed"]
        assert {"method": "password", "address": "192.0.2.7", "code": "login_failed"} in failed
        assert {"method": "oidc", "address": "", "code": "token_refused"} in failed
        assert "a secret guess" not in str(rows)
        for method, outcome in (("password", "done"), ("password", "login_failed"), ("oidc", "token_refused")):
            assert counted(service, method, outcome) > 0

    def test_what_cannot_be_read_is_recorded_too(self, service: Service, wire: Wire) -> None:
        tried = {
            b"": ("none", "login_missing"),
            b"Digest x": ("none", "login_missing"),
            b"Bearer " + b"x" * 8192: ("none", "login_failed"),
            b"Basic !!!": ("password", "login_failed"),
            b"Bearer made-up": ("session", "session_unknown"),
        }
        for number, (sent, (method, code)) in enumerate(tried.items()):
            address = f"192.0.2.{100 + number}"
            before = counted(service, method, code)
            refused(lambda sent=sent, address=address: wire.ask(sent, (b"x-real-ip", address.encode())))  # type: ignore[misc]
            assert failures(service)[-1] == {"method": method, "address": address, "code": code}
            assert counted(service, method, code) == before + 1
        assert "made-up" not in str(service.engine.governance.audit.rows())

    def test_a_session_that_has_ended_is_counted_and_not_recorded(self, service: Service, wire: Wire) -> None:
        mine = wire.login("ada")
        ended, recorded = counted(service, "session", "session_ended"), len(failures(service))
        wire.act(mine, "CloseSession", b"")
        for _ in range(3):
            assert refused(lambda: wire.ask(mine)) == "session_unknown"
        assert counted(service, "session", "session_ended") == ended + 3
        assert len(failures(service)) == recorded
