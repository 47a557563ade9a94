"""Remote storage for one engine: which scheme is read by what, what was listed, and errors that keep their type.

| scheme | read by |
|---|---|
| `s3`, `s3a`, `s3n` | obstore (Rust); `storage_s3_driver = "fsspec"`, or `driver` in a table: s3fs |
| `http`, `https` | aiohttp: ranges, or one bounded download where the server has none |
| `gs`, `abfs`, `az`, `sftp`, `ftp`, `smb`, `hdfs`, `memory` … | fsspec, with the package each scheme needs |

Local files are DuckDB's own business.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from neurolake import errors
from neurolake.sources.credentials import Resolve, StorageConfigs, scheme_of
from neurolake.sources.failures import Failures
from neurolake.sources.listing import Entry, Listing, Listings
from neurolake.sources.waiting import Readers, RequestLoop

if TYPE_CHECKING:
    from neurolake.sources.objects import Objects
    from neurolake.sources.router import Driver, Reader

S3_SCHEMES = ("s3", "s3a", "s3n")
HTTP_SCHEMES = ("http", "https")


@dataclass(frozen=True, slots=True)
class StorageOptions:
    """The limits of storage requests; each is the setting `storage_…` of the same name.

    `listing_life_s` is how long a listing made for a plan also serves the statement that runs; `download_bytes_max`
    is the largest file fetched whole from a web server without ranges, `temp_directory` where it goes.
    """

    s3_driver: str = "obstore"
    connect_timeout_s: float = 5.0
    request_timeout_s: float = 30.0
    stall_timeout_s: float = 10.0
    retries: int = 5
    listing_life_s: float = 30.0
    download_bytes_max: int = 1 << 30
    temp_directory: str | None = None

    @classmethod
    def of(cls, settings: object) -> StorageOptions:
        """Take them from a lake's settings; what those do not have keeps its default."""
        given = {field.name: getattr(settings, f"storage_{field.name}", None) for field in dataclasses.fields(cls)}
        return cls(**{name: value for name, value in given.items() if value is not None})


class Storage:
    """All remote storage of one engine. Thread-safe.

    Args:
        settings: the `[storage."prefix"]` tables.
        resolve: turns a reference such as `env:KEY` into the secret.
        options: limits of requests.
        readers: told which location a thread begins to read, and asked about every 100 ms while a request waits
            whether that is needed still. Without it, and where it knows no statement that reads a file when the file
            is opened, only the time limits end a wait.

    Raises:
        InvalidRequest: `storage_invalid`: a table cannot be what it says.

    >>> storage = Storage({}, resolve=str, options=StorageOptions())
    >>> storage.refresh("/data/x.parquet").entries
    ()
    >>> storage.close()
    """

    def __init__(
        self,
        settings: Mapping[str, Mapping[str, object]],
        *,
        resolve: Resolve,
        options: StorageOptions,
        readers: Readers | None = None,
    ) -> None:
        self._configs = StorageConfigs(settings, options.s3_driver)
        self._resolve = resolve
        self._options = options
        self._readers = readers
        self._loop = RequestLoop()
        self._failures = Failures()
        self._listings = Listings(options.listing_life_s)
        self._drivers: dict[str, Driver] = {}
        self._made: Reader | None = None

    def attach(self, connection: Any) -> None:
        """Register every remote scheme on a DuckDB connection, for all cursors of its database."""
        from neurolake.sources.general import SCHEMES
        from neurolake.sources.router import RemoteFileSystem

        protocols = (*S3_SCHEMES, *HTTP_SCHEMES, *SCHEMES)
        connection.register_filesystem(RemoteFileSystem(protocols, self._reader, self._failures))

    def refresh(self, pattern: str) -> Listing:
        """List a pattern, or look at a file, once anew; the statement then opens what was listed without asking.

        Local locations have an empty listing: DuckDB lists them itself.

        Raises:
            SourceFailed: `source_empty`, `source_missing`, `source_bucket_missing`, `source_credentials`,
                `source_denied`, `source_unreachable`, `source_truncated`.
            InvalidRequest: `location_invalid`.
        """
        if not scheme_of(pattern):
            return Listing(pattern, ())
        return self._reader.refresh(pattern)

    def since(self, moment: float) -> AbstractContextManager[None]:
        """In this thread, read no listing made before a moment (of `time.monotonic`): what a text names, too, is listed
        anew for each statement, whether it stands in it, in a view or in what was prepared.
        """
        return self._listings.since(moment)

    def pieces(self, pattern: str, size: int) -> Iterator[tuple[str, Iterator[bytes]]]:
        """The bytes of every file that matches a pattern now: (its URL, pieces of a size, the last one shorter).

        Raises:
            SourceFailed: as `refresh`, and where a file has changed since it was listed.
        """
        for entry in self.refresh(pattern).entries:
            yield entry.path, self._pieces(entry, size)

    def _pieces(self, entry: Entry, size: int) -> Iterator[bytes]:
        driver = self._driver_of(entry.path)
        for start in range(0, entry.size, size):
            yield bytes(self._loop.wait(driver.read(entry, start, min(start + size, entry.size))))

    def objects(self, location: str) -> Objects:
        """What reads and writes whole files below a location.

        Raises:
            NotSupported: `repository_scheme`: nothing here writes to that kind of location.
        """
        from neurolake.sources.general import WRITABLE_CLOUDS, WRITABLE_SERVERS, GeneralStorage
        from neurolake.sources.objects import Objects
        from neurolake.sources.s3 import S3Storage

        driver = self._driver_of(location)
        if scheme_of(location) not in WRITABLE_CLOUDS | WRITABLE_SERVERS or not isinstance(
            driver, S3Storage | GeneralStorage
        ):
            raise errors.NotSupported(
                f"{location} cannot be written to.",
                code="repository_scheme",
                next_step=f"Name a folder, or a location of {', '.join(sorted(WRITABLE_CLOUDS | WRITABLE_SERVERS))}.",
            )
        return Objects(location, driver, self._loop)

    def recover(self, error: BaseException) -> errors.NeuroLakeError | None:
        """The error of ours behind an exception that came out of DuckDB or its stream; None if none is."""
        return self._failures.recover(error)

    def close(self) -> None:
        """End all requests and close all connections. Idempotent."""
        for driver in list(self._drivers.values()):
            self._loop.wait(driver.close())
        self._drivers.clear()
        self._loop.close()

    @property
    def _reader(self) -> Reader:
        from neurolake.sources.router import Reader

        if self._made is None:
            self._made = Reader(self._loop, self._listings, self._driver_of, self._readers)
        return self._made

    def _driver_of(self, location: str) -> Driver:
        scheme = scheme_of(location)
        if scheme in HTTP_SCHEMES:
            route = "http"
        elif scheme == "s3" and self._configs.of(location).driver == "obstore":
            route = "s3"
        else:
            route = "general"
        # Two threads may both make one: the first that is kept is used, and none holds anything yet.
        return self._drivers.get(route) or self._drivers.setdefault(route, self._make(route))

    def _make(self, route: str) -> Driver:
        given = self._configs, self._resolve, self._options
        if route == "s3":
            from neurolake.sources.s3 import S3Storage

            return S3Storage(*given)
        if route == "http":
            from neurolake.sources.http import HttpStorage

            return HttpStorage(*given)
        from neurolake.sources.general import GeneralStorage

        return GeneralStorage(*given)
