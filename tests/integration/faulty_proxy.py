"""A proxy that spoils a server's answers on request: errors, resets, short bodies, silence, and what else happens."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from http.client import HTTPConnection, HTTPResponse
from typing import Any


@dataclass(frozen=True)
class Asked:
    """One request as the proxy saw it."""

    method: str
    path: str
    headers: Mapping[str, str]

    @property
    def is_list(self) -> bool:
        return self.method == "GET" and "list-type=2" in self.path

    @property
    def is_read(self) -> bool:
        return self.method == "GET" and "list-type=2" not in self.path

    @property
    def range(self) -> tuple[int, int] | None:
        """The bytes asked for: first, and one past the last."""
        found = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("range", ""))
        return (int(found[1]), int(found[2]) + 1) if found else None


@dataclass
class Answer:
    """What the server said, for a fault to spoil before it is passed on."""

    status: int
    headers: dict[str, str]
    body: bytes
    keep_open: bool = True
    stall_after: int | None = None
    reset_after: int | None = None
    pause_s: float = 0.0
    bytes_per_s: float | None = None


Fault = Callable[[Answer], None]
"""Changes an answer in place."""


def status(code: int, name: str = "InternalError") -> Fault:
    """Answer with an S3 error instead."""

    def spoil(answer: Answer) -> None:
        answer.status = code
        answer.body = f"<Error><Code>{name}</Code><Message>made up by the test</Message></Error>".encode()
        answer.headers = {"content-type": "application/xml", "content-length": str(len(answer.body))}

    return spoil


def reset(after: int = 0) -> Fault:
    """Reset the connection after so many bytes of the body; -1: before the answer's head."""
    return lambda answer: setattr(answer, "reset_after", after)


def stall(after: int = 0) -> Fault:
    """Fall silent after so many bytes of the body, until the proxy closes; -1: before the answer's head."""
    return lambda answer: setattr(answer, "stall_after", after)


def slow(bytes_per_s: float) -> Fault:
    """Send the body in small pieces."""
    return lambda answer: setattr(answer, "bytes_per_s", bytes_per_s)


def delay(seconds: float) -> Fault:
    """Answer late."""
    return lambda answer: setattr(answer, "pause_s", seconds)


def short(share: float = 0.5) -> Fault:
    """Announce the whole body, send a part of it, and close."""

    def spoil(answer: Answer) -> None:
        answer.body = answer.body[: int(len(answer.body) * share)]
        answer.keep_open = False

    return spoil


def fewer_bytes(share: float = 0.5) -> Fault:
    """Send a shorter range than was asked for, with headers that agree with it."""

    def spoil(answer: Answer) -> None:
        span = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", answer.headers.get("content-range", ""))
        if span is None:
            return
        answer.body = answer.body[: int(len(answer.body) * share)]
        answer.headers["content-length"] = str(len(answer.body))
        answer.headers["content-range"] = f"bytes {span[1]}-{int(span[1]) + len(answer.body) - 1}/{span[2]}"

    return spoil


def cut_listing() -> Fault:
    """End the listing's document in its middle, in a well-formed HTTP answer."""

    def spoil(answer: Answer) -> None:
        answer.body = answer.body[: len(answer.body) // 2]
        answer.headers["content-length"] = str(len(answer.body))

    return spoil


@dataclass
class _Rule:
    fault: Fault
    matches: Callable[[Asked], bool]
    left: float


@dataclass
class FaultyProxy:
    """An HTTP proxy in front of one server. `inject` says which answers to spoil, and how; `seen` is what came in."""

    upstream: str
    seen: list[Asked] = field(default_factory=list)
    drop_range: bool = False
    old_listings: bool = False
    """Answer each listing as it was last answered before this was set."""
    denied: Callable[[Asked], bool] = lambda _: False
    """Which requests are refused and never reach the server."""
    hung_up: int = 0
    _rules: list[_Rule] = field(default_factory=list)
    _listings: dict[str, Answer] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _closed: threading.Event = field(default_factory=threading.Event)
    _open: set[socket.socket] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        threading.Thread(target=self._accept, name="faulty-proxy", daemon=True).start()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def inject(
        self, fault: Fault, *, when: Callable[[Asked], bool] = lambda _: True, times: float = float("inf")
    ) -> None:
        """Spoil the next `times` answers to requests that match. The first rule that matches is used."""
        with self._lock:
            self._rules.append(_Rule(fault, when, times))

    def heal(self) -> None:
        """Take all faults back."""
        with self._lock:
            self._rules.clear()

    def count(self, what: Callable[[Asked], bool]) -> int:
        """How many requests like this came in."""
        return sum(map(what, list(self.seen)))

    def close(self) -> None:
        self._closed.set()
        self._listener.close()
        for each in list(self._open):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while not self._closed.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        self._open.add(client)
        host = self.upstream.removeprefix("http://")
        server = HTTPConnection(host, timeout=60)
        try:
            with client, contextlib.closing(server), client.makefile("rb") as reader:
                while not self._closed.is_set() and (asked := _read_head(reader)) is not None:
                    body = reader.read(int(asked.headers.get("content-length", "0")))
                    self.seen.append(asked)
                    answer = Answer(200, {}, b"") if self.denied(asked) else self._ask(server, asked, body)
                    if self.denied(asked):
                        status(403, "AccessDenied")(answer)
                    if asked.is_list:
                        answer = self._listed(asked, answer)
                    if (fault := self._fault(asked)) is not None:
                        fault(answer)
                    if not self._send(client, answer, asked.method == "HEAD"):
                        return
        except OSError:
            return
        finally:
            self._open.discard(client)

    def _ask(self, server: HTTPConnection, asked: Asked, body: bytes) -> Answer:
        headers = dict(asked.headers)
        if self.drop_range:
            headers.pop("range", None)
        server.putrequest(asked.method, asked.path, skip_host=True, skip_accept_encoding=True)
        for name, value in headers.items():
            server.putheader(name, value)
        server.endheaders(body or None)
        response: HTTPResponse = server.getresponse()
        data = response.read()
        kept = {name.lower(): value for name, value in response.getheaders()}
        kept.pop("transfer-encoding", None)
        kept.setdefault("content-length", str(len(data)))
        return Answer(response.status, kept, data)

    def _listed(self, asked: Asked, answer: Answer) -> Answer:
        if not self.old_listings:
            self._listings[asked.path] = replace(answer)
        return replace(self._listings.get(asked.path, answer))

    def _fault(self, asked: Asked) -> Fault | None:
        with self._lock:
            for rule in self._rules:
                if rule.left > 0 and rule.matches(asked):
                    rule.left -= 1
                    return rule.fault
        return None

    def _send(self, client: socket.socket, answer: Answer, head_only: bool) -> bool:
        self._closed.wait(answer.pause_s)
        lines = [f"HTTP/1.1 {answer.status} Any", *(f"{n}: {v}" for n, v in answer.headers.items())]
        if not answer.keep_open:
            lines.append("connection: close")
        if -1 in (answer.stall_after, answer.reset_after):
            return self._break(client, answer)
        client.sendall("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n")
        body = b"" if head_only else answer.body
        broken = answer.stall_after if answer.stall_after is not None else answer.reset_after
        for piece in _pieces(body if broken is None else body[:broken], answer.bytes_per_s):
            client.sendall(piece)
            if answer.bytes_per_s:
                self._closed.wait(len(piece) / answer.bytes_per_s)
        return answer.keep_open if broken is None else self._break(client, answer)

    def _break(self, client: socket.socket, answer: Answer) -> bool:
        if answer.stall_after is not None:
            while not self._closed.is_set() and not _gone(client):
                self._closed.wait(0.02)
            self.hung_up += not self._closed.is_set()
        else:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
            client.close()
        return False


def _gone(client: socket.socket) -> bool:
    """Whether the client has closed its end."""
    try:
        return client.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False


def _pieces(body: bytes, bytes_per_s: float | None) -> Iterator[bytes]:
    size = max(1, int(bytes_per_s / 20)) if bytes_per_s else max(1, len(body))
    for start in range(0, len(body), size):
        yield body[start : start + size]


def _read_head(reader: Any) -> Asked | None:
    first = reader.readline()
    if not first.strip():
        return None
    method, path, _ = first.decode("latin-1").split(" ", 2)
    headers: dict[str, str] = {}
    while (line := reader.readline().decode("latin-1").strip()) != "":
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    return Asked(method, path, headers)
