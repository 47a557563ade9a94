"""A `neurolake serve` process, and its RPCs as bytes: nothing on this side mends what is broken."""

from __future__ import annotations

import base64
import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import psutil
import pyarrow as pa

import neurolake
from flight.protocol import messages
from neurolake.home import read_server_file

PASSWORD = "a password for tests"
STARTS_WITHIN_S = 60
ANSWERS_WITHIN_S = 20
SERVICE = "/arrow.flight.protocol.FlightService/"
# Every RPC of the service, with whether the request and the answer are streams.
RPCS = {
    "Handshake": (True, True),
    "ListFlights": (False, True),
    "GetFlightInfo": (False, False),
    "PollFlightInfo": (False, False),
    "GetSchema": (False, False),
    "DoGet": (False, True),
    "DoPut": (True, True),
    "DoExchange": (True, True),
    "DoAction": (False, True),
    "ListActions": (False, True),
}


class Answer(NamedTuple):
    """What came back: the messages, the status, and every word sent along with it."""

    messages: list[bytes]
    code: grpc.StatusCode
    text: str


class Served:
    """A server process of its own, started again where it has died."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.log = home.parent / "server.log"
        self._run("init", str(home)).wait(STARTS_WITHIN_S)
        self._start()

    def _run(self, *arguments: str) -> subprocess.Popen[bytes]:
        ours = {name: value for name, value in os.environ.items() if not name.startswith("NEUROLAKE_")}
        root = str(Path(neurolake.__file__).parents[1])
        environment = {**ours, "NEUROLAKE_ADMIN_PASSWORD": PASSWORD, "PYTHONPATH": root, "HOME": str(self.home.parent)}
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "neurolake", *arguments],
                env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.home.parent,
            )  # fmt: skip

    def _start(self) -> None:
        self.process = self._run("serve", str(self.home), "--port", "0", "--http-port", "0")
        until = time.monotonic() + STARTS_WITHIN_S
        while (info := read_server_file(self.home)) is None or info.pid != self.process.pid:
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < until, self.log.read_text()
            time.sleep(0.02)
        self.uri = info.uri
        self.target = f"{info.host}:{info.port}"

    def is_alive(self) -> bool:
        """Whether the process runs; one that has died is started anew, so that the next example finds one."""
        if self.process.poll() is None:
            return True
        self._start()
        return False

    def resident_bytes(self) -> int:
        """What it holds in memory."""
        return int(psutil.Process(self.process.pid).memory_info().rss)

    def close(self) -> None:
        """End the process; it must still know how to."""
        self.process.terminate()
        assert self.process.wait(STARTS_WITHIN_S) == 0, self.log.read_text()


class Raw:
    """One session: calls by their name, with requests of any bytes."""

    def __init__(self, served: Served) -> None:
        self.channel = grpc.insecure_channel(
            served.target, options=[("grpc.max_receive_message_length", -1), ("grpc.use_local_subchannel_pool", 1)]
        )
        basic = base64.b64encode(f"admin:{PASSWORD}".encode()).decode()
        self.headers: tuple[tuple[str, str | bytes], ...] = (("authorization", f"Basic {basic}"),)
        call = self._call("Handshake", [b""])
        list(call)
        sent = [*call.initial_metadata(), *call.trailing_metadata()]
        token = next(value for name, value in sent if name == "authorization")
        self.headers = (("authorization", token),)

    def _call(self, rpc: str, requests: Sequence[bytes]) -> Any:
        streams_in, streams_out = RPCS[rpc]
        kind = f"{'stream' if streams_in else 'unary'}_{'stream' if streams_out else 'unary'}"
        made = getattr(self.channel, kind)(SERVICE + rpc)
        sent: Any = iter(requests) if streams_in else b"".join(requests)
        options: dict[str, Any] = {"metadata": self.headers, "timeout": ANSWERS_WITHIN_S}
        return made(sent, **options) if streams_out else made.with_call(sent, **options)

    def ask(self, rpc: str, *requests: bytes) -> Answer:
        """Make one call; its answer, whatever that is. A request that is no stream is all of them joined."""
        received: list[bytes] = []
        try:
            call = self._call(rpc, requests)
            if RPCS[rpc][1]:
                received.extend(call)
            else:
                received.append(call[0])
        except grpc.RpcError as error:
            along = [*(error.initial_metadata() or ()), *(error.trailing_metadata() or ())]
            return Answer(received, error.code(), f"{error.details()} {along}")
        return Answer(received, grpc.StatusCode.OK, "")

    def break_off(self, rpc: str, *requests: bytes) -> None:
        """Begin a call and leave before its last message, as a client does that fails or is killed."""
        halted = threading.Event()

        def halting() -> Iterator[bytes]:
            yield from requests
            halted.wait(ANSWERS_WITHIN_S)

        made = self.channel.stream_stream(SERVICE + rpc)
        call = made(halting(), metadata=self.headers, timeout=ANSWERS_WITHIN_S)
        time.sleep(0.01)
        call.cancel()
        halted.set()

    def close(self) -> None:
        """End the session."""
        self.ask("DoAction", action("CloseSession", b""))
        self.channel.close()


@contextlib.contextmanager
def session(served: Served) -> Iterator[Raw]:
    """A session that is closed again."""
    raw = Raw(served)
    try:
        yield raw
    finally:
        raw.close()


# Flight's outermost messages


def field(number: int, value: bytes) -> bytes:
    """A protobuf field of bytes."""
    return varint(number << 3 | 2) + varint(len(value)) + value


def varint(number: int) -> bytes:
    """A protobuf number."""
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def descriptor(command: bytes) -> bytes:
    """A FlightDescriptor."""
    return b"\x08\x02" + field(2, command)


def ticket(data: bytes) -> bytes:
    """A Ticket."""
    return field(1, data)


def action(name: str, body: bytes) -> bytes:
    """An Action."""
    return field(1, name.encode()) + field(2, body)


def tickets_of(info: bytes) -> list[bytes]:
    """The tickets of a FlightInfo."""
    return [endpoint.ticket.ticket for endpoint in messages.message("FlightInfo").FromString(info).endpoint]


def flight_data(command: bytes | None, header: bytes, body: bytes) -> bytes:
    """A FlightData: an Arrow message, the first of an upload with what it is for."""
    first = b"" if command is None else field(1, descriptor(command))
    return first + field(2, header) + (field(1000, body) if body else b"")


def arrow_messages(table: pa.Table, options: pa.ipc.IpcWriteOptions | None = None) -> list[tuple[bytes, bytes]]:
    """A table as the Arrow messages of a stream, each with its header and its body."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=options) as writer:
        writer.write_table(table)
    found = pa.ipc.MessageReader.open_stream(sink.getvalue())
    return [
        (bytes(one.metadata), b"" if one.body is None else bytes(one.body)) for one in iter(lambda: _next(found), None)
    ]


def _next(reader: pa.ipc.MessageReader) -> Any:
    try:
        return reader.read_next_message()
    except StopIteration:
        return None
