"""TLS on every port, certificates that are renewed under load, and clients that prove who they are by one."""

from __future__ import annotations

import http.server
import json
import socket
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import adbc_driver_flightsql.dbapi as flight_sql
import adbc_driver_manager
import jwt
import pyarrow as pa
import pyarrow.flight as paflight
import pytest
from certificates import HOSTS, Authority, Issued
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from pages import free_port

import neurolake
from flight import tls
from flight.listener import _stop_listening
from flight.service import Service
from neurolake import errors
from neurolake.cli import run
from neurolake.config import load
from neurolake.governance.oidc import Oidc
from neurolake.home import Home

PASSWORD = "a password for tests"
TRUST = "adbc.flight.sql.client_option.tls_root_certs"
CHAIN, KEY = "adbc.flight.sql.client_option.mtls_cert_chain", "adbc.flight.sql.client_option.mtls_private_key"


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture(scope="module")
def clients_authority() -> Authority:
    return Authority("an authority of clients")


class Served:
    """A lake served with TLS on all three ports."""

    def __init__(self, folder: Path, authority: Authority, clients: Authority, **settings: object) -> None:
        self.folder = folder
        self.authority = authority
        self.renew("first")
        (folder / "clients.pem").write_bytes(clients.pem)
        (folder / "ca.pem").write_bytes(authority.pem)
        home = Home.open(folder / "lake", create=True)
        files = {"tls_cert": folder / "server.pem", "tls_key": folder / "server.key", "mtls_ca": folder / "clients.pem"}
        basis = {"port": 0, "http_port": 0, "mtls_port": free_port(), "admin_password": PASSWORD, "tls_reload_s": 0.1}
        flags = {**basis, **{name: str(path) for name, path in files.items()}, "shutdown_grace_s": 0, **settings}
        self.service = Service(home, load(home.path, flags=flags))
        self.service.start()
        self.uri = f"grpc+tls://localhost:{self.service.port}"
        self.mtls_uri = f"grpc+tls://localhost:{self.service.mtls_port}"

    def renew(self, name: str, days: float = 30) -> None:
        self.authority.issue(name, HOSTS, days).write(self.folder)

    def connect(self, **options: str) -> Any:
        known = {TRUST: self.authority.pem.decode(), "username": "admin", "password": PASSWORD}
        return flight_sql.connect(self.uri, db_kwargs={**known, **options}, autocommit=True)

    def connect_by(self, issued: Issued, **options: str) -> Any:
        known = {TRUST: self.authority.pem.decode(), CHAIN: issued.certificate.decode(), KEY: issued.key.decode()}
        return flight_sql.connect(self.mtls_uri, db_kwargs={**known, **options}, autocommit=True)

    def shown(self, port: int) -> str:
        """The name in the certificate that a port shows now."""
        pem = ssl.get_server_certificate(("127.0.0.1", port))
        return x509.load_pem_x509_certificate(pem.encode()).subject.rfc4514_string().removeprefix("CN=")

    def wait_until_shown(self, name: str) -> None:
        until = time.monotonic() + 20
        service = self.service
        for port in (service.port, service.http_port):
            while not self._shows(port, name):
                assert time.monotonic() < until
                time.sleep(0.02)

    def wait_until_let_in(self, issued: Issued, *, let_in: bool = True) -> None:
        until = time.monotonic() + 20
        while self._lets_in(issued) is not let_in:
            assert time.monotonic() < until
            time.sleep(0.02)

    def _lets_in(self, issued: Issued) -> bool:
        try:
            with self.connect_by(issued) as connection:
                connection.adbc_get_info()
        except adbc_driver_manager.Error:
            return False
        return True

    def _shows(self, port: int, name: str) -> bool:
        try:
            return self.shown(port) == name
        except OSError:  # just then there is no listener
            return False


@pytest.fixture(scope="module")
def served(
    tmp_path_factory: pytest.TempPathFactory, authority: Authority, clients_authority: Authority
) -> Iterator[Served]:
    served = Served(tmp_path_factory.mktemp("tls"), authority, clients_authority)
    with served.connect() as connection:
        for name in ("loader", "other"):
            value(connection, f"CALL neurolake.create_user('{name}')")
    yield served
    served.service.stop()


def value(connection: Any, sql: str) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        row = cursor.fetchone()
        return None if row is None else row[0]


def refused(connect: Callable[[], Any]) -> str:
    """What is said to a client that must not come in; without a password the driver asks nothing when it connects."""
    with pytest.raises(adbc_driver_manager.Error) as caught, connect() as connection:
        connection.adbc_get_info()
    return str(caught.value)


class TestTls:
    def test_flight_and_http(self, served: Served) -> None:
        with served.connect() as connection:
            assert value(connection, "SELECT 42") == 42
        context = ssl.create_default_context(cadata=served.authority.pem.decode())
        with urllib.request.urlopen(f"https://localhost:{served.service.http_port}/readyz", context=context) as answer:
            assert answer.status == 200

    def test_the_port_for_certificates_is_probed_as_well(
        self, tmp_path: Path, authority: Authority, clients_authority: Authority
    ) -> None:
        served = Served(tmp_path, authority, clients_authority)
        try:
            assert served.service.mtls_port is not None
            assert served.service._probes()["flight"]()
            assert _stop_listening(served.service.mtls_port)
            assert not served.service._probes()["flight"]()
        finally:
            served.service.stop()

    def test_the_lakes_own_client(self, served: Served) -> None:
        with neurolake.connect(served.uri, user="admin", password=PASSWORD, tls_ca=served.folder / "ca.pem") as lake:
            assert lake.sql("SELECT 42").fetchall() == [(42,)]

    def test_commands_find_their_way_to_it(self, served: Served, capfd: pytest.CaptureFixture[str]) -> None:
        assert run(["health", "--lake", str(served.folder / "lake"), "--json"]) == 0
        checks = json.loads(capfd.readouterr().out)["checks"]
        assert {"server /livez", "server /readyz", "engine"} <= {check["part"] for check in checks}

    def test_no_port_speaks_in_the_clear(self, served: Served) -> None:
        plain = f"grpc://localhost:{served.service.port}"
        refused(lambda: flight_sql.connect(plain, db_kwargs={"username": "admin", "password": PASSWORD}))
        with pytest.raises((urllib.error.URLError, OSError)):
            urllib.request.urlopen(f"http://localhost:{served.service.http_port}/livez", timeout=5)
        with socket.create_connection(("127.0.0.1", served.service.http_port), 5) as plain_socket:
            plain_socket.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            assert b"neurolake" not in plain_socket.recv(1000)

    def test_old_protocols_are_refused(self, served: Served) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_ciphers("ALL:@SECLEVEL=0")
        with pytest.warns(DeprecationWarning):
            context.minimum_version = ssl.TLSVersion.TLSv1
            context.maximum_version = ssl.TLSVersion.TLSv1_1
        for port in (served.service.port, served.service.http_port):
            with socket.create_connection(("127.0.0.1", port), 5) as plain, pytest.raises(OSError):
                context.wrap_socket(plain)

    def test_a_slow_handshake_keeps_nobody_waiting(self, served: Served) -> None:
        context = ssl.create_default_context(cadata=served.authority.pem.decode())
        with socket.create_connection(("127.0.0.1", served.service.http_port), 5):
            url = f"https://localhost:{served.service.http_port}/livez"
            with urllib.request.urlopen(url, context=context, timeout=5) as answer:
                assert answer.read() == b"ok\n"

    def test_another_authority_is_not_trusted(self, served: Served) -> None:
        assert "certificate" in refused(lambda: served.connect(**{TRUST: Authority().pem.decode()}))


class TestRenewal:
    def test_under_load(self, served: Served) -> None:
        """Sessions, streams and new connections go through a change of certificates unharmed."""
        problems: list[str] = []
        done: list[int] = []
        over = threading.Event()

        def work() -> None:
            while not over.is_set():
                try:
                    with served.connect() as connection:
                        done.append(value(connection, "SELECT 1"))
                except adbc_driver_manager.Error as error:
                    problems.append(str(error))

        with served.connect() as kept, kept.cursor() as streaming:
            value(kept, "CREATE TEMP TABLE mine AS SELECT 7 AS n")
            streaming.execute("SELECT range AS i, repeat('x', 50) AS t FROM range(2000000)")
            stream = streaming.fetch_record_batch()
            rows = stream.read_next_batch().num_rows
            threads = [threading.Thread(target=work, daemon=True) for _ in range(2)]
            for thread in threads:
                thread.start()
            try:
                served.renew("second")
                served.wait_until_shown("second")
                assert value(kept, "SELECT n FROM mine") == 7
                rows += sum(batch.num_rows for batch in stream)
                count = len(done)
                until = time.monotonic() + 20
                while len(done) < count + 5 and time.monotonic() < until:
                    time.sleep(0.02)
            finally:
                over.set()
                for thread in threads:
                    thread.join()
        assert rows == 2_000_000
        assert len(done) >= count + 5
        # Who connects in the very milliseconds between the two listeners has to try again.
        assert all("Unavailable" in problem for problem in problems), problems

    def test_files_that_do_not_fit_change_nothing(self, served: Served, caplog: pytest.LogCaptureFixture) -> None:
        served.renew("third")
        served.wait_until_shown("third")
        whole = Issued((served.folder / "server.pem").read_bytes(), (served.folder / "server.key").read_bytes())
        other = served.authority.issue("fourth", HOSTS)
        for certificate, key, word in (
            (whole.certificate, other.key, "not the key"), (b"", whole.key, "PEM"), (whole.certificate, b"x", "PEM"),
            (*served.authority.issue("late", HOSTS, days=-1), "expired"),
        ):  # fmt: skip
            caplog.clear()
            Issued(certificate, key).write(served.folder)
            until = time.monotonic() + 10
            while not any(word in record.getMessage() for record in caplog.records):
                assert time.monotonic() < until, word
                time.sleep(0.02)
            assert served.shown(served.service.port) == "third"
        whole.write(served.folder)
        with served.connect() as connection:
            assert value(connection, "SELECT 42") == 42

    def test_unfit_files_at_the_start(self, tmp_path: Path, authority: Authority) -> None:
        for name, issued in (("a", authority.issue("a", HOSTS)), ("b", authority.issue("b", HOSTS))):
            issued.write(tmp_path, name)
        settings = load(None, {}, {"tls_cert": str(tmp_path / "a.pem"), "tls_key": str(tmp_path / "b.key")})
        with pytest.raises(errors.InvalidRequest) as caught:
            tls.read(settings)
        assert caught.value.code == "tls_certificate"
        missing = load(None, {}, {"tls_cert": str(tmp_path / "none.pem"), "tls_key": str(tmp_path / "b.key")})
        with pytest.raises(errors.InvalidRequest) as caught:
            tls.read(missing)
        assert "cannot be read" in str(caught.value)


class TestClientCertificates:
    def test_it_proves_who_one_is(self, served: Served, clients_authority: Authority) -> None:
        with served.connect_by(clients_authority.issue("admin")) as connection:
            assert value(connection, "SELECT user_name FROM neurolake.running") == "admin"
            value(connection, "CREATE TEMP TABLE mine AS SELECT 7 AS n")
            assert value(connection, "SELECT n FROM mine") == 7
            with served.connect_by(clients_authority.issue("admin")) as second:
                # A session of its own: there is no table of that name in it.
                value(second, "CREATE TEMP TABLE mine AS SELECT 8 AS n")
                assert (value(connection, "SELECT n FROM mine"), value(second, "SELECT n FROM mine")) == (7, 8)

    def test_the_lakes_own_client(self, served: Served, clients_authority: Authority) -> None:
        clients_authority.issue("admin").write(served.folder, "mine")
        files = {"tls_ca": "ca.pem", "tls_cert": "mine.pem", "tls_key": "mine.key"}
        with neurolake.connect(served.mtls_uri, **{name: served.folder / file for name, file in files.items()}) as lake:
            assert lake.sql("SELECT user_name FROM neurolake.running").fetchall() == [("admin",)]
        with pytest.raises(errors.InvalidRequest):
            neurolake.connect(served.mtls_uri, tls_cert="nowhere.pem", tls_key="nowhere.key")

    def test_each_is_its_own_user(self, served: Served, clients_authority: Authority) -> None:
        with served.connect_by(clients_authority.issue("loader")) as connection:
            assert value(connection, "SELECT 42") == 42
        rows = served.service.engine.governance.audit.rows("loader")
        assert '"credential":"loader"' in rows[0][8] and '"method":"certificate"' in rows[0][8]

    def test_a_client_that_keeps_no_token_keeps_its_session(self, served: Served, clients_authority: Authority) -> None:
        issued = clients_authority.issue("loader")
        before = len(served.service.sessions)
        with paflight.FlightClient(
            served.mtls_uri, tls_root_certs=served.authority.pem, cert_chain=issued.certificate, private_key=issued.key
        ) as client:
            for _ in range(5):
                with pytest.raises(pa.ArrowInvalid):
                    client.get_flight_info(paflight.FlightDescriptor.for_command(b"nonsense"))
        assert len(served.service.sessions) == before + 1

    def test_who_has_none(self, served: Served) -> None:
        options = {TRUST: served.authority.pem.decode(), "username": "admin", "password": PASSWORD}
        refused(lambda: flight_sql.connect(served.mtls_uri, db_kwargs=options, autocommit=True))

    def test_one_from_another_authority(self, served: Served, clients_authority: Authority) -> None:
        for wrong in (Authority("an authority of clients"), served.authority):
            issued = wrong.issue("admin")
            refused(partial(served.connect_by, issued))

    def test_another_authority_takes_over_without_a_restart(
        self, tmp_path: Path, authority: Authority, clients_authority: Authority
    ) -> None:
        served = Served(tmp_path, authority, clients_authority)
        try:
            with served.connect_by(clients_authority.issue("admin")) as before:
                assert value(before, "SELECT 42") == 42
                new = Authority("the next authority of clients")
                refused(lambda: served.connect_by(new.issue("admin")))
                (served.folder / "clients.pem").write_bytes(clients_authority.pem + new.pem)
                served.wait_until_let_in(new.issue("admin"))
                served.wait_until_let_in(clients_authority.issue("admin"))  # both, as long as both are in the file
                assert value(before, "SELECT 43") == 43  # what is open goes on
                (served.folder / "clients.pem").write_bytes(new.pem)
                served.wait_until_let_in(clients_authority.issue("admin"), let_in=False)
                served.wait_until_let_in(new.issue("admin"))
                with pytest.raises(adbc_driver_manager.Error):  # until the change after the next
                    value(before, "SELECT 44")
        finally:
            served.service.stop()

    def test_one_that_has_expired(self, served: Served, clients_authority: Authority) -> None:
        refused(lambda: served.connect_by(clients_authority.issue("admin", days=-1)))

    def test_a_name_that_is_no_users(self, served: Served, clients_authority: Authority) -> None:
        for name in ("nobody", "Admin", "admin ", "owner"):
            text = refused(lambda name=name: served.connect_by(clients_authority.issue(name)))  # type: ignore[misc]
            assert "login_unmapped" in text

    def test_its_session_belongs_to_the_certificate(self, served: Served, clients_authority: Authority) -> None:
        engine, sessions = served.service.engine, served.service.sessions
        opened = sessions.open(engine.logins.certificate("loader"), "test")
        told = f"Bearer {opened.token[1:]}"
        # Another certificate, and no certificate at all.
        header = {"adbc.flight.sql.authorization_header": told}
        assert "session_unknown" in refused(lambda: served.connect_by(clients_authority.issue("other"), **header))
        stolen = [row[8] for row in engine.governance.audit.rows() if row[3] == "login_failed"][-1]
        assert '"code":"session_of_another"' in stolen and '"method":"certificate"' in stolen
        options = {TRUST: served.authority.pem.decode(), **header}
        assert "session_unknown" in refused(lambda: flight_sql.connect(served.uri, db_kwargs=options, autocommit=True))
        with served.connect_by(clients_authority.issue("loader"), **header) as connection:
            assert value(connection, "SELECT 42") == 42
        # And a session of the other port is none here.
        plain = sessions.open(engine.logins.password("admin", PASSWORD), "test")
        header = {"adbc.flight.sql.authorization_header": f"Bearer {plain.token}"}
        assert "session_unknown" in refused(lambda: served.connect_by(clients_authority.issue("loader"), **header))

    def test_names_are_mapped_where_the_setting_says_so(
        self, tmp_path: Path, authority: Authority, clients_authority: Authority
    ) -> None:
        served = Served(tmp_path, authority, clients_authority, mtls_users=("etl.example.com=admin",))
        try:
            with served.connect_by(clients_authority.issue("etl.example.com")) as connection:
                assert value(connection, "SELECT user_name FROM neurolake.running") == "admin"
            assert "login_unmapped" in refused(lambda: served.connect_by(clients_authority.issue("admin")))
        finally:
            served.service.stop()

    @pytest.mark.parametrize("missing", ["mtls_ca", "tls_cert"])
    def test_the_port_needs_what_it_needs(self, tmp_path: Path, authority: Authority, missing: str) -> None:
        authority.issue("a", HOSTS).write(tmp_path)
        names = {"tls_cert": "server.pem", "tls_key": "server.key", "mtls_ca": "server.pem"}
        flags = {name: str(tmp_path / file) for name, file in names.items() if name != missing}
        if missing == "tls_cert":
            del flags["tls_key"]
        home = Home.open(tmp_path / "lake", create=True)
        service = Service(home, load(home.path, flags={**flags, "mtls_port": free_port(), "port": 0, "http_port": 0}))
        with pytest.raises(errors.InvalidRequest) as caught:
            service.start()
        service.stop()
        assert caught.value.code == "mtls_settings"


class TestIdentityProvider:
    def test_its_keys_come_from_whom_the_authority_knows(
        self, tmp_path: Path, authority: Authority, clients_authority: Authority
    ) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        shown = {**json.loads(jwt.algorithms.ECAlgorithm.to_jwk(key.public_key())), "kid": "1"}
        (tmp_path / "jwks.json").write_text(json.dumps({"keys": [shown]}))
        authority.issue("provider", HOSTS).write(tmp_path)
        (tmp_path / "ca.pem").write_bytes(authority.pem)
        (tmp_path / "other.pem").write_bytes(clients_authority.pem)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tmp_path / "server.pem", tmp_path / "server.key")
        handler = partial(_Quiet, directory=str(tmp_path))
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
            server.socket = context.wrap_socket(server.socket, server_side=True)
            threading.Thread(target=server.serve_forever, daemon=True).start()
            settings = {
                "oidc_issuer": "https://login.example.com", "oidc_audience": "lake", "oidc_algorithms": ("ES256",),
                "oidc_jwks": f"https://localhost:{server.server_address[1]}/jwks.json",
            }  # fmt: skip
            claims = {"iss": "https://login.example.com", "aud": "lake", "sub": "ada", "exp": time.time() + 60}
            token = jwt.encode(claims, key, "ES256", headers={"kid": "1"})
            trusting = Oidc(load(None, {}, {**settings, "oidc_tls_ca": str(tmp_path / "ca.pem")}))
            assert trusting.verify(token).name == "ada"
            for ca in ("", str(tmp_path / "other.pem")):
                with pytest.raises(errors.Unavailable):
                    Oidc(load(None, {}, {**settings, "oidc_tls_ca": ca})).verify(token)
            server.shutdown()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Tests are quiet."""
