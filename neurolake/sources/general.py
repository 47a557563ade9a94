"""Every other scheme, through fsspec; and S3 through s3fs for who wants s3fs's options.

Clouds bring a whole object to light or nothing. On the file servers a file grows under its name, so what is to be whole
or not there is written under another name and renamed.

A read is one positional request (`cat_file`) with no position shared between threads. File systems that are not
asynchronous serve one request at a time, for many of them share one connection or one file object. Short answers are
tried again and then refused. Only S3 can be asked for a given version; elsewhere the size is all that is compared.
"""

from __future__ import annotations

import asyncio
import copy
import inspect
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from neurolake import errors
from neurolake.sources import failures
from neurolake.sources.credentials import Resolve, StorageConfig, StorageConfigs, s3_access, scheme_of
from neurolake.sources.listing import Entry, folder_of, matcher, refuse_steps
from neurolake.sources.s3 import refusal
from neurolake.sources.waiting import backoff_s, in_thread

if TYPE_CHECKING:
    from neurolake.sources.storage import StorageOptions

_CLOUDS = ("gs", "gcs", "abfs", "abfss", "az", "oci", "oss", "tos", "lakefs", "hf")
_SERVERS = ("sftp", "ssh", "ftp", "smb", "hdfs", "webhdfs", "webdav", "memory")
SCHEMES = (*_CLOUDS, *_SERVERS)
"""What fsspec reads for us. Those that would lead to local files, archives or other people's code are left out."""
_PASS_ALL_ON = frozenset(("sftp", "ssh", "webdav"))
"""Their file systems have no cache of listings, and hand every argument to the client beneath."""
WRITABLE_CLOUDS = frozenset(("s3", "gs", "abfs", "az", "oci", "oss", "tos"))
WRITABLE_SERVERS = frozenset(("sftp", "ssh", "ftp", "smb", "hdfs", "webhdfs", "webdav"))

_MAY_BE_ROTATED = frozenset(("source_credentials", "source_denied", "source_unreachable"))
"""What a server may answer, in the words of its driver, to a secret that is no longer good."""

_MODIFIED = ("LastModified", "last_modified", "mtime", "modified", "updated", "created")
_VERSION = ("ETag", "etag", "e_tag", "md5Hash", "content_md5")
_UNKNOWN_SINCE = datetime.fromtimestamp(0, UTC)


class _Opened(NamedTuple):
    """One fsspec file system, what it was opened with, and whose turn it is where it serves one request at a time."""

    system: Any
    given: Mapping[str, Any]
    turn: asyncio.Lock | None


class GeneralStorage:
    """Looks at, lists and reads files of any fsspec file system. All methods run on the request loop."""

    def __init__(self, configs: StorageConfigs, resolve: Resolve, options: StorageOptions) -> None:
        self._configs = configs
        self._resolve = resolve
        self._options = options
        self._opened: dict[tuple[str, str, str], _Opened] = {}
        self._former: list[_Opened] = []
        self._closing: set[asyncio.Task[None]] = set()
        self._opening = asyncio.Lock()
        self._made: set[str] = set()

    async def look(self, location: str) -> Entry:
        """One file's size and what else its file system knows.

        Raises:
            SourceFailed: `source_missing`, `source_denied`, `source_unreachable`.
            NotSupported: nothing that is installed reads this scheme.
        """
        info = await self._attempted(location, lambda system, path: _call(system, "info", path))
        if info.get("type") == "directory":
            raise failures.missing(location)
        return _entry(location, info)

    async def list(self, pattern: str) -> list[Entry]:
        """The files that match a pattern.

        Raises:
            SourceFailed: as `look`.
        """
        path = ""

        # Where folders are walked one by one, one that cannot be listed must not look empty.
        strict = {"on_error": "raise"} if scheme_of(pattern) in WRITABLE_SERVERS else {}

        async def find(system: Any, stripped: str) -> Iterable[Mapping[str, Any]]:
            nonlocal path
            path, folder = stripped, folder_of(stripped)
            if "/" in stripped[len(folder) :].strip("/") or "**" in stripped:
                found: Mapping[str, Any] = await _call(system, "find", folder or "/", detail=True, **strict)
                return found.values()
            listed: list[Mapping[str, Any]] = await _call(system, "ls", folder or "/", detail=True)
            return listed

        listed = await self._attempted(pattern, find, missing=())
        files = [info for info in listed if info.get("type") != "directory"]
        fits = matcher(path)
        base = pattern[: len(pattern) - len(path)] if pattern.endswith(path) else f"{pattern.partition('://')[0]}://"
        return [_entry(base + info["name"], info) for info in files if fits(info["name"])]

    async def read(self, entry: Entry, start: int, end: int) -> bytes:
        """The bytes from `start` to before `end`, all of them.

        Raises:
            SourceFailed: as `look`, `source_changed` (S3 only) and `source_truncated`.
        """

        async def fetch(system: Any, path: str) -> bytes:
            if scheme_of(entry.path) == "s3" and entry.version is not None:
                return await _s3_range(system, path, start, end, entry.version)
            fetched: bytes = await _call(system, "cat_file", path, start=start, end=end)
            return fetched

        for attempt in range(self._options.retries + 1):
            data: bytes = await self._attempted(entry.path, fetch)
            if len(data) == end - start:
                return data
            await asyncio.sleep(backoff_s(attempt))
        raise failures.truncated(entry.path, f"{len(data)} bytes came for the {end - start} asked")

    async def write(self, location: str, data: bytes | Path, part: str) -> None:
        """Store one file, whole or not at all, in the folders it needs.

        Args:
            location: its name.
            data: what it holds, or a local file that holds it.
            part: the name it has on a file server until it is whole.

        Raises:
            SourceFailed: as `look`, and `source_truncated`.
        """
        scheme = scheme_of(location)
        if scheme in WRITABLE_CLOUDS:
            await self._send(location, data)
            return
        size = data.stat().st_size if isinstance(data, Path) else len(data)
        await self._make_folder(location)
        await self._make_folder(part)
        await self._send(part, data)
        if (there := (await self.look(part)).size) != size:
            raise failures.truncated(part, f"{there} bytes are there of {size}")
        try:
            await self._attempted(
                part, lambda system, path: _rename(system, scheme, path, system._strip_protocol(location))
            )
        except errors.SourceFailed:
            # It may have come about in an attempt whose answer was lost: then there is nothing to rename any more.
            if (await self.look(location)).size != size:
                raise

    async def _send(self, location: str, data: bytes | Path) -> None:
        name, given = ("put_file", str(data)) if isinstance(data, Path) else ("pipe_file", data)

        async def send(system: Any, path: str) -> None:
            await _call(system, name, *((given, path) if name == "put_file" else (path, given)))

        await self._attempted(location, send)

    async def _make_folder(self, location: str) -> None:
        folder = location.rpartition("/")[0]
        if folder not in self._made:
            await self._attempted(folder, lambda system, path: _call(system, "makedirs", path, exist_ok=True))
            self._made.add(folder)

    async def remove(self, location: str) -> None:
        """Remove one file, if it is there.

        Raises:
            SourceFailed: as `look`.
        """
        await self._attempted(location, lambda system, path: _call(system, "rm_file", path), missing=())

    async def close(self) -> None:
        """Close the sessions of the file systems that have one."""
        for opened in (*self._opened.values(), *self._former):
            await _close(opened.system)
        self._opened.clear()
        self._former.clear()

    async def _attempted(self, location: str, work: Callable[[Any, str], Any], missing: Any = None) -> Any:
        refuse_steps(location, location.partition("://")[2].strip("/"))
        attempt, anew = 0, False
        while True:
            opened = None
            try:
                opened = await self._open(location)
                return await self._in_turn(opened, work, opened.system._strip_protocol(location))
            except errors.NeuroLakeError:
                raise
            except Exception as problem:  # the boundary to file systems of all makers
                final, failure = _meaning(problem, location)
                if failure.code == "source_missing" and missing is not None:
                    return missing
                if opened is not None and not anew and await self._is_former(opened, failure, location):
                    self._drop(opened)
                    anew = True
                    continue
                if final:
                    raise failure from None
            if opened is not None and opened.turn is not None:
                self._drop(opened)  # its one connection may be broken, or held for ever by a request
            if attempt == self._options.retries:
                raise failure
            await asyncio.sleep(backoff_s(attempt))
            attempt += 1

    async def _is_former(self, opened: _Opened, failure: errors.SourceFailed, location: str) -> bool:
        """Whether it failed with secrets that are others by now: who asks again logs in with the new ones."""
        if failure.code not in _MAY_BE_ROTATED:
            return False
        config, scheme = self._configs.of(location), scheme_of(location)
        try:
            return bool(await in_thread(lambda: self._arguments(location, scheme, config)) != opened.given)
        except errors.NeuroLakeError:  # nobody can log in just now
            return False

    def _drop(self, opened: _Opened) -> None:
        """Have the next request open the file system anew."""
        if all(other is not opened for other in self._opened.values()):
            return
        self._opened = {key: other for key, other in self._opened.items() if other is not opened}
        if opened.turn is None:
            self._former.append(opened)  # others may be at work on it
            return
        task = asyncio.create_task(_end(opened, opened.turn))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _in_turn(self, opened: _Opened, work: Callable[[Any, str], Any], path: str) -> Any:
        async with asyncio.timeout(self._options.request_timeout_s):
            if opened.turn is None:
                return await work(opened.system, path)
            async with opened.turn:
                return await work(opened.system, path)

    async def _open(self, location: str) -> _Opened:
        config = self._configs.of(location)
        scheme = scheme_of(location)
        key = config.prefix, scheme, "" if scheme == "s3" else location.partition("://")[2].partition("/")[0]
        async with self._opening:
            if key not in self._opened:
                loop = asyncio.get_running_loop()
                self._opened[key] = await in_thread(lambda: self._make(location, scheme, config, loop))
            return self._opened[key]

    def _arguments(self, location: str, scheme: str, config: StorageConfig) -> dict[str, Any]:
        """What the settings and the location give a file system, its secrets as they are now."""
        kind = _class_of(scheme)
        given: dict[str, Any] = kind._get_kwargs_from_urls(location)
        return given | (self._s3_arguments(config) if scheme == "s3" else _typed(kind, config.options, self._resolve))

    def _make(self, location: str, scheme: str, config: StorageConfig, loop: asyncio.AbstractEventLoop) -> _Opened:
        try:
            kind = _class_of(scheme)
        except (ImportError, ValueError) as problem:
            raise errors.NotSupported(
                f"Nothing that is installed reads {scheme}://.", next_step=str(problem).partition("\n")[0]
            ) from None
        arguments = self._arguments(location, scheme, config)
        given = copy.deepcopy(arguments)  # s3fs changes what it is given
        if issubclass(kind, _async_base()):
            given |= {"asynchronous": True, "loop": loop}
        if scheme not in _PASS_ALL_ON:
            given["use_listings_cache"] = False
        if scheme == "webdav" and "username" in given:
            given["auth"] = (given.pop("username"), given.pop("password", ""))
        try:
            system = kind(**given, skip_instance_cache=True)
        except TypeError as problem:
            raise errors.InvalidRequest(
                f'[storage."{config.prefix or scheme + "://…"}"]: {problem}.',
                code="storage_invalid",
                next_step=f"Give the arguments of fsspec's {kind.__name__}.",
            ) from None
        return _Opened(system, arguments, None if system.async_impl else asyncio.Lock())

    def _s3_arguments(self, config: StorageConfig) -> dict[str, Any]:
        access = s3_access(config, self._resolve)
        options = self._options
        extra = _typed(_class_of_s3fs(), config.options, self._resolve)
        keys = access.keys
        given: dict[str, Any] = {"anon": keys is None}
        if keys is not None and keys.expires_at is None:
            given |= {"key": keys.access_key_id, "secret": keys.secret_access_key, "token": keys.session_token}
        elif config.profile is not None:
            given["profile"] = config.profile  # s3fs renews keys of a profile or a role by itself
        return {
            **given,
            "endpoint_url": access.endpoint,
            "client_kwargs": {"region_name": access.region, **({"verify": config.ca_file} if config.ca_file else {})},
            "config_kwargs": {
                "connect_timeout": options.connect_timeout_s,
                "read_timeout": options.stall_timeout_s,
                "retries": {"max_attempts": 1},
                "s3": {"addressing_style": "path" if access.path_style else "virtual"},
            },
            **extra,
        }


def _class_of(scheme: str) -> Any:
    if scheme in ("sftp", "ssh"):  # not what another package registers: sshfs reads no ranges
        from neurolake.sources.sftp import KnownSFTP

        return KnownSFTP
    from fsspec.registry import get_filesystem_class

    return get_filesystem_class(scheme)


def _class_of_s3fs() -> Any:
    from s3fs import S3FileSystem

    return S3FileSystem


def _async_base() -> Any:
    from fsspec.asyn import AsyncFileSystem

    return AsyncFileSystem


async def _call(system: Any, name: str, *values: Any, **named: Any) -> Any:
    """A method of a file system: on this loop where it is asynchronous, else in a thread."""
    if system.async_impl:
        return await getattr(system, f"_{name}")(*values, **named)
    return await in_thread(lambda: getattr(system, name)(*values, **named))


async def _end(opened: _Opened, turn: asyncio.Lock) -> None:
    async with turn:
        with suppress(OSError, EOFError):  # it may be broken already
            await _close(opened.system)


async def _close(system: Any) -> None:
    if hasattr(system, "set_session"):
        session = await system.set_session()
        await session.close()
    client = getattr(system, "client", None)
    connection = getattr(client, "http", client)  # WebDAV's client keeps an HTTP client
    if connection is not None and hasattr(connection, "close"):
        await in_thread(connection.close)


async def _rename(system: Any, scheme: str, path: str, target: str) -> None:
    if scheme == "webdav":  # its `mv` would copy and remove
        await in_thread(lambda: system.client.move(path, target, overwrite=True))
        return
    try:
        await _call(system, "mv", path, target)
    except FileExistsError:  # SMB and others replace nothing
        await _call(system, "rm_file", target)
        await _call(system, "mv", path, target)


async def _s3_range(system: Any, path: str, start: int, end: int, version: str) -> bytes:
    bucket, key, _ = system.split_path(path)
    answer = await system._call_s3(
        "get_object", Bucket=bucket, Key=key, Range=f"bytes={start}-{end - 1}", IfMatch=version
    )
    async with answer["Body"] as body:
        data: bytes = await body.read()
    return data


def _entry(location: str, info: Mapping[str, Any]) -> Entry:
    version = next((str(info[name]) for name in _VERSION if info.get(name)), None)
    seen: object = next((info[name] for name in _MODIFIED if info.get(name)), _UNKNOWN_SINCE)
    if isinstance(seen, int | float):
        seen = datetime.fromtimestamp(seen, UTC)
    modified = seen if isinstance(seen, datetime) else _UNKNOWN_SINCE
    return Entry(location, int(info.get("size") or 0), version, modified)


def _meaning(problem: Exception, location: str) -> tuple[bool, errors.SourceFailed]:
    """What a foreign exception means, and whether trying again is of no use. Its text may hold secrets."""
    if isinstance(problem, TimeoutError):
        return False, failures.unreachable(location, "the server fell silent")
    if getattr(problem, "status_code", 0) == 401:  # of HTTP, in WebDAV's client
        return True, failures.bad_credentials(location, "the server does not take them", failures.CHECK_LOGIN)
    answer: Any = getattr(problem, "response", None) or getattr(problem.__cause__, "response", None) or {}
    if isinstance(answer, Mapping):
        code = str(answer.get("Error", {}).get("Code", ""))
        status = int(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        if code == "PreconditionFailed" or status in (412, 416):
            return True, failures.changed(location)
        if (failure := refusal(location, status, code)) is not None:
            return True, failure
    if isinstance(problem, FileNotFoundError):
        return True, failures.missing(location)
    if isinstance(problem, PermissionError):
        return True, failures.denied(location)
    return False, failures.unreachable(location, f"{type(problem).__name__} in its driver")


def _typed(kind: Any, options: Mapping[str, str], resolve: Resolve) -> dict[str, Any]:
    """Options as a file system takes them: flags and numbers where its defaults are some, else text."""
    defaults = {name: p.default for name, p in inspect.signature(kind.__init__).parameters.items()}
    given: dict[str, Any] = {}
    for name, text in options.items():
        value = text if text.startswith(("http://", "https://")) else resolve(text)
        default = defaults.get(name)
        if value.lower() in ("true", "false"):
            given[name] = value.lower() == "true"
        elif name == "port" or (isinstance(default, int) and not isinstance(default, bool)):
            given[name] = int(value)
        else:
            given[name] = value
    return given
