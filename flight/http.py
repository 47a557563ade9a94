"""The HTTP port: /livez, /readyz and /metrics, without a login; they say whether, and which part fails."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

Probe = Callable[[], bool]
CLOSE_S: Final = 1.0


class HealthServer:
    """Serves health and metrics until it is closed.

    Args:
        host, port: where it listens; port 0 takes any that is free.
        probes: the parts of /readyz by name; each is really tried at every request.
        registry: what /metrics shows.
        tls: what it speaks TLS with, if it does.
    """

    def __init__(
        self,
        host: str,
        port: int,
        probes: Mapping[str, Probe],
        registry: CollectorRegistry,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        answers = {
            "/livez": lambda: (200, "text/plain; charset=utf-8", b"ok\n"),
            "/readyz": lambda: _ready(probes),
            "/metrics": lambda: (200, CONTENT_TYPE_LATEST, generate_latest(registry)),
        }
        self._server = _Server((host, port), _handler(answers))
        self._server.tls = tls
        self.port = int(self._server.server_address[1])
        self._address = (host, self.port)
        self._closed = False
        self._thread = threading.Thread(target=self._serve, name="neurolake-http", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self._closed = True
        with contextlib.suppress(OSError):  # it waits for a connection, and for nothing else
            socket.create_connection(self._address, CLOSE_S).close()
        self._thread.join(CLOSE_S)
        self._server.server_close()

    def _serve(self) -> None:
        """As `serve_forever`, which looks for its end twice a second: every stop would wait for that."""
        while not self._closed:
            self._server.handle_request()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    tls: ssl.SSLContext | None = None

    def get_request(self) -> tuple[Any, Any]:
        """Accept; the handshake is the handler's, so that a client that is slow at it keeps nobody waiting."""
        connection, address = super().get_request()
        if self.tls is None:
            return connection, address
        return self.tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False), address

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that breaks off, or speaks no TLS, is not worth a line."""


def _ready(probes: Mapping[str, Probe]) -> tuple[int, str, bytes]:
    parts = {name: probe() for name, probe in probes.items()}
    body = json.dumps({"ready": all(parts.values()), "parts": parts}).encode() + b"\n"
    return 200 if all(parts.values()) else 503, "application/json", body


def _handler(answers: Mapping[str, Callable[[], tuple[int, str, bytes]]]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        server_version = "neurolake"
        sys_version = ""
        timeout = 10

        def do_GET(self) -> None:
            """Answer one of the three paths."""
            answer = answers.get(self.path.split("?", 1)[0])
            status, kind, body = answer() if answer else (404, "text/plain; charset=utf-8", b"not found\n")
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Probes come every second: nothing is logged."""

    return Handler
