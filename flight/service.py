"""From a home folder to a running server and back: start, signals, clean shutdown."""

from __future__ import annotations

import errno
import hmac
import logging
import signal
import socket
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from prometheus_client import CollectorRegistry, Gauge

from flight.auth import MIDDLEWARE, Authentication, Handshake
from flight.http import HealthServer
from flight.server import FlightSqlServer
from flight.sessions import Sessions
from neurolake import errors
from neurolake.config import Settings, load, resolve_secret
from neurolake.engine import Engine
from neurolake.home import Home

logger = logging.getLogger("neurolake.flight")

LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")
HEALTH_TIMEOUT_S: Final = 5.0


class Service:
    """One served home: engine, Flight server, HTTP server. `start`, then `stop`."""

    def __init__(self, home: Home, settings: Settings) -> None:
        self.home = home
        self.settings = settings
        self.engine = Engine(home, settings)
        self.made_password: str | None = None
        if not self.engine.users.has_admin():
            given = resolve_secret(settings.admin_password) if settings.admin_password else None
            self.made_password = self.engine.users.make_admin(given)
        self.sessions = Sessions(self.engine, settings)
        self._owner_token = ""
        self._server: FlightSqlServer | None = None
        self._http: HealthServer | None = None

    @property
    def port(self) -> int:
        """The Flight SQL port in use."""
        assert self._server is not None
        return int(self._server.port)

    @property
    def http_port(self) -> int:
        """The HTTP port in use."""
        assert self._http is not None
        return self._http.port

    def start(self) -> None:
        """Listen. The home's `run/server.json` tells local commands where."""
        settings = self.settings
        refuse_open_door(settings)
        refuse_taken_port(settings.host, settings.port)
        scheme = "grpc+tls" if settings.tls_cert else "grpc"
        self._server = FlightSqlServer(
            self.engine,
            self.sessions,
            settings,
            location=f"{scheme}://{_bracketed(settings.host)}:{settings.port}",
            auth_handler=Handshake(),
            middleware={MIDDLEWARE: Authentication(self.engine, self.sessions, self._is_owner)},
            tls_certificates=_certificates(settings),
        )
        self._http = _listen_http(settings, self._probes(), self._registry())
        info = self.home.write_server_file(
            host=settings.host, port=self.port, http_port=self.http_port, tls=bool(settings.tls_cert)
        )
        self._owner_token = info.token

    def stop(self) -> None:
        """Refuse what is new, let what runs end within the grace time, cancel the rest, close everything."""
        if self._server is not None:
            self._server.stopping = True
        self.engine.drain(self.settings.shutdown_grace_s)
        if self._server is not None:
            self._server.shutdown()
        if self._http is not None:
            self._http.close()
        self.sessions.close_all()
        self.engine.close()

    def _is_owner(self, token: str) -> bool:
        return bool(self._owner_token) and hmac.compare_digest(token.encode(), self._owner_token.encode())

    def _probes(self) -> Mapping[str, Callable[[], bool]]:
        return {
            "accepting": lambda: self._server is not None and not self._server.stopping,
            "engine": lambda: _within(HEALTH_TIMEOUT_S, self.engine.probe),
            "metadata": lambda: _within(HEALTH_TIMEOUT_S, lambda: self.engine.store.rows("SELECT 1")),
            "flight": lambda: _connects(self.settings.host, self.port),
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
            ("neurolake_statements_in_flight", "Statements in flight.", lambda: len(self.engine.activities)),
            ("neurolake_memory_bytes", "Resident memory of the server.", _resident_bytes),
        ):
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
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    try:
        service.start()
        _announce(service)
        stopped.wait()
    finally:
        service.stop()
    return 0


def _announce(service: Service) -> None:
    settings = service.settings
    scheme = "grpc+tls" if settings.tls_cert else "grpc"
    lines = [f"NeuroLake serves {service.home.path}"]
    if service.made_password:
        lines.append(f"  the first administrator: user admin, password {service.made_password} (shown this once)")
    lines.append(f"  Flight SQL: {scheme}://{_bracketed(settings.host)}:{service.port}")
    lines.append(f"  health and metrics: http://{_bracketed(settings.host)}:{service.http_port}")
    print("\n".join(lines), flush=True)  # noqa: T201  (what `serve` tells its user)


def refuse_open_door(settings: Settings) -> None:
    """Refuse to listen beyond loopback without TLS, unless told so in so many words."""
    if settings.host not in LOOPBACK and not settings.tls_cert and not settings.insecure_listen:
        raise errors.InvalidRequest(
            f"Listening on {settings.host} without TLS would send passwords and data in the clear.",
            code="insecure_listen",
            next_step="Set tls_cert and tls_key, or insecure_listen = true behind a TLS proxy.",
        )


def refuse_taken_port(host: str, port: int) -> None:
    """gRPC shares a taken port without a word and takes half the calls, so it is tried first."""
    if port == 0:
        return
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise _cannot_listen(host, port, error) from None


def _cannot_listen(host: str, port: int, error: OSError) -> errors.InvalidRequest:
    if error.errno == errno.EADDRINUSE:
        return errors.InvalidRequest(
            f"Port {port} is taken.", code="port_taken", next_step="Stop what listens there, or choose another port."
        )
    return errors.InvalidRequest(f"Cannot listen on {host}:{port}: {error.strerror}.", code="listen")


def _listen_http(
    settings: Settings, probes: Mapping[str, Callable[[], bool]], registry: CollectorRegistry
) -> HealthServer:
    try:
        return HealthServer(settings.host, settings.http_port, probes, registry)
    except OSError as error:
        raise _cannot_listen(settings.host, settings.http_port, error) from None


def _certificates(settings: Settings) -> list[tuple[bytes, bytes]]:
    if not settings.tls_cert:
        return []
    return [(Path(settings.tls_cert).read_bytes(), Path(settings.tls_key).read_bytes())]


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


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
