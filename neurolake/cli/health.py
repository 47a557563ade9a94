"""`health`: does the lake work? Every part is really tried."""

from __future__ import annotations

import http.client
import ssl
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from neurolake import errors
from neurolake.cli import exits
from neurolake.cli.target import Command, Target, on_a_lake

if TYPE_CHECKING:
    from neurolake.home import ServerInfo

PROBE_TIMEOUT_S = 10.0


@dataclass
class Check:
    """One part and how it fared."""

    part: str
    ok: bool = True
    ms: float = 0.0
    detail: str = ""


@click.command(cls=Command)
@on_a_lake
def health(target: Target, as_json: bool) -> int:
    """Try every part of a lake, and say which one fails.

    A served lake's server is asked for its own health, then a statement runs through it. A lake that is not served is
    opened here: its folder, its tables and its metadata are read, and its tmp folder is written to.

    \b
      neurolake health --lake sales
      neurolake health --uri grpc://lake.example.com:31337 --user monitor --json
    """
    checks: list[Check] = []
    code = exits.OK
    try:
        with closing(_probes(target)) as probes:
            for part, probe in probes:
                with _timed(part, checks) as check:
                    check.detail = probe()
    except errors.NeuroLakeError as error:
        code = exits.code_of(error)
    _show(checks, as_json)
    return code


def _probes(target: Target) -> Generator[tuple[str, Callable[[], str]]]:
    """The parts in the order they depend on each other; one that fails ends the round."""
    served = None
    if target.uri is None:
        yield "folder", lambda: str(target.folder())
        served = target.server()
    if served is not None:
        if served.http_port is not None:
            for path in ("/livez", "/readyz"):
                yield f"server {path}", partial(_ask, served, path)
    elif target.uri is None:
        yield "settings", lambda: _settings(target)
    yield from _statements(target)


def _settings(target: Target) -> str:
    from neurolake.config import load

    return f"{len(load(target.folder()).origins)} set"


def _statements(target: Target) -> Generator[tuple[str, Callable[[], str]]]:
    from neurolake.lake import EmbeddedLake

    lake = None

    def connect() -> str:
        nonlocal lake
        lake = target.open()
        return repr(lake)

    def ask(text: str) -> str:
        assert lake is not None
        return " ".join(map(str, lake.sql(text).fetchone() or ()))

    yield "connection", connect
    assert lake is not None
    with lake:
        yield "engine", lambda: ask("SELECT 'a statement runs'")
        yield "metadata", lambda: ask("SELECT count(*), 'sources' FROM neurolake.sources")
        if isinstance(lake, EmbeddedLake):
            home = lake.engine.home
            yield "tmp folder", lambda: _write_to(home.tmp)


def _write_to(folder: Path) -> str:
    from neurolake.home import home_problem

    probe = folder / "health"
    try:
        probe.write_bytes(b"x")
        probe.unlink()
    except OSError as error:
        raise home_problem(folder, error) from None
    return str(folder)


def _ask(served: ServerInfo, path: str) -> str:
    host = served.uri.partition("://")[2].rpartition(":")[0].strip("[]")
    connection = http.client.HTTPConnection(host, served.http_port, timeout=PROBE_TIMEOUT_S)
    if served.http_tls:
        # Nothing secret is sent, and the address comes from a file that only the owner can write.
        unverified = ssl._create_unverified_context()  # noqa: S323
        connection = http.client.HTTPSConnection(host, served.http_port, timeout=PROBE_TIMEOUT_S, context=unverified)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read().decode(errors="replace").strip()
    except (OSError, http.client.HTTPException) as error:
        raise errors.Unavailable(f"{path} does not answer: {error}.", code="unreachable") from None
    finally:
        connection.close()
    if answer.status != http.client.OK:
        raise errors.Unavailable(f"{path} says {answer.status}: {body}", code="not_ready")
    return body


@contextmanager
def _timed(part: str, checks: list[Check]) -> Iterator[Check]:
    check = Check(part)
    checks.append(check)
    started = time.perf_counter()
    try:
        yield check
    except errors.NeuroLakeError as error:
        check.ok, check.detail = False, str(error)
        raise
    finally:
        check.ms = round((time.perf_counter() - started) * 1000, 1)


def _show(checks: list[Check], as_json: bool) -> None:
    import json

    ok = all(check.ok for check in checks)
    if as_json:
        click.echo(json.dumps({"healthy": ok, "checks": [asdict(check) for check in checks]}, ensure_ascii=False))
        return
    for check in checks:
        mark = click.style("ok    ", fg="green") if check.ok else click.style("FAILED", fg="red")
        click.echo(f"{mark}  {check.part:<16} {check.ms:8.1f} ms  {check.detail}")
