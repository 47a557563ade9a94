"""The file system that DuckDB sees: one for all schemes, which leads each path to what reads it.

What DuckDB 2.0 calls, and how it is served:

- `glob` for every location of a statement, patterns or not: from the newest listing, or a listing made now;
- `open`, then `size` and `modified` of the path, in one thread: from the listing, else one look at the file;
- `seek` and `read` on one handle from many threads at once, or `read` after `read` from one after the other: see
  `RemoteFile`;
- `isfile` and `isdir` where a location may be a folder, `tell` and `close`.

`unstrip_protocol` gives paths back as they are, for ours have their scheme.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Collection, Coroutine, Iterable
from datetime import datetime
from typing import Any, Protocol, TypeVar

from fsspec import AbstractFileSystem

from neurolake import errors
from neurolake.sources import failures
from neurolake.sources.failures import Failures
from neurolake.sources.listing import Entry, Listing, Listings, has_magic
from neurolake.sources.ranges import Ranges
from neurolake.sources.waiting import GivenUp, Readers, RequestLoop

T = TypeVar("T")


class Driver(Protocol):
    """What reads one kind of storage. Its coroutines run on the request loop."""

    async def look(self, location: str) -> Entry:
        """One file as it is now."""

    async def list(self, pattern: str) -> list[Entry]:
        """The files that match a pattern now."""

    async def read(self, entry: Entry, start: int, end: int) -> Any:
        """Exactly these bytes of exactly this version."""

    async def close(self) -> None:
        """Let go of what it holds."""


class Reader:
    """Waits for drivers on behalf of threads, and knows what was listed."""

    def __init__(
        self,
        loop: RequestLoop,
        listings: Listings,
        driver_of: Callable[[str], Driver],
        readers: Readers | None,
    ) -> None:
        self.listings = listings
        self._loop = loop
        self._driver_of = driver_of
        self._readers = readers
        self._ranges = Ranges(lambda entry, start, end: loop.start(driver_of(entry.path).read(entry, start, end)))

    def refresh(self, pattern: str) -> Listing:
        """List a pattern, or look at a file, once anew.

        Raises:
            SourceFailed: `source_empty`, `source_missing` and whatever keeps it from being listed.
        """
        readers = self._begin(pattern)
        if not is_pattern(pattern):
            return self.listings.keep(pattern, [self._file_or_hint(pattern, readers)])
        driver = self._driver_of(pattern)
        found = self._wait(driver.list(pattern), pattern, readers)
        if not found and "[" in pattern and (literal := self._literal(driver, pattern)) is not None:
            found = [literal]
        listing = self.listings.keep(pattern, found)
        if not listing.entries:
            raise failures.empty(pattern)
        return listing

    def listed(self, pattern: str) -> Listing:
        """The newest valid listing of a pattern, else a new one. Empty where nothing matches."""
        if (found := self.listings.of(pattern)) is not None:
            self._begin(pattern)
            return found
        try:
            return self.refresh(pattern)
        except errors.SourceFailed as problem:
            if problem.code == "source_empty":
                return Listing(pattern, ())
            raise

    def entry(self, path: str) -> Entry:
        """A file as it was listed last, else as it is now."""
        readers = self._begin(path)
        found = self.listings.entry(path)
        if found is not None:
            return found
        return self.listings.keep(path, [self._look(path, readers)]).entries[0]

    def is_folder(self, path: str) -> bool:
        """Whether files lie below a path."""
        if path.lower().startswith(("http://", "https://")) or self.listings.entry(path) is not None:
            return False
        try:
            return bool(self.listed(path.rstrip("/") + "/**").entries)
        except errors.SourceFailed as problem:
            if problem.code == "source_bucket_missing":
                return False
            raise

    def read(self, entry: Entry, start: int, end: int, readers: Collection[Any]) -> Any:
        """Exactly these bytes of exactly this version of a file.

        Raises:
            SourceFailed: whatever keeps them from being read; `source_changed` if the file was replaced.
            Cancelled: nobody needs them any more.
        """
        try:
            data = self._ranges.read(entry, start, end, self._given_up(readers))
        except GivenUp:
            raise failures.abandoned(entry.path) from None
        except errors.SourceFailed as problem:
            if problem.code == "source_changed":
                self.listings.drop(entry.path)
            raise
        if len(data) != end - start:
            raise failures.truncated(entry.path, f"{len(data)} bytes came for the {end - start} asked")
        if self.listings.replaced(entry):
            # DuckDB may have begun to keep blocks of the new version under this path.
            raise failures.changed(entry.path)
        return data

    def readers(self, path: str) -> Collection[Any]:
        """The statements that a file may be opened for now; none where nobody keeps track of them."""
        return () if self._readers is None else self._readers.readers(self.listings.patterns(path))

    def _begin(self, location: str) -> Collection[Any]:
        """The calling thread begins to read: for its own statement, else for one of those that read it already."""
        if self._readers is None:
            return ()
        return self._readers.begin_reading(location, self.listings.patterns(location)) or self.readers(location)

    def _file_or_hint(self, path: str, readers: Collection[Any]) -> Entry:
        try:
            return self._look(path, readers)
        except errors.SourceFailed as problem:
            with contextlib.suppress(errors.SourceFailed):
                if problem.code == "source_missing" and self.is_folder(path):
                    problem.next_step = f"It is a folder: write {path.rstrip('/')}/."
            raise

    def _look(self, path: str, readers: Collection[Any]) -> Entry:
        return self._wait(self._driver_of(path).look(path), path, readers)

    def _literal(self, driver: Driver, path: str) -> Entry | None:
        try:
            return self._wait(driver.look(path), path, ())
        except errors.SourceFailed:
            return None

    def _given_up(self, readers: Collection[Any]) -> Callable[[], bool] | None:
        known = self._readers
        return None if known is None or not readers else lambda: known.given_up(readers)

    def _wait(self, work: Coroutine[Any, Any, T], location: str, readers: Collection[Any]) -> T:
        try:
            return self._loop.wait(work, self._given_up(readers))
        except GivenUp:
            raise failures.abandoned(location) from None


def is_pattern(location: str) -> bool:
    """Whether a location stands for several files. In a web address, `?` begins the query.

    >>> is_pattern("https://host/x.csv?day=1"), is_pattern("s3://lake/x?.csv")
    (False, True)
    """
    if location.lower().startswith(("http://", "https://")):
        return "*" in location.partition("?")[0]
    return has_magic(location)


class RemoteFile:
    """One open file, of one version.

    DuckDB reads it in two ways. Several threads read places of it at once: each seeks, then reads, and must get what
    stands where it sought. Or it is read from its beginning to its end, compressed files and JSON, by one thread after
    the other: each goes on where the last one stopped. So a read begins where its own thread has just sought, and
    otherwise at the position that all share.

    Threads are told apart by their number: DuckDB's own are new to Python at each call, and would find any
    `threading.local` empty.
    """

    __slots__ = ("_at", "_failures", "_reader", "_readers", "_shared", "_sought", "entry")

    def __init__(self, reader: Reader, entry: Entry, failures: Failures) -> None:
        self.entry = entry
        self._reader = reader
        self._failures = failures
        self._readers = reader.readers(entry.path)
        self._shared = 0
        self._sought: dict[int, int] = {}  # where each thread's next read begins
        self._at: dict[int, int] = {}  # where each thread is that has sought

    def seek(self, offset: int, whence: int = 0) -> int:
        """Set this thread's position."""
        thread = threading.get_ident()
        base = (0, self.tell(), self.entry.size)[whence]
        self._shared = self._sought[thread] = self._at[thread] = max(0, base + offset)
        return self._at[thread]

    def tell(self) -> int:
        """This thread's position."""
        return self._at.get(threading.get_ident(), self._shared)

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes from this thread's position; fewer only at the end of the file."""
        thread = threading.get_ident()
        start = self._sought.pop(thread, None)
        if start is None:
            start = self._shared
            self._sought.clear()  # one thread after the other reads on: what they sought is long past
            self._at.clear()
        else:
            self._at[thread] = start
        end = self.entry.size if size < 0 else min(self.entry.size, start + size)
        if end <= start:
            return b""
        try:
            data = self._reader.read(self.entry, start, end, self._readers)
        except errors.NeuroLakeError as problem:
            raise self._failures.carry(problem) from None
        self._shared = end
        if thread in self._at:
            self._at[thread] = end
        return bytes(data)

    def write(self, data: bytes) -> int:
        """Refuse: sources are read."""
        raise self._failures.carry(_read_only(self.entry.path))

    def close(self) -> None:
        """Nothing is held open between reads."""


def _read_only(path: str) -> errors.NotSupported:
    return errors.NotSupported(
        f"{failures.shown(path)} cannot be written.", next_step="Write to a local file, and copy that."
    )


class RemoteFileSystem(AbstractFileSystem):  # type: ignore[misc]
    """What `register_filesystem` takes: all remote schemes in one."""

    cachable = False

    def __init__(self, protocols: Iterable[str], reader: Reader, failures: Failures) -> None:
        self.protocol = tuple(protocols)
        super().__init__()
        self._reader = reader
        self._failures = failures
        self._opened: dict[int, Entry] = {}  # by the number of the thread that opened it last

    def _carried(self, work: Callable[[], T]) -> T:
        try:
            return work()
        except errors.NeuroLakeError as problem:
            raise self._failures.carry(problem) from None

    def _entry(self, path: str) -> Entry:
        """The version that this thread opened last, where DuckDB asks about it right after; else the newest."""
        opened = self._opened.get(threading.get_ident())
        if opened is not None and opened.path == path:
            return opened
        return self._carried(lambda: self._reader.entry(path))

    def glob(self, path: str, **_: Any) -> list[str]:
        """The files that a location stands for, sorted."""
        return self._carried(lambda: self._reader.listed(path).paths if is_pattern(path) else self._one(path))

    def _one(self, path: str) -> list[str]:
        """The file itself; nothing where it is a folder, which DuckDB then asks about."""
        try:
            return [self._reader.entry(path).path]
        except errors.SourceFailed as problem:
            if problem.code == "source_missing" and self._reader.is_folder(path):
                return []
            raise

    def open(self, path: str, mode: str = "rb", **_: Any) -> RemoteFile:
        """Open a file to read."""
        if mode != "rb":
            raise self._failures.carry(_read_only(path))
        self._opened.pop(threading.get_ident(), None)
        entry = self._opened[threading.get_ident()] = self._entry(path)
        return RemoteFile(self._reader, entry, self._failures)

    def size(self, path: str) -> int:
        """Its size in bytes."""
        return self._entry(path).size

    def modified(self, path: str) -> datetime:
        """What DuckDB keeps blocks under: see `Listings.stamp`."""
        from datetime import UTC

        return datetime.fromtimestamp(self._reader.listings.stamp(self._entry(path)), UTC)

    def isfile(self, path: str) -> bool:
        """Whether there is such a file."""
        try:
            self._reader.entry(path)
        except errors.SourceFailed as problem:
            if problem.code in ("source_missing", "source_bucket_missing"):
                return False
            raise self._failures.carry(problem) from None
        except errors.NeuroLakeError as problem:
            raise self._failures.carry(problem) from None
        return True

    def exists(self, path: str, **_: Any) -> bool:
        """Whether there is such a file."""
        return self.isfile(path)

    def isdir(self, path: str) -> bool:
        """Whether files lie below a path."""
        return self._carried(lambda: self._reader.is_folder(path))

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        """A file's name, size and type."""
        entry = self._entry(path)
        return {"name": path, "size": entry.size, "type": "file"}

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        """The files right below a path."""
        listing = self._carried(lambda: self._reader.listed(path.rstrip("/") + "/*"))
        found = [{"name": e.path, "size": e.size, "type": "file"} for e in listing.entries]
        return found if detail else listing.paths

    def unstrip_protocol(self, name: str) -> str:
        """Paths of ours have their scheme already."""
        return name

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return path
