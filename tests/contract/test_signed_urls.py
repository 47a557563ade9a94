"""A signed URL is a secret, and so is a password before a host: they are read with, and shown to nobody."""

from __future__ import annotations

import functools
import http.server
import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from contract.clients import Client

SECRETS = ("hush-password", "hush-credential", "hush-signature")


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def signed(data: Path) -> Iterator[str]:
    """The URL of a file, with a password and a signature in it."""
    pq.write_table(pa.table({"a": [1, 2, 3]}), data / "x.parquet")
    handler = functools.partial(_Quiet, directory=str(data))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        query = f"X-Amz-Credential={SECRETS[1]}&X-Amz-Signature={SECRETS[2]}"
        yield f"http://me:{SECRETS[0]}@127.0.0.1:{server.server_port}/x.parquet?{query}"
        server.shutdown()


def told(*shown: object) -> None:
    for secret in SECRETS:
        assert secret not in str(shown)


def test_of_a_source(client: Client, signed: str) -> None:
    ((name, form, location, columns),) = client.rows(f"CALL neurolake.register('w', '{signed}')")
    told(location)
    assert (name, form, columns) == ("w", "parquet", 1)
    assert location.startswith("http://***@127.0.0.1:") and location.endswith("/x.parquet?***")
    assert client.value("SELECT location FROM neurolake.sources") == location
    told(client.rows("FROM neurolake.sources"), client.rows("FROM neurolake.columns"))
    assert client.value("SELECT sum(a) FROM w") == 6
    for explain in ("EXPLAIN", "EXPLAIN ANALYZE"):
        rows = client.rows(f"{explain} SELECT * FROM w WHERE a::VARCHAR <> '{signed}'")
        told(rows)
        assert f"read_parquet('{location}'" in dict(rows)["neurolake_sql"]


@pytest.mark.parametrize(
    "before",
    ["SELECT sum(a) FROM read_parquet('{}')", "SELECT CAST('{}' AS INTEGER) FROM range(9)", "SELECT a +* 1 FROM '{}'",
     "SELECT length('{}'), nothing(1)", "CALL neurolake.register('v', '{}', format => 'never')",
     "ATTACH '{}' AS elsewhere (TYPE never)"],
)  # fmt: skip
def test_in_a_statement(client: Client, caplog: pytest.LogCaptureFixture, signed: str, before: str) -> None:
    caplog.set_level(logging.DEBUG)
    failure = client.try_to(before.format(signed))
    told(failure)
    client.undo_failed()
    mine = "SELECT sql, error_code FROM neurolake.queries ORDER BY started_at DESC, query_id DESC LIMIT 3"
    kept = client.rows(mine)
    told(kept, caplog.text)
    assert any(before.partition("'")[0] in sql and "***" in sql for sql, _ in kept)
    told(client.rows("FROM neurolake.audit"))


def test_bound_where_something_else_belongs(client: Client, signed: str) -> None:
    failure = client.failure("CALL neurolake.register(?, 'x')", [signed])
    told(failure)
    assert "/x.parquet?***" in failure.text


def test_while_it_runs(client: Client, signed: str) -> None:
    # An address is hidden as a whole, as personal, and a text with a password as secret.
    named = signed.replace("me:hush-password@127.0.0.1", "localhost")
    rows = client.rows(f"SELECT sql FROM neurolake.running WHERE sql <> '{named}'")
    told(rows)
    assert any("://localhost" in sql and "/x.parquet?***" in sql for (sql,) in rows)
