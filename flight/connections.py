"""Whose connections are open: the sockets of this process, and who is at their other end."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import unquote

DESCRIPTORS: Final = Path("/dev/fd")


class Address(NamedTuple):
    """One end of a connection."""

    host: IPv4Address | IPv6Address
    port: int


def sockets() -> Iterator[socket.socket]:
    """This process's network sockets, each as a duplicate that is closed when the next one is asked for."""
    for path in DESCRIPTORS.iterdir() if DESCRIPTORS.is_dir() else ():
        with suppress(OSError):  # the descriptor of the listing itself is gone by now
            copy = os.dup(int(path.name))
            if not stat.S_ISSOCK(os.fstat(copy).st_mode):
                os.close(copy)
                continue
            with socket.socket(fileno=copy) as one:
                if one.family in (socket.AF_INET, socket.AF_INET6):
                    yield one


def listens(one: socket.socket) -> bool:
    """Whether a socket waits for connections."""
    return bool(one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))


def connected() -> set[Address] | None:
    """Who is at the other end of each connection of a server; None where the system does not show that."""
    found, is_shown = set(), False
    for one in sockets():
        with suppress(OSError):  # it has been closed
            if listens(one):
                is_shown = True
                continue
            host, port, *_ = one.getpeername()
            found.add(_address(host, port))
    return found if is_shown else None


def address_of(peer: str) -> Address | None:
    """What gRPC calls a peer, as an address; None where it has none.

    >>> address_of("ipv4:127.0.0.1:4711"), address_of("ipv6:%5B::1%5D:4711")
    (Address(host=IPv4Address('127.0.0.1'), port=4711), Address(host=IPv6Address('::1'), port=4711))
    >>> address_of("unix:")
    """
    host, _, port = unquote(peer).partition(":")[2].rpartition(":")
    try:
        return _address(host.strip("[]"), int(port))
    except ValueError:
        return None


def _address(host: str, port: int) -> Address:
    ip = ip_address(host.partition("%")[0])
    return Address((isinstance(ip, IPv6Address) and ip.ipv4_mapped) or ip, port)
