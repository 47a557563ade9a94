"""A Flight port that stays open while its certificates change."""

from __future__ import annotations

import errno
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import pyarrow as pa

from flight.connections import listens, sockets
from flight.server import FlightSqlServer
from flight.tls import Certificates
from neurolake import errors

FREE_WITHIN_S: Final = 5.0
ENDED_WITHIN_S: Final = 5.0
FREE_POLL_S: Final = 0.0005


class Listener:
    """One port. pyarrow cannot exchange a server's certificates, and does not share a port between two servers.

    So the server that listens is made to stop listening, but not to end: connections that are open stay with it, and
    nothing that runs on them notices. Its successor listens a millisecond or two later. (Ending the first one would
    cancel calls that have just arrived.) At the next change, those that are left of it are closed.

    Args:
        host, port: where; port 0 takes any that is free.
        certificates: what it begins with.
        make: makes a server at a location with certificates.

    Raises:
        InvalidRequest: `port_taken`, or `listen`.
    """

    def __init__(
        self, host: str, port: int, certificates: Certificates, make: Callable[[str, Certificates], FlightSqlServer]
    ) -> None:
        self._host = host
        self._make = make
        self._certificates = certificates
        self._before: list[FlightSqlServer] = []
        if port:
            refuse_taken_port(host, port)
        self._server = self._started(port, certificates)
        self.port = int(self._server.port)

    @property
    def stopping(self) -> bool:
        """Whether new statements are refused."""
        return self._server.stopping

    def refuse(self) -> None:
        """Refuse new statements from now on."""
        for server in (self._server, *self._before):
            server.stopping = True

    def renew(self, certificates: Certificates) -> None:
        """Show other certificates to new connections. Those that are open are not disturbed."""
        for oldest in self._before:
            _in_thread(oldest.shutdown)
        before = self._server
        self._before = [before]
        if not _stop_listening(self.port):  # as on a system that does not show its descriptors
            _in_thread(before.shutdown)
        _wait_until_free(self._host, self.port)
        try:
            self._server = self._started(self.port, certificates)
        except errors.InvalidRequest:
            self._server = self._started(self.port, self._certificates)
            raise
        self._certificates = certificates

    def close(self) -> bool:
        """Stop listening, and wait a moment for the calls that run. Whether all have ended.

        A call whose client neither reads nor leaves never ends: gRPC has no way to make it.
        """
        ending = [_in_thread(server.shutdown) for server in (self._server, *self._before)]
        until = time.monotonic() + ENDED_WITHIN_S
        for thread in ending:
            thread.join(max(0.0, until - time.monotonic()))
        return not any(thread.is_alive() for thread in ending)

    def _started(self, port: int, certificates: Certificates) -> FlightSqlServer:
        scheme = "grpc+tls" if certificates.chain else "grpc"
        try:
            return self._make(f"{scheme}://{bracketed(self._host)}:{port}", certificates)
        except pa.ArrowException:
            raise errors.InvalidRequest(
                f"Cannot listen on {self._host}:{port} with these certificates.",
                code="listen",
                next_step="Check tls_cert and tls_key, and that nothing else listens there.",
            ) from None


def _in_thread(shutdown: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=shutdown, name="neurolake-drain", daemon=True)
    thread.start()
    return thread


def bracketed(host: str) -> str:
    """A host as it stands in an address.

    >>> bracketed("::1"), bracketed("lake.example.com")
    ('[::1]', 'lake.example.com')
    """
    return f"[{host}]" if ":" in host else host


def refuse_taken_port(host: str, port: int) -> None:
    """Say in our own words that a port is taken, or an address not this machine's."""
    try:
        _bind(host, port)
    except OSError as error:
        raise cannot_listen(host, port, error) from None


def cannot_listen(host: str, port: int, error: OSError) -> errors.InvalidRequest:
    """What is wrong with an address."""
    if error.errno == errno.EADDRINUSE:
        return errors.InvalidRequest(
            f"Port {port} is taken.", code="port_taken", next_step="Stop what listens there, or choose another port."
        )
    return errors.InvalidRequest(f"Cannot listen on {host}:{port}: {error.strerror}.", code="listen")


def _bind(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))


def _stop_listening(port: int) -> bool:
    """Take this process's listening sockets off a port; whether there were any. Accepted connections are others."""
    found = False
    for one in sockets():
        with suppress(OSError):
            if one.getsockname()[1] == port and listens(one):
                one.shutdown(socket.SHUT_RDWR)
                found = True
    return found


def _wait_until_free(host: str, port: int) -> None:
    until = time.monotonic() + FREE_WITHIN_S
    while time.monotonic() < until:
        try:
            _bind(host, port)
            return
        except OSError:
            time.sleep(FREE_POLL_S)
