"""`run/server.json`: where the process that has a home open serves it, and the owner's token."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from neurolake.home.files import write_atomic

__all__ = ["ServerInfo", "read", "write"]

_ANYWHERE = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}  # noqa: S104
"""Addresses that mean every interface cannot be connected to."""


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """Where a home is served, and the token that makes its owner known there.

    Attributes:
        pid: the serving process.
        host: the address it listens on, as set.
        port: the Flight SQL port.
        http_port: the port of health and metrics; None when there is none.
        token: the owner's bearer token; the server makes a new one from time to time.
        started_at: when it began to serve, ISO 8601 in UTC.
        tls: whether the Flight SQL port speaks TLS.
        http_tls: whether the HTTP port does.

    >>> ServerInfo(pid=1, host="::", port=31337, http_port=None, token="t", started_at="").uri
    'grpc://[::1]:31337'
    """

    pid: int
    host: str
    port: int
    http_port: int | None
    token: str = field(repr=False)
    started_at: str
    tls: bool = False
    http_tls: bool = False

    @property
    def uri(self) -> str:
        """The address to connect to from this machine."""
        host = _ANYWHERE.get(self.host, self.host)
        return f"grpc{'+tls' if self.tls else ''}://{f'[{host}]' if ':' in host else host}:{self.port}"


def _path(home: Path) -> Path:
    return home / "run" / "server.json"


def write(home: Path, info: ServerInfo) -> None:
    """Write the file, whole, readable by its owner alone."""
    write_atomic(_path(home), json.dumps(asdict(info)), mode=0o600)


def read(home: Path) -> ServerInfo | None:
    """What the file says, whether or not that process still runs; None when there is none to read."""
    try:
        content = json.loads(_path(home).read_bytes())
        return ServerInfo(**content) if isinstance(content, dict) else None
    except (OSError, ValueError, TypeError):
        return None


def remove(home: Path) -> None:
    """Remove the file, if it is there."""
    _path(home).unlink(missing_ok=True)
