"""S3 at the engine's speed: obstore, whose Rust client signs, sends and retries without the interpreter's lock.

Every read names the entity tag it expects, so that an object replaced between two reads is an error and its bytes
never meet those of the old one. obstore tries a request again after a 5xx, 429 or 408, a reset, a stall or a broken
body, with growing, randomised pauses; what it does not (a range that came back shorter, a listing that broke off)
is tried again here.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from neurolake import errors
from neurolake.sources import failures
from neurolake.sources.credentials import Access, Keys, Resolve, StorageConfig, StorageConfigs, s3_access
from neurolake.sources.listing import Entry, folder_of, matcher, split
from neurolake.sources.waiting import BACKOFF_S, BACKOFF_S_MAX, backoff_s, in_thread

if TYPE_CHECKING:
    from neurolake.sources.storage import StorageOptions

NO_KEYS_FOR_S = 30.0
"""How long it is remembered that there are no keys: asking a role's service that is not there takes its time."""

_STATUS = re.compile(r"non-2xx status code: (\d{3})")
_CODE = re.compile(r"<Code>(\w+)</Code>")
_REGION = re.compile(r"<Region>([a-z0-9-]+)</Region>")
_BROKEN_LISTING = re.compile(r"list response body|invalid list response", re.IGNORECASE)
_SHORTER = re.compile(r"UnexpectedRange|Requested \d+\.\.\d+, got")
_REFUSED = {
    "InvalidAccessKeyId": ("the server does not know the access key", "Check access_key_id."),
    "SignatureDoesNotMatch": ("the secret key does not fit the access key", "Check secret_access_key."),
    "ExpiredToken": ("the session token has expired", "Get new session credentials."),
    "InvalidToken": ("the session token is not valid", "Check session_token."),
    "TokenRefreshRequired": ("the session token must be renewed", "Get new session credentials."),
    "RequestTimeTooSkewed": ("this machine's clock is wrong", "Set the clock."),
    "MissingAuthenticationToken": ("the server wants signed requests", "Configure keys for this prefix."),
}
_ELSEWHERE = frozenset(("PermanentRedirect", "AuthorizationHeaderMalformed", "TemporaryRedirect"))


def refusal(location: str, status: int, code: str, region: str = "") -> errors.SourceFailed | None:
    """What an S3 status and error code mean; None for one that says nothing final."""
    if code in _REFUSED:
        return failures.bad_credentials(location, *_REFUSED[code])
    if code in _ELSEWHERE or status in (301, 307):
        where = f"region = '{region}'" if region else "region and endpoint"
        return failures.unreachable(location, "the bucket is in another region", f"Set {where} for this prefix.")
    if code == "NoSuchBucket":
        return failures.bucket_missing(location)
    if code == "NoSuchKey":
        return failures.missing(location)
    if status == 401:
        return failures.bad_credentials(location, "the server wants credentials", "Configure keys for this prefix.")
    if code in ("AccessDenied", "AllAccessDisabled", "AccountProblem"):
        return failures.denied(location)
    return None


class _Store(NamedTuple):
    client: Any
    keys: Keys | None


class S3Storage:
    """Looks at, lists and reads objects. All methods run on the request loop."""

    def __init__(self, configs: StorageConfigs, resolve: Resolve, options: StorageOptions) -> None:
        self._configs = configs
        self._resolve = resolve
        self._options = options
        self._stores: dict[tuple[str, str], _Store] = {}
        self._without: dict[str, tuple[float, errors.NeuroLakeError]] = {}
        self._connecting = asyncio.Lock()

    async def look(self, location: str) -> Entry:
        """One object's size and tag, with one HEAD.

        Raises:
            SourceFailed: `source_missing`, `source_bucket_missing`, `source_credentials`, `source_denied`,
                `source_unreachable`.
        """
        import obstore

        client, key = await self._client(location)
        try:
            return _entry(location, await obstore.head_async(client, key))
        except (FileNotFoundError, obstore.exceptions.BaseError) as problem:
            # The answer to a HEAD has no body, so it does not say what is missing or refused: a listing does.
            failure = await self._refused_listing(client, key, location) or self._failure(problem, location)
        raise failure

    async def list(self, pattern: str) -> list[Entry]:
        """The objects that match a pattern; every page, or an error.

        Raises:
            SourceFailed: as `look`, and `source_truncated` for a listing that breaks off.
        """
        import obstore

        client, key = await self._client(pattern)
        bucket, folder, fits = split(pattern)[0], folder_of(key), matcher(key)
        base = f"{pattern.partition('://')[0]}://{bucket}/"
        flat = "/" in key[len(folder) + bool(folder) :] or "**" in key
        for attempt in range(self._options.retries + 1):
            try:
                found = await (_all(client, folder) if flat else _directly_in(client, folder))
                return [_entry(base + meta["path"], meta) for meta in found if fits(meta["path"])]
            except obstore.exceptions.BaseError as problem:
                failure = self._failure(problem, pattern, "list")
                if not _BROKEN_LISTING.search(str(problem)):
                    break
            await asyncio.sleep(backoff_s(attempt))
        raise failure

    async def read(self, entry: Entry, start: int, end: int) -> Any:
        """The bytes from `start` to before `end`: all of them, of the version the entry names.

        Raises:
            SourceFailed: as `look`, `source_changed` when it is another version by now, and `source_truncated`.
        """
        import obstore

        client, key = await self._client(entry.path)
        options: dict[str, Any] = {"range": (start, end)}
        if entry.version is not None:
            options["if_match"] = entry.version
        for attempt in range(self._options.retries + 1):
            try:
                answer = await obstore.get_async(client, key, options=options)
                if _differs(answer.meta, entry):
                    raise failures.changed(entry.path)
                data = await answer.bytes_async()
                if len(data) == end - start:
                    return data
                failure = failures.truncated(entry.path, f"{len(data)} bytes came for {end - start}")
            except FileNotFoundError:
                raise failures.changed(entry.path, "was deleted") from None
            except obstore.exceptions.BaseError as problem:
                failure = self._failure(problem, entry.path)
                if not _SHORTER.search(str(problem)):
                    break
            await asyncio.sleep(backoff_s(attempt))
        raise failure

    async def write(self, location: str, data: bytes | Path, part: str) -> None:
        """Store one object, whole or not at all; a file is sent in parts where it is large.

        Args:
            location: its name.
            data: what it holds, or a local file that holds it.
            part: another name; S3 needs none.

        Raises:
            SourceFailed: as `look`.
        """
        import obstore

        client, key = await self._client(location)
        try:
            await obstore.put_async(client, key, data)
        except (FileNotFoundError, obstore.exceptions.BaseError) as problem:
            raise self._failure(problem, location, "write") from None

    async def remove(self, location: str) -> None:
        """Remove one object, if it is there.

        Raises:
            SourceFailed: as `look`.
        """
        import obstore

        client, key = await self._client(location)
        for attempt in range(self._options.retries + 1):
            try:
                await obstore.delete_async(client, key)
            except FileNotFoundError:
                return
            except obstore.exceptions.BaseError as problem:
                failure = self._failure(problem, location, "remove")
                if _STATUS.search(str(problem)):
                    break
            else:
                return
            await asyncio.sleep(backoff_s(attempt))  # obstore does not ask again where the connection broke
        raise failure

    async def close(self) -> None:
        """Let go of the connections."""
        self._stores.clear()

    async def _client(self, location: str) -> tuple[Any, str]:
        bucket, key = split(location)
        config = self._configs.of(location)
        store = self._stores.get((config.prefix, bucket))
        if store is None or (store.keys is not None and store.keys.stale):
            async with self._connecting:
                store = self._stores.get((config.prefix, bucket))
                if store is None or (store.keys is not None and store.keys.stale):
                    access = await self._access(config, bucket)
                    store = _Store(_connect(bucket, access, config, self._options), access.keys)
                    self._stores[config.prefix, bucket] = store
        return store.client, key

    async def _access(self, config: StorageConfig, bucket: str) -> Access:
        place = config.prefix or bucket
        until, known = self._without.get(place, (0.0, None))
        if known is not None and time.monotonic() < until:
            raise failures.again(known)
        try:
            return await in_thread(lambda: s3_access(config, self._resolve, bucket))
        except errors.SourceFailed as problem:
            self._without[place] = time.monotonic() + NO_KEYS_FOR_S, problem
            raise

    async def _refused_listing(self, client: Any, key: str, location: str) -> errors.SourceFailed | None:
        import obstore

        try:
            async for _ in obstore.list(client, prefix=key.rpartition("/")[0] or None, chunk_size=1):
                break
        except obstore.exceptions.BaseError as problem:
            failure = self._failure(problem, location)
            return None if failure.code in ("source_unreachable", "source_denied") else failure
        return None

    def _failure(self, problem: Exception, location: str, action: str = "read") -> errors.SourceFailed:
        text = str(problem)
        status = int(found[1]) if (found := _STATUS.search(text)) else 0
        code = found[1] if (found := _CODE.search(text)) else ""
        region = found[1] if (found := _REGION.search(text)) else ""
        failure = refusal(location, status, code, region)
        if failure is not None and failure.code == "source_credentials":
            self._stores.clear()  # a rotated secret is read again by the next request
        if failure is not None:
            return failures.denied(location, action) if failure.code == "source_denied" else failure
        if isinstance(problem, FileNotFoundError):
            return failures.missing(location)
        return _passing(text, status, code, location, action, self._options)


def _passing(
    text: str, status: int, code: str, location: str, action: str, options: StorageOptions
) -> errors.SourceFailed:
    """What may be gone the next time, although it was tried again and again."""
    tries = f"{options.retries + 1} attempts" if options.retries else "one attempt"
    if status in (412, 416):
        return failures.changed(location)
    if status == 403:
        return failures.denied(location, action)
    if status:
        named = f"{status} {code}".strip()
        return failures.unreachable(location, f"the server answered {named}, in {tries}")
    if "kind: Timeout" in text or "TimedOut" in text:
        return failures.unreachable(location, f"the server fell silent, in {tries}")
    if "kind: Connect," in text:
        return failures.unreachable(location, "there is no connection to its server")
    if _BROKEN_LISTING.search(text):
        return failures.truncated(location, f"its listing broke off, in {tries}")
    if _SHORTER.search(text) or "body error" in text:
        return failures.truncated(location, f"the answer broke off, in {tries}")
    return failures.unreachable(location, f"the connection broke, in {tries}")


async def _all(client: Any, folder: str) -> list[Any]:
    import obstore

    found: list[Any] = []
    async for page in obstore.list(client, prefix=folder or None, chunk_size=1000):
        found.extend(page)
    return found


async def _directly_in(client: Any, folder: str) -> list[Any]:
    import obstore

    found = await obstore.list_with_delimiter_async(client, folder or None)
    return list(found["objects"])


def _entry(location: str, meta: Any) -> Entry:
    return Entry(location, int(meta["size"]), meta["e_tag"], meta["last_modified"])


def _differs(meta: Any, entry: Entry) -> bool:
    if meta["size"] != entry.size:
        return True
    if entry.version is not None and meta["e_tag"] is not None:
        return bool(meta["e_tag"] != entry.version)
    return bool(int(meta["last_modified"].timestamp()) != int(entry.modified.timestamp()))


def _connect(bucket: str, access: Access, config: StorageConfig, options: StorageOptions) -> Any:
    from obstore.store import S3Store

    client: dict[str, Any] = {
        "connect_timeout": timedelta(seconds=options.connect_timeout_s),
        "read_timeout": timedelta(seconds=options.stall_timeout_s),
        "timeout": timedelta(seconds=options.request_timeout_s),
        "allow_http": access.endpoint is not None and access.endpoint.startswith("http://"),
    }
    if config.ca_file:
        client["root_certificate"] = _read_certificate(config)
    retry: dict[str, Any] = {
        "max_retries": options.retries,
        "retry_timeout": timedelta(seconds=options.request_timeout_s * (options.retries + 1)),
        "backoff": {
            "init_backoff": timedelta(seconds=BACKOFF_S),
            "max_backoff": timedelta(seconds=BACKOFF_S_MAX),
            "base": 2,
        },
    }
    where: dict[str, Any] = {"region": access.region, "virtual_hosted_style_request": not access.path_style}
    if access.endpoint is not None:
        # Both names, for the environment's variables would count where one is left out.
        endpoint = _endpoint(access, bucket)
        where |= {"endpoint": endpoint, "aws_endpoint_url_s3": endpoint}
    if access.keys is None:
        return S3Store(bucket, client_options=client, retry_config=retry, skip_signature=True, **where)
    return S3Store(
        bucket,
        client_options=client,
        retry_config=retry,
        skip_signature=False,
        credential_provider=_provider(access.keys),
        **where,
    )


def _endpoint(access: Access, bucket: str) -> str:
    """Where requests go: with the bucket in the host's name unless paths begin with it.

    >>> _endpoint(Access("https://s3.example:9000/", "us-east-1", False, None), "lake")
    'https://lake.s3.example:9000'
    """
    endpoint = (access.endpoint or "").rstrip("/")
    if access.path_style:
        return endpoint
    scheme, _, host = endpoint.partition("://")
    return f"{scheme}://{bucket}.{host}"


def _provider(keys: Keys) -> Callable[[], dict[str, Any]]:
    given = {
        "access_key_id": keys.access_key_id,
        "secret_access_key": keys.secret_access_key,
        "token": keys.session_token,
        "expires_at": None,
    }
    return lambda: given


def _read_certificate(config: StorageConfig) -> bytes:
    assert config.ca_file is not None
    try:
        return Path(config.ca_file).expanduser().read_bytes()
    except OSError as problem:
        raise errors.InvalidRequest(
            f'[storage."{config.prefix}"]: ca_file cannot be read: {problem.strerror}.',
            code="storage_invalid",
            next_step="Check the path.",
        ) from None
