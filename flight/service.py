"""From a home folder to a running server and back: start, signals, clean shutdown."""

from __future__ import annotations

import hmac
import logging
import os
import signal
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from prometheus_client import CollectorRegistry, Gauge

from flight import tls
from flight.auth import MIDDLEWARE, Authentication, CertificateAuthentication, Handshake
from flight.http import HealthServer
from flight.listener import Listener, bracketed, cannot_listen
from flight.server import FlightSqlServer
from flight.sessions import Sessions
from flight.tls import Certificates
from neurolake import errors
from neurolake.backup.schedule import schedules
from neurolake.config import Settings, load, resolve_secret
from neurolake.engine import Engine
from neurolake.home import Home
from neurolake.scheduler import Scheduler

logger = logging.getLogger("neurolake.flight")

LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")
HEALTH_TIMEOUT_S: Final = 5.0
OWNER_GRACE_S: Final = 60.0


class OwnerTokens:
    """The token in `run/server.json`, made anew now and then; the one before holds a minute longer.

    Args:
        first: the one that is there.
        rotate: writes another one, and gives it.
        every_s: how often.
    """

    def __init__(self, first: str, rotate: Callable[[], str], every_s: float) -> None:
        self._now, self._before, self._until = first, first, 0.0
        self._rotate = rotate
        self._over = threading.Event()
        self._thread = threading.Thread(
            target=self._turn_until_over, args=(every_s,), name="neurolake-owner-token", daemon=True
        )
        self._thread.start()

    def holds(self, token: str) -> bool:
        """Whether a token is the owner's."""
        sent = token.encode()
        before = hmac.compare_digest(sent, self._before.encode()) and time.monotonic() < self._until
        return hmac.compare_digest(sent, self._now.encode()) or before

    def close(self) -> None:
        """Leave it as it is."""
        self._over.set()
        self._thread.join()

    def _turn_until_over(self, every_s: float) -> None:
        while not self._over.wait(every_s):
            try:
                made = self._rotate()
            except errors.NeuroLakeError as problem:
                logger.error("the owner's token stays: %s", problem)
                continue
            self._before, self._until, self._now = self._now, time.monotonic() + OWNER_GRACE_S, made


class Service:
    """One served home: engine, Flight server, HTTP server. `start`, then `stop`."""

    def __init__(self, home: Home, settings: Settings) -> None:
        self.home = home
        self.settings = settings
        schedules(settings)  # what cannot be read is refused before anything is opened
        self.engine = Engine(home, settings)
        self._scheduler = Scheduler(self.engine)
        self.made_password: str | None = None
        if not self.engine.users.has_admin():
            given = resolve_secret(settings.admin_password) if settings.admin_password else None
            self.made_password = self.engine.users.make_admin(given)
        self.sessions = Sessions(self.engine, settings)
        self._owner_tokens: OwnerTokens | None = None
        self._listeners: list[Listener] = []
        self._watch: tls.Watch | None = None
        self._http: HealthServer | None = None
        self._https: ssl.SSLContext | None = None

    @property
    def port(self) -> int:
        """The Flight SQL port in use."""
        return self._listeners[0].port

    @property
    def mtls_port(self) -> int | None:
        """The Flight SQL port for clients with a certificate, where there is one."""
        return self._listeners[1].port if len(self._listeners) > 1 else None

    @property
    def http_port(self) -> int:
        """The HTTP port in use."""
        assert self._http is not None
        return self._http.port

    def start(self) -> None:
        """Listen. The home's `run/server.json` tells local commands where."""
        settings = self.settings
        refuse_open_door(settings)
        _refuse_half_mtls(settings)
        certificates = tls.read(settings)
        self._listeners = [Listener(settings.host, settings.port, certificates, self._flight)]
        if settings.mtls_port:
            self._listeners.append(Listener(settings.host, settings.mtls_port, certificates, self._mutual_flight))
        self._https = tls.https(settings) if certificates.chain and settings.http_tls else None
        self._http = _listen_http(settings, self._probes(), self._registry(), self._https)
        info = self.home.write_server_file(
            host=settings.host, port=self.port, http_port=self.http_port, tls=bool(certificates.chain),
            http_tls=self._https is not None,
        )  # fmt: skip
        self._owner_tokens = OwnerTokens(info.token, self.home.rotate_owner_token, settings.owner_token_life_s)
        self._watch = tls.Watch(settings, certificates, self._renew)
        self._scheduler.start()

    def _flight(self, location: str, certificates: Certificates) -> FlightSqlServer:
        """A server for everybody: they log in by a password or a token."""
        return FlightSqlServer(
            self.engine,
            self.sessions,
            self.settings,
            location=location,
            auth_handler=Handshake(),
            middleware={MIDDLEWARE: Authentication(self.engine, self.sessions, self._is_owner)},
            **certificates.options(),
        )

    def _mutual_flight(self, location: str, certificates: Certificates) -> FlightSqlServer:
        """A server for clients with a certificate. Without an auth handler pyarrow tells the name in it."""
        return FlightSqlServer(
            self.engine,
            self.sessions,
            self.settings,
            location=location,
            middleware={MIDDLEWARE: CertificateAuthentication(self.engine, self.sessions)},
            **certificates.options_mtls(),
        )

    def _renew(self, certificates: Certificates) -> None:
        for listener in self._listeners:
            listener.renew(certificates)
        if self._https is not None:
            tls.renew(self._https, self.settings)

    def stop(self) -> bool:
        """Refuse what is new, let what runs end within the grace time, cancel the rest, close everything.

        Whether every call has ended: one whose client neither reads nor leaves stays, and holds its process.
        """
        self._scheduler.stop()
        for part in (self._watch, self._owner_tokens):
            if part is not None:
                part.close()
        for listener in self._listeners:
            listener.refuse()
        self.engine.drain(self.settings.shutdown_grace_s)
        closed = [listener.close() for listener in self._listeners]
        if self._http is not None:
            self._http.close()
        self.sessions.close_all()
        self._scheduler.close()
        self.engine.close()
        return all(closed)

    def _is_owner(self, token: str) -> bool:
        return self._owner_tokens is not None and self._owner_tokens.holds(token)

    def _probes(self) -> Mapping[str, Callable[[], bool]]:
        return {
            "accepting": lambda: bool(self._listeners) and not self._listeners[0].stopping,
            "engine": lambda: _within(HEALTH_TIMEOUT_S, self.engine.probe),
            "metadata": lambda: _within(HEALTH_TIMEOUT_S, lambda: self.engine.store.rows("SELECT 1")),
            "flight": lambda: all(_connects(self.settings.host, listener.port) for listener in self._listeners),
            "disk": lambda: _within(HEALTH_TIMEOUT_S, self._probe_disk),
        }

    def _probe_disk(self) -> None:
        path = self.home.tmp / "probe"
        path.write_bytes(b"0" * 4096)
        path.unlink()

    def _registry(self) -> CollectorRegistry:
        registry = self.engine.metrics.registry
        for name, text, value in (
            ("neurolake_sessions", "Open sessions.", lambda: len(self.sessions)),
            ("neurolake_pii_scans_waiting", "Tables that wait for a scan.", lambda: len(self.engine.background)),
            ("neurolake_statements_in_flight", "Statements in flight.", lambda: len(self.engine.activities)),
            ("neurolake_memory_bytes", "Resident memory of the server.", _resident_bytes),
            ("neurolake_certificate_ends_at_seconds", "When the server's certificate ends, Unix time; 0 without TLS.",
             lambda: 0.0 if self._watch is None else self._watch.current.expires),
        ):  # fmt: skip
            Gauge(name, text, registry=registry).set_function(value)
        return registry


def run(path: str | Path, flags: Mapping[str, Any]) -> int:
    """Serve a home folder until SIGTERM or SIGINT; 0 after a clean stop.

    Raises:
        HomeProblem: the folder is no lake, or in use.
        InvalidRequest: the server may not listen as asked, or the port is taken.
    """
    home = Home.open(path)
    try:
        service = Service(home, load(home.path, flags=flags))
    except BaseException:
        home.close()
        raise
    heard = _listen_to(signal.SIGTERM, signal.SIGINT)
    try:
        service.start()
        _announce(service)
        os.read(heard, 1)
    finally:
        code, problem = 0, "a client neither reads its answer nor leaves: its connection is cut"
        try:
            ended = service.stop()
        except errors.NeuroLakeError as error:
            ended, code, problem = False, 1, f"the lake was not closed as it should be: {error}"
        if not ended:
            logger.warning(problem)
            logging.shutdown()
            os._exit(code)  # what could be written is; the interpreter's own end would wait for that client
    return 0


def _listen_to(*numbers: signal.Signals) -> int:
    """A descriptor from which a byte can be read once one of the signals has come.

    The system may hand a signal to any thread, and a main thread that waits for a lock then does not hear of it.
    """
    heard, told = os.pipe()
    os.set_blocking(told, False)
    signal.set_wakeup_fd(told, warn_on_full_buffer=False)
    for number in numbers:
        signal.signal(number, lambda *_: None)
    return heard


def _announce(service: Service) -> None:
    settings = service.settings
    scheme = "grpc+tls" if settings.tls_cert else "grpc"
    lines = [f"NeuroLake serves {service.home.path}"]
    if service.made_password:
        lines.append(f"  the first administrator: user admin, password {service.made_password} (shown this once)")
    lines.append(f"  Flight SQL: {scheme}://{bracketed(settings.host)}:{service.port}")
    if service.mtls_port is not None:
        lines.append(f"  Flight SQL by certificate: {scheme}://{bracketed(settings.host)}:{service.mtls_port}")
    scheme = "https" if settings.tls_cert and settings.http_tls else "http"
    lines.append(f"  health and metrics: {scheme}://{bracketed(settings.host)}:{service.http_port}")
    print("\n".join(lines), flush=True)  # noqa: T201  (what `serve` tells its user)


def _refuse_half_mtls(settings: Settings) -> None:
    if settings.mtls_port and not (settings.tls_cert and settings.mtls_ca):
        raise errors.InvalidRequest(
            "mtls_port needs tls_cert, tls_key and mtls_ca.",
            code="mtls_settings",
            next_step="Set them, or leave mtls_port away.",
        )


def refuse_open_door(settings: Settings) -> None:
    """Refuse to listen beyond loopback without TLS, unless told so in so many words."""
    if settings.host not in LOOPBACK and not settings.tls_cert and not settings.insecure_listen:
        raise errors.InvalidRequest(
            f"Listening on {settings.host} without TLS would send passwords and data in the clear.",
            code="insecure_listen",
            next_step="Set tls_cert and tls_key, or insecure_listen = true behind a TLS proxy.",
        )


def _listen_http(
    settings: Settings,
    probes: Mapping[str, Callable[[], bool]],
    registry: CollectorRegistry,
    context: ssl.SSLContext | None,
) -> HealthServer:
    try:
        return HealthServer(settings.host, settings.http_port, probes, registry, context)
    except OSError as error:
        raise cannot_listen(settings.host, settings.http_port, error) from None


def _within(seconds: float, work: Callable[[], Any]) -> bool:
    """Whether the work succeeds in time; a part that hangs is a part that fails."""
    done: list[bool] = []

    def attempt() -> None:
        try:
            work()
        except (errors.NeuroLakeError, OSError):
            return
        done.append(True)

    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(seconds)
    return bool(done)


def _connects(host: str, port: int) -> bool:
    try:
        socket.create_connection((host if host not in ("0.0.0.0", "::") else "localhost", port), 1).close()  # noqa: S104
    except OSError:
        return False
    return True


def _resident_bytes() -> float:
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        import resource

        return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    return float(pages * 4096)
