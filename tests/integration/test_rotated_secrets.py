"""Secrets of storage that change while a lake is served: what is read behind them goes on, and nothing is restarted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from contract.clients import PASSWORD as ADMIN_PASSWORD
from contract.clients import Flight, failure_of
from contract.conftest import uri
from file_servers import KNOWN_HOSTS, PASSWORD, PASSWORD_FILE, USER, serving
from storage import SECRET_KEY, S3Server, unique

from flight.service import Service
from neurolake.config import load
from neurolake.home import Home


@pytest.fixture
def served(tmp_path: Path) -> Path:
    """The folder that a file server shows."""
    (tmp_path / "served" / "keep").mkdir(parents=True)
    (tmp_path / "served" / "keep" / "x.csv").write_text("v\n42\n")
    return tmp_path / "served"


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """The file that the lake's settings name."""
    path = tmp_path / "secret"
    path.write_text(PASSWORD)
    return path


def table_of(kind: str, served: Path, secret: Path, port: int) -> tuple[str, dict[str, str]]:
    """The prefix of a server, and how the settings say to reach it."""
    login = {"username": USER, "password": f"file:{secret}"}
    if kind == "webdav":
        return "webdav://keep", {"base_url": f"http://127.0.0.1:{port}", **login}
    return f"sftp://127.0.0.1:{port}/keep", {"known_hosts": str(served.with_name(KNOWN_HOSTS)), **login}


@contextmanager
def running(folder: Path, prefix: str, values: dict[str, str], retries: int = 2) -> Iterator[Flight]:
    """The stock driver at a server of a lake that reaches one prefix."""
    home = Home.open(folder, create=True)
    with (home.path / "neurolake.toml").open("a") as settings:
        settings.write(f'\n[storage."{prefix}"]\n')
        settings.writelines(f'{key} = "{value}"\n' for key, value in values.items())
    flags = {"port": 0, "http_port": 0, "admin_password": ADMIN_PASSWORD, "shutdown_grace_s": 0}
    service = Service(home, load(home.path, flags={**flags, "storage_retries": retries}))
    service.start()
    try:
        with closing(Flight(uri(service), autocommit=True)) as flight:
            yield flight
    finally:
        service.stop()


def code_of(ask: Callable[[], Any]) -> str:
    with pytest.raises(Exception) as caught:
        ask()
    return failure_of(caught.value).code


def seen(flight: Flight, location: str) -> object:
    return flight.value(f"SELECT v FROM '{location}'")


@pytest.mark.parametrize("kind", ["sftp", "webdav"])
def test_a_password_that_was_wrong_is_read_again(tmp_path: Path, served: Path, secret: Path, kind: str) -> None:
    with serving(kind, served) as port:
        prefix, values = table_of(kind, served, secret, port)
        with running(tmp_path / "lake", prefix, values) as flight:
            secret.write_text("a slip")
            assert code_of(lambda: seen(flight, f"{prefix}/x.csv")) == "source_credentials"
            secret.write_text(PASSWORD)
            assert seen(flight, f"{prefix}/x.csv") == 42


def test_a_password_that_the_server_changes_under_a_client_is_read_again(
    tmp_path: Path, served: Path, secret: Path
) -> None:
    with serving("webdav", served) as port:
        prefix, values = table_of("webdav", served, secret, port)
        with running(tmp_path / "lake", prefix, values) as flight:
            assert seen(flight, f"{prefix}/x.csv") == 42
            (served / "keep" / "y.csv").write_text("v\n43\n")
            served.with_name(PASSWORD_FILE).write_text("the next one")
            assert code_of(lambda: seen(flight, f"{prefix}/y.csv")) == "source_credentials"
            secret.write_text("the next one")
            assert seen(flight, f"{prefix}/y.csv") == 43


def test_a_server_whose_connection_broke_is_logged_into_again(tmp_path: Path, served: Path, secret: Path) -> None:
    with ExitStack() as first:
        port = first.enter_context(serving("sftp", served))
        prefix, values = table_of("sftp", served, secret, port)
        with running(tmp_path / "lake", prefix, values) as flight:
            assert seen(flight, f"{prefix}/x.csv") == 42
            first.close()
            (served / "keep" / "y.csv").write_text("v\n43\n")
            served.with_name(PASSWORD_FILE).write_text("the next one")
            secret.write_text("the next one")
            with serving("sftp", served, port):
                assert seen(flight, f"{prefix}/y.csv") == 43


def test_a_connection_that_broke_is_left_where_nothing_is_tried_again(
    tmp_path: Path, served: Path, secret: Path
) -> None:
    with ExitStack() as first:
        port = first.enter_context(serving("sftp", served))
        prefix, values = table_of("sftp", served, secret, port)
        with running(tmp_path / "lake", prefix, values, retries=0) as flight:
            assert seen(flight, f"{prefix}/x.csv") == 42
            first.close()
            (served / "keep" / "y.csv").write_text("v\n43\n")
            with serving("sftp", served, port):
                code_of(lambda: seen(flight, f"{prefix}/y.csv"))
                assert seen(flight, f"{prefix}/y.csv") == 43


@pytest.mark.parametrize("driver", ["obstore", "fsspec"])
def test_a_key_of_a_bucket_is_read_again(tmp_path: Path, secret: Path, s3_server: S3Server, driver: str) -> None:
    bucket = unique("rotated")
    s3_server.put(bucket, "x.csv", b"v\n42\n")
    values = {**s3_server.settings(), "driver": driver, "secret_access_key": f"file:{secret}"}
    with running(tmp_path / "lake", f"s3://{bucket}", values) as flight:
        assert code_of(lambda: seen(flight, f"s3://{bucket}/x.csv")) in ("source_credentials", "source_denied")
        secret.write_text(SECRET_KEY)
        assert seen(flight, f"s3://{bucket}/x.csv") == 42
