"""Files on web servers: ranges where the server gives them, else one download into a bounded temporary file.

A file is identified by its entity tag, or by its modification time where it has no tag, and every answer is compared
with what the statement began with. A server that ignores ranges is asked once for the whole file; it is kept in an
unnamed temporary file, asked for again by each statement that plans, and fetched again only if it has changed.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import os
import re
import ssl
import tempfile
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote, urlsplit

from neurolake import errors
from neurolake.sources import failures
from neurolake.sources.credentials import Resolve, StorageConfig, StorageConfigs
from neurolake.sources.listing import Entry, refuse_steps
from neurolake.sources.waiting import backoff_s

if TYPE_CHECKING:
    import aiohttp

    from neurolake.sources.storage import StorageOptions

COPIES_MAX = 16
"""How many files of servers without ranges are kept."""

_SPAN = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(\d+)")
_TRY_AGAIN = frozenset((408, 425, 429, 500, 502, 503, 504))
_ENCODED = re.compile(r"[!#-;=?-Z_a-z~%\[\]]+")

T = TypeVar("T")


class _TryAgain(Exception):
    """An attempt that failed in a way that may pass."""

    def __init__(self, failure: errors.SourceFailed) -> None:
        super().__init__()
        self.failure = failure


@dataclass(frozen=True)
class _Copy:
    """A whole file, because its server gives no parts of it."""

    file: IO[bytes]
    entry: Entry
    tag: str | None


class HttpStorage:
    """Looks at and reads files of web servers. All methods run on the request loop."""

    def __init__(self, configs: StorageConfigs, resolve: Resolve, options: StorageOptions) -> None:
        self._configs = configs
        self._resolve = resolve
        self._options = options
        self._session: aiohttp.ClientSession | None = None
        self._copies: OrderedDict[str, _Copy] = OrderedDict()

    async def look(self, location: str) -> Entry:
        """One file's size and tag, with one request for its first byte: unlike a HEAD, every server answers it.

        Raises:
            SourceFailed: `source_missing`, `source_credentials`, `source_denied`, `source_unreachable`.
            LimitReached: the server gives no ranges, and the file is larger than what is downloaded whole.
        """
        refuse_steps(location, unquote(urlsplit(location).path).replace("//", "/").lstrip("/"))
        return await self._retried(lambda: self._look(location))

    async def list(self, pattern: str) -> list[Entry]:
        """Refuse: HTTP has no listing."""
        raise errors.NotSupported(
            f"HTTP has no listing, so {failures.shown(pattern)} cannot be a pattern.",
            next_step="Name each file: read_parquet(['https://…', 'https://…']).",
        )

    async def read(self, entry: Entry, start: int, end: int) -> bytes:
        """The bytes from `start` to before `end`: all of them, of the version the entry names.

        Raises:
            SourceFailed: as `look`, `source_changed` and `source_truncated`.
        """
        copy = self._copies.get(entry.path)
        if copy is not None and copy.entry.version == entry.version:
            return os.pread(copy.file.fileno(), end - start, start)
        return await self._retried(lambda: self._read(entry, start, end))

    async def close(self) -> None:
        """Close connections and drop copies."""
        for location in list(self._copies):
            self._forget(location)
        if self._session is not None:
            await self._session.close()

    async def _retried(self, attempt: Callable[[], Awaitable[T]]) -> T:
        for number in range(self._options.retries + 1):
            try:
                return await attempt()
            except _TryAgain as problem:
                failure = problem.failure
            if number < self._options.retries:
                await asyncio.sleep(backoff_s(number))
        raise failure

    async def _look(self, location: str) -> Entry:
        async with self._get(location, {"Range": "bytes=0-0"}, whole=True) as answer:
            if answer.status == 200:
                return await self._download(location, answer)
            span = _SPAN.fullmatch(answer.headers.get("Content-Range", ""))
            if answer.status not in (206, 416) or span is None:
                raise failures.unreachable(location, f"the server answered {answer.status} without a size")
            await answer.read()  # so that the connection serves the next request
            return _entry(location, int(span[3]), answer)

    async def _read(self, entry: Entry, start: int, end: int) -> bytes:
        headers = {"Range": f"bytes={start}-{end - 1}"}
        if entry.version is not None and entry.version.startswith('"'):
            headers["If-Match"] = entry.version
        async with self._get(entry.path, headers) as answer:
            if answer.status in (200, 404, 410, 412, 416):
                raise failures.changed(entry.path)
            span = _SPAN.fullmatch(answer.headers.get("Content-Range", ""))
            if span is None or span[1] is None:
                raise failures.unreachable(entry.path, f"the server answered {answer.status} without a range")
            now = _entry(entry.path, int(span[3]), answer)
            if (now.size, now.version) != (entry.size, entry.version):
                raise failures.changed(entry.path)
            data = await answer.read()
        if (int(span[1]), len(data)) != (start, end - start):
            raise _TryAgain(failures.truncated(entry.path, f"{len(data)} bytes came for the {end - start} asked"))
        return data

    async def _download(self, location: str, answer: aiohttp.ClientResponse) -> Entry:
        entry = _entry(location, int(answer.headers.get("Content-Length", "-1")), answer)
        known = self._copies.get(location)
        if known is not None and entry.version == known.tag is not None and entry.size == known.entry.size:
            return known.entry
        with contextlib.ExitStack() as stack:
            file = stack.enter_context(tempfile.TemporaryFile(dir=self._options.temp_directory))
            size, digest = await self._save(location, answer, file)
            if entry.size not in (-1, size):
                raise _TryAgain(failures.truncated(location, f"{size} bytes came of {entry.size}"))
            stack.pop_all()
        kept = Entry(location, size, f"sha256:{digest}", entry.modified)
        self._forget(location)
        self._copies[location] = _Copy(file, kept, entry.version)
        if len(self._copies) > COPIES_MAX:
            self._forget(next(iter(self._copies)))
        return kept

    def _forget(self, location: str) -> None:
        if (copy := self._copies.pop(location, None)) is not None:
            copy.file.close()

    async def _save(self, location: str, answer: aiohttp.ClientResponse, file: IO[bytes]) -> tuple[int, str]:
        limit, size, digest = self._options.download_bytes_max, 0, hashlib.sha256()
        if int(answer.headers.get("Content-Length", "0")) > limit:
            raise _too_large(location, limit)
        async for piece in answer.content.iter_chunked(1 << 20):
            size += len(piece)
            if size > limit:
                raise _too_large(location, limit)
            digest.update(piece)
            file.write(piece)
        file.flush()
        return size, digest.hexdigest()

    def _get(self, location: str, headers: dict[str, str], *, whole: bool = False) -> _Answer:
        return _Answer(self, location, headers, whole)

    def session(self) -> aiohttp.ClientSession:
        """The client, made when first used."""
        import aiohttp

        if self._session is None:
            self._session = aiohttp.ClientSession(
                headers={"Accept-Encoding": "identity", "User-Agent": "neurolake"},
                auto_decompress=False,
                connector=aiohttp.TCPConnector(
                    limit=0
                ),  # DuckDB's threads are the limit; a silent host blocks no other
                trust_env=True,
            )
        return self._session

    def timeout(self, *, whole: bool) -> aiohttp.ClientTimeout:
        """A download of a whole file takes as long as bytes keep coming; any other request has its time."""
        import aiohttp

        options = self._options
        return aiohttp.ClientTimeout(
            total=None if whole else options.request_timeout_s,
            sock_connect=options.connect_timeout_s,
            sock_read=options.stall_timeout_s,
        )

    def access(self, location: str) -> tuple[dict[str, str], ssl.SSLContext | bool]:
        """The headers and certificates that the location's table asks for."""
        config = self._configs.of(location)
        return _authorization(config, self._resolve), _certificates(config)


class _Answer:
    """One request, its failures in our words: `_TryAgain` for what may pass, `SourceFailed` for what will not."""

    def __init__(self, storage: HttpStorage, location: str, headers: dict[str, str], whole: bool) -> None:
        self._storage = storage
        self._location = location
        self._headers = headers
        self._whole = whole
        self._request: Any = None

    async def __aenter__(self) -> aiohttp.ClientResponse:
        import aiohttp
        import yarl

        authorization, certificates = self._storage.access(self._location)
        # A signed URL must arrive as it was signed.
        url = yarl.URL(self._location, encoded=_ENCODED.fullmatch(self._location) is not None)
        self._request = self._storage.session().get(
            url,
            headers={**authorization, **self._headers},
            timeout=self._storage.timeout(whole=self._whole),
            ssl=certificates,
        )
        try:
            answer: aiohttp.ClientResponse = await self._request.__aenter__()
        except (aiohttp.ClientError, TimeoutError, ConnectionError) as problem:
            raise self._failure(problem) from None
        refused = _refused(answer.status, self._location)
        if refused is not None:
            await self._request.__aexit__(None, None, None)
            raise refused
        return answer

    async def __aexit__(self, kind: Any, problem: BaseException | None, trace: Any) -> None:
        import aiohttp

        await self._request.__aexit__(kind, problem, trace)
        if isinstance(problem, aiohttp.ClientError | TimeoutError | ConnectionError):
            raise self._failure(problem) from None

    def _failure(self, problem: Exception) -> _TryAgain | errors.SourceFailed:
        import aiohttp

        if isinstance(problem, aiohttp.InvalidURL):
            return failures.unreachable(self._location, "it is no URL", "Correct the URL.")
        if isinstance(problem, aiohttp.ClientConnectorCertificateError | aiohttp.ClientSSLError):
            return failures.unreachable(
                self._location, "its certificate is not trusted", "Give ca_file for this prefix."
            )
        if isinstance(problem, TimeoutError):
            return _TryAgain(failures.unreachable(self._location, "the server fell silent"))
        if isinstance(problem, aiohttp.ClientPayloadError):
            return _TryAgain(failures.truncated(self._location, "the answer broke off"))
        if isinstance(problem, aiohttp.ClientConnectorError):
            return _TryAgain(failures.unreachable(self._location, "there is no connection to its server"))
        return _TryAgain(failures.unreachable(self._location, "the connection broke"))


def _refused(status: int, location: str) -> _TryAgain | errors.SourceFailed | None:
    if status in _TRY_AGAIN:
        return _TryAgain(failures.unreachable(location, f"the server answered {status}"))
    if status in (401, 407):
        where = f'[storage."{failures.shown(location)}"]'
        next_step = f"Give token, or username and password, in {where}."
        return failures.bad_credentials(location, f"the server answered {status}", next_step)
    if status == 403:
        return failures.denied(location)
    if status in (404, 410):
        return failures.missing(location)
    if status >= 400 and status not in (412, 416):
        return failures.unreachable(location, f"the server answered {status}")
    return None


def _entry(location: str, size: int, answer: aiohttp.ClientResponse) -> Entry:
    """What an answer's headers say; its version is the tag, else the modification time as sent."""
    text = answer.headers.get("Last-Modified")
    try:
        modified = parsedate_to_datetime(text) if text else datetime.fromtimestamp(0, UTC)
    except ValueError:
        modified = datetime.fromtimestamp(0, UTC)
    return Entry(location, size, answer.headers.get("ETag") or text, modified)


def _too_large(location: str, limit: int) -> errors.LimitReached:
    return errors.LimitReached(
        f"The server of {failures.shown(location)} gives no ranges, and the file is larger than {limit} bytes,"
        " what is downloaded whole (storage_download_bytes_max).",
        code="source_too_large",
        next_step="Copy the file to a folder or a bucket, or raise storage_download_bytes_max.",
    )


def _authorization(config: StorageConfig, resolve: Resolve) -> dict[str, str]:
    options = {key: resolve(value) for key, value in config.options.items()}
    if token := options.get("token"):
        return {"Authorization": f"Bearer {token}"}
    if user := options.get("username"):
        pair = f"{user}:{options.get('password', '')}".encode()
        return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}
    return {}


def _certificates(config: StorageConfig) -> ssl.SSLContext | bool:
    if config.ca_file is None:
        return True
    try:
        return ssl.create_default_context(cafile=Path(config.ca_file).expanduser())
    except OSError as problem:
        raise errors.InvalidRequest(
            f'[storage."{config.prefix}"]: ca_file cannot be read: {problem.strerror}.', code="storage_invalid"
        ) from None
