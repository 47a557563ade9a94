"""Files on web servers: with ranges and without, replaced, spoiled, refused."""

from __future__ import annotations

import http.server
import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path
from urllib.parse import unquote

import faulty_proxy
import pytest
from contract.clients import Flight
from contract.conftest import serving, uri
from faulty_proxy import Asked, Fault, FaultyProxy
from storage import Lakeside, fingerprint

from neurolake.errors import NeuroLakeError
from neurolake.sources.storage import StorageOptions

QUICK = StorageOptions(connect_timeout_s=1, request_timeout_s=5, stall_timeout_s=0.3, retries=3)


@dataclass
class WebServer:
    """What it serves by path, and how: tags, dates, ranges, what a request must bring."""

    files: dict[str, bytes] = field(default_factory=dict)
    ranges: bool = True
    tag: Callable[[bytes], str] | None = lambda data: f'"{hash(data):x}"'
    dated: bool = True
    length: bool = True
    authorization: str = ""
    redirect: str = ""
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    modified: float = 1_700_000_000.0

    def start(self) -> str:
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return f"http://127.0.0.1:{self._server.server_port}"

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _handler(web: WebServer) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            web.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
            path = unquote(self.path.split("?")[0])
            if web.authorization and self.headers.get("Authorization") != web.authorization:
                return self.answer(401, b"")
            if web.redirect and not path.startswith(web.redirect):
                return self.answer(302, b"", {"Location": web.redirect + path})
            data = web.files.get(path.removeprefix(web.redirect))
            if data is None:
                return self.answer(403 if "secret" in path else 404, b"<h1>no</h1>")
            extra = {"ETag": web.tag(data)} if web.tag else {}
            extra |= {"Last-Modified": formatdate(web.modified, usegmt=True)} if web.dated else {}
            if self.headers.get("If-Match", extra.get("ETag")) != extra.get("ETag"):
                return self.answer(412, b"", extra)
            span = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
            if not web.ranges or span is None:
                return self.answer(200, data, extra)
            start, end = int(span[1]), min(int(span[2]) + 1, len(data))
            if start >= len(data):
                return self.answer(416, b"", {**extra, "Content-Range": f"bytes */{len(data)}"})
            span_sent = f"bytes {start}-{end - 1}/{len(data)}"
            return self.answer(206, data[start:end], {**extra, "Content-Range": span_sent})

        def answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            if web.length:
                self.send_header("Content-Length", str(len(body)))
            else:
                self.send_header("Connection", "close")
                self.close_connection = True
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler


@pytest.fixture
def web(tpch_folder: Path) -> Iterator[WebServer]:
    made = WebServer({"/orders.parquet": (tpch_folder / "orders.parquet").read_bytes()})
    yield made
    made.stop()


@pytest.fixture
def lake() -> Iterator[Lakeside]:
    made = Lakeside({}, QUICK)
    yield made
    made.close()


@pytest.fixture
def local(tpch_folder: Path) -> str:
    return f"'{tpch_folder / 'orders.parquet'}'"


class TestAnswers:
    @pytest.mark.parametrize(
        "how",
        [
            {},
            {"tag": lambda data: f'W/"{hash(data):x}"'},
            {"tag": None},
            {"tag": None, "dated": False},
            {"ranges": False},
            {"ranges": False, "tag": None},
            {"ranges": False, "tag": None, "dated": False, "length": False},
            {"redirect": "/elsewhere"},
        ],
        ids=["tags", "weak tags", "dates", "neither", "no ranges", "no ranges, dates", "nothing at all", "redirect"],
    )
    def test_the_same_as_of_the_local_file(
        self, lake: Lakeside, web: WebServer, local: str, how: dict[str, object]
    ) -> None:
        for name, value in how.items():
            setattr(web, name, value)
        url = f"{web.start()}/orders.parquet"
        lake.storage.refresh(url)
        expected = lake.rows(fingerprint(local))
        with ThreadPoolExecutor(3) as pool:
            queries = [pool.submit(lake.rows, fingerprint(f"'{url}'")) for _ in range(3)]
            assert [query.result() for query in queries] == [expected] * 3

    def test_csv_and_json(self, lake: Lakeside, web: WebServer) -> None:
        web.files |= {"/a b/x+1.csv": b"a,b\n1,2\n3,4\n", "/x.json": b'{"a": 1}\n{"a": 2}\n', "/empty.csv": b""}
        base = web.start()
        assert lake.rows(f"SELECT sum(a), sum(b) FROM read_csv('{base}/a b/x+1.csv')") == [(4, 6)]
        assert lake.rows(f"SELECT sum(a), sum(b) FROM read_csv('{base}/a%20b/x+1.csv')") == [(4, 6)]
        assert lake.rows(f"SELECT sum(a) FROM read_json('{base}/x.json')") == [(3,)]
        assert lake.storage.refresh(f"{base}/empty.csv").entries[0].size == 0

    def test_several_files(self, lake: Lakeside, web: WebServer, local: str) -> None:
        base = web.start()
        web.files["/more.parquet"] = web.files["/orders.parquet"]
        both = f"['{base}/orders.parquet', '{base}/more.parquet']"
        assert lake.rows(f"SELECT count(*) FROM read_parquet({both})") == [(300_000,)]

    def test_a_signed_url_arrives_as_it_was_signed(self, lake: Lakeside, web: WebServer) -> None:
        query = "X-Amz-Credential=AK%2F2026%2Fs3&sig=a%2Bb%3D&note=x+y~z"
        url = f"{web.start()}/orders.parquet?{query}"
        assert lake.rows(f"SELECT count(*) FROM read_parquet('{url}')") == [(150_000,)]
        assert {path for path, _ in web.asked} == {f"/orders.parquet?{query}"}


class TestRequests:
    def test_one_look_a_statement(self, lake: Lakeside, web: WebServer) -> None:
        url = f"{web.start()}/orders.parquet"
        lake.storage.refresh(url)
        lake.rows(f"SELECT count(*) FROM '{url}'")
        assert [headers["range"] == "bytes=0-0" for _, headers in web.asked].count(True) == 1

    def test_without_ranges_one_download_until_it_changes(self, lake: Lakeside, web: WebServer, local: str) -> None:
        web.ranges = False
        url = f"{web.start()}/orders.parquet"
        expected = lake.rows(fingerprint(local))
        for _ in range(3):
            lake.storage.refresh(url)
            assert lake.rows(fingerprint(f"'{url}'")) == expected
        assert len(web.asked) == 3
        web.files["/orders.parquet"] = b"not the same"
        lake.storage.refresh(url)
        assert "No magic bytes found at end of file" in lake.problem(f"FROM '{url}'").message

    @pytest.mark.parametrize(
        ("table", "header"),
        [
            ({"token": "env:WEB_TOKEN"}, "Bearer the-secret-token"),
            ({"username": "me", "password": "env:WEB_TOKEN"}, "Basic bWU6dGhlLXNlY3JldC10b2tlbg=="),
        ],
    )
    def test_credentials_by_prefix(
        self, web: WebServer, monkeypatch: pytest.MonkeyPatch, table: dict[str, str], header: str
    ) -> None:
        monkeypatch.setenv("WEB_TOKEN", "the-secret-token")
        web.authorization = header
        base = web.start()
        lake = Lakeside({f"{base}/orders.parquet": table}, QUICK)
        try:
            assert lake.rows(f"SELECT count(*) FROM '{base}/orders.parquet'") == [(150_000,)]
            error = lake.problem(f"FROM '{base}/other.parquet'")
            assert error.code == "source_credentials"
        finally:
            lake.close()


class TestErrors:
    @pytest.mark.parametrize(
        ("path", "code"),
        [
            ("/nothing.parquet", "source_missing"),
            ("/secret.parquet", "source_denied"),
            ("/*.parquet", "not_supported"),
            ("/a/../orders.parquet", "location_invalid"),
            ("/a/%2e%2e/orders.parquet", "location_invalid"),
        ],
    )
    def test_wrong_places(self, lake: Lakeside, web: WebServer, path: str, code: str) -> None:
        url = web.start() + path
        with pytest.raises(NeuroLakeError) as caught:
            lake.storage.refresh(url)
        for error in (caught.value, lake.problem(f"FROM read_parquet('{url}')")):
            assert error.code == code
            assert error.next_step

    def test_nobody_there(self, lake: Lakeside) -> None:
        assert lake.problem("FROM 'http://127.0.0.1:1/x.parquet'").code == "source_unreachable"

    def test_no_query_string_or_password_in_any_message(self, lake: Lakeside, web: WebServer) -> None:
        address = web.start().removeprefix("http://")
        for path in ("nothing.parquet", "secret.parquet"):
            url = f"http://me:the-password@{address}/{path}?X-Amz-Signature=the-signature"
            error = lake.problem(f"FROM read_parquet('{url}')")
            assert f"{address}/{path}" in error.message
            assert not any(secret in f"{error} {error!r}" for secret in ("the-password", "the-signature", "X-Amz"))

    def test_a_download_has_a_limit(self, web: WebServer) -> None:
        web.ranges = False
        url = f"{web.start()}/orders.parquet"
        lake = Lakeside({}, StorageOptions(download_bytes_max=1_000_000))
        try:
            for _ in range(2):
                error = lake.problem(f"FROM '{url}'")
                assert (error.code, "storage_download_bytes_max" in error.message) == ("source_too_large", True)
                web.length = False
        finally:
            lake.close()


class TestReplaced:
    @pytest.mark.parametrize("tag", [lambda data: f'"{hash(data):x}"', lambda data: f'W/"{hash(data):x}"', None])
    def test_between_two_reads(
        self, lake: Lakeside, web: WebServer, tpch_folder: Path, tag: Callable[[bytes], str] | None
    ) -> None:
        web.tag = tag
        old = web.files["/orders.parquet"]
        url = f"{web.start()}/orders.parquet"
        lake.storage.refresh(url)
        lake.rows(f"SELECT count(*) FROM '{url}'")
        web.files["/orders.parquet"], web.modified = old[:-1] + b"X", web.modified + 1
        error = lake.problem(f"SELECT sum(o_totalprice) FROM '{url}'")
        assert (error.code, error.retryable) == ("source_changed", True)
        web.files["/orders.parquet"], web.modified = old, web.modified + 1
        lake.storage.refresh(url)
        assert lake.rows(f"SELECT count(o_comment) FROM '{url}'") == [(150_000,)]


FAULTS: dict[str, Fault] = {
    "503": faulty_proxy.status(503),
    "429": faulty_proxy.status(429),
    "reset before the answer": faulty_proxy.reset(-1),
    "reset in the answer": faulty_proxy.reset(10),
    "body ends early": faulty_proxy.short(),
    "range comes back shorter": faulty_proxy.fewer_bytes(),
    "silent before the answer": faulty_proxy.stall(-1),
    "silent in the answer": faulty_proxy.stall(10),
}


def is_read(asked: Asked) -> bool:
    return asked.range not in (None, (0, 1))


IN_SHORT = ["503", "reset in the answer", "range comes back shorter"]
ALL = [name if name in IN_SHORT else pytest.param(name, marks=pytest.mark.faults) for name in FAULTS]


class TestFaults:
    @pytest.fixture
    def before(self, web: WebServer) -> Iterator[FaultyProxy]:
        made = FaultyProxy(web.start())
        yield made
        made.close()

    @pytest.mark.parametrize("name", ALL)
    def test_passing_ones(self, lake: Lakeside, before: FaultyProxy, local: str, name: str) -> None:
        before.inject(FAULTS[name], when=is_read, times=3)
        before.inject(FAULTS[name], when=lambda asked: is_read(asked) and before.count(is_read) > 7, times=2)
        assert lake.rows(fingerprint(f"'{before.endpoint}/orders.parquet'")) == lake.rows(fingerprint(local))

    @pytest.mark.parametrize("name", ALL)
    def test_lasting_ones(self, lake: Lakeside, before: FaultyProxy, name: str) -> None:
        before.inject(FAULTS[name], when=is_read)
        error = lake.problem(f"SELECT count(*) FROM '{before.endpoint}/orders.parquet'")
        assert error.code in ("source_unreachable", "source_truncated")
        # On a connection that was used before, the client itself repeats what was reset before its answer, once.
        twice = 2 if name == "reset before the answer" else 1
        assert 1 + QUICK.retries <= before.count(is_read) <= twice * (1 + QUICK.retries)

    @pytest.mark.parametrize("fault", [faulty_proxy.short(), faulty_proxy.reset(1000), faulty_proxy.status(500)])
    def test_a_download_that_breaks_off(
        self, lake: Lakeside, web: WebServer, before: FaultyProxy, local: str, fault: Fault
    ) -> None:
        web.ranges = False
        before.inject(fault, times=2)
        assert lake.rows(fingerprint(f"'{before.endpoint}/orders.parquet'")) == lake.rows(fingerprint(local))


def test_a_file_of_a_web_server_behind_a_served_lake(tmp_path: Path, web: WebServer, local: str) -> None:
    location = f"{web.start()}/orders.parquet"
    with serving(tmp_path) as service, closing(Flight(uri(service), autocommit=True)) as flight:
        flight.register("orders", location)
        assert flight.rows(fingerprint("orders")) == flight.rows(fingerprint(local))
        assert flight.failure("FROM 'http://127.0.0.1:1/none.parquet'").code == "source_unreachable"
