"""What is where in storage: files as they were listed last, and the patterns that chose them."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from neurolake import errors

ENTRIES_MAX = 500_000
"""Files remembered. Past it, those whose listing is no longer valid are forgotten."""
SETTLED_S = 15.0
"""DuckDB keeps blocks of a file in memory only if its modification time is older than ten seconds."""

_MAGIC = re.compile(r"[*?\[]")


class Entry(NamedTuple):
    """One file: its URL, its size in bytes, what identifies its contents, and when it was last modified.

    `version` is the entity tag in quotes, or another text that changes with the contents; None: nothing does.
    """

    path: str
    size: int
    version: str | None
    modified: datetime


@dataclass(frozen=True, slots=True)
class Listing:
    """The files that matched a pattern when it was last listed, sorted by path."""

    pattern: str
    entries: tuple[Entry, ...]

    @property
    def paths(self) -> list[str]:
        """Their URLs."""
        return [entry.path for entry in self.entries]


def has_magic(path: str) -> bool:
    """Whether a path is a pattern.

    >>> has_magic("s3://lake/*.csv"), has_magic("s3://lake/x.csv")
    (True, False)
    """
    return _MAGIC.search(path) is not None


def split(location: str) -> tuple[str, str]:
    """Bucket (or host) and key of a URL.

    Raises:
        InvalidRequest: `location_invalid`: no bucket, or steps such as `..`, which object stores do not know and
            which could lead out of a prefix that is allowed.

    >>> split("s3://lake/raw/x.csv")
    ('lake', 'raw/x.csv')
    """
    bucket, _, key = location.partition("://")[2].partition("/")
    if not bucket or has_magic(bucket):
        raise errors.InvalidRequest(
            f"{location} names no bucket.", code="location_invalid", next_step="Write s3://bucket/key."
        )
    refuse_steps(location, key)
    return bucket, key


def refuse_steps(location: str, key: str) -> None:
    """Refuse a key with `.`, `..` or nothing between two slashes.

    Raises:
        InvalidRequest: `location_invalid`.
    """
    parts = key.split("/")
    if "." in parts or ".." in parts or "" in parts[:-1]:
        raise errors.InvalidRequest(
            f"{location} has a step '.', '..' or '//' in it.",
            code="location_invalid",
            next_step="Write the path without it.",
        )


def folder_of(key: str) -> str:
    """The part of a pattern before its first component with a wildcard, without a slash at its end.

    >>> folder_of("raw/y=*/x.csv"), folder_of("*.csv")
    ('raw', '')
    """
    return _MAGIC.split(key, maxsplit=1)[0].rpartition("/")[0]


def matcher(pattern: str) -> Callable[[str], bool]:
    """Whether a key fits a pattern: `*`, `?` and `[a-z]`, `[!a-z]` within a component; `**` is any number of them.

    Raises:
        InvalidRequest: `location_invalid`: a range such as `[z-a]`.

    >>> fits = matcher("raw/**/*.csv")
    >>> fits("raw/x.csv"), fits("raw/y=1/m=2/x.csv"), fits("other/x.csv")
    (True, True, False)
    >>> matcher("x[0-9]?.csv")("x1a.csv"), matcher("x[!0-9].csv")("x1.csv")
    (True, False)
    """
    try:
        compiled = re.compile(expression(pattern), re.DOTALL)
    except re.error:
        raise errors.InvalidRequest(
            f"{pattern} is no pattern.", code="location_invalid", next_step="Write ranges as [a-z]."
        ) from None
    return lambda key: compiled.fullmatch(key) is not None


def expression(pattern: str) -> str:
    """A pattern as a regular expression.

    >>> expression("raw/*/x?.csv")
    'raw/[^/]*/x[^/]\\\\.csv'
    """
    parts = pattern.split("/")
    text = ""
    for part in parts[:-1]:
        text += "(?:[^/]+/)*" if part == "**" else _component(part) + "/"
    return text + (".*" if parts[-1] == "**" else _component(parts[-1]))


_PIECE = re.compile(r"\*+|\?|\[!?[^\]]+\]|.", re.DOTALL)
_SPECIAL = re.compile(r"[\\\[\]^&~|]|(?<=-)-")


def _component(part: str) -> str:
    text = ""
    for piece in _PIECE.findall(part):
        if piece[0] == "*":
            text += "[^/]*"
        elif piece == "?":
            text += "[^/]"
        elif len(piece) > 2:
            body = piece[1:-1]
            chosen = _SPECIAL.sub(r"\\\g<0>", body.removeprefix("!"))
            text += f"[^/{chosen}]" if body[0] == "!" and len(body) > 1 else f"[{chosen or '!'}]"
        else:
            text += re.escape(piece)
    return text


class _Known(NamedTuple):
    entry: Entry
    seen_at: float
    patterns: frozenset[str]


class Listings:
    """The newest listing of each pattern and the newest entry of each file, valid for `life_s` seconds.

    To a thread inside `since` only those are valid that were made after that moment: a statement lists what it reads
    itself, once, and shares nothing with those before it.
    """

    def __init__(self, life_s: float) -> None:
        self._life_s = life_s
        self._lock = threading.Lock()
        self._listings: dict[str, tuple[Listing, float]] = {}
        self._files: dict[str, _Known] = {}
        self._stamps: dict[str, tuple[object, int]] = {}
        self._moment = threading.local()

    @contextmanager
    def since(self, moment: float) -> Iterator[None]:
        """In this thread, take nothing that was listed before a moment (of `time.monotonic`)."""
        before = getattr(self._moment, "since", 0.0)
        self._moment.since = moment
        try:
            yield
        finally:
            self._moment.since = before

    def keep(self, pattern: str, entries: Iterable[Entry]) -> Listing:
        """Note a listing just made, or a single file just looked at (its own pattern)."""
        listing = Listing(pattern, tuple(sorted(entries)))
        now = time.monotonic()
        with self._lock:
            self._listings[pattern] = listing, now
            for entry in listing.entries:
                before = self._files.get(entry.path)
                patterns = before.patterns if before is not None else frozenset[str]()
                if pattern not in patterns:
                    patterns |= {pattern}
                self._files[entry.path] = _Known(entry, now, patterns)
            if len(self._files) > ENTRIES_MAX:
                self._forget(now)
        return listing

    def of(self, pattern: str) -> Listing | None:
        """The newest listing of a pattern, while it is valid."""
        found = self._listings.get(pattern)
        return found[0] if found is not None and self._fresh(found[1]) else None

    def entry(self, path: str) -> Entry | None:
        """The newest entry of a file, while it is valid."""
        found = self._files.get(path)
        return found.entry if found is not None and self._fresh(found.seen_at) else None

    def replaced(self, entry: Entry) -> bool:
        """Whether the file has been listed with other contents since."""
        found = self._files.get(entry.path)
        return found is not None and found.entry is not entry and _contents(found.entry) != _contents(entry)

    def patterns(self, path: str) -> frozenset[str]:
        """The patterns that a file was listed under, itself included."""
        found = self._files.get(path)
        return (found.patterns if found is not None else frozenset[str]()) | {path}

    def drop(self, path: str) -> None:
        """Forget a file and what was listed with it: it is not what it was."""
        with self._lock:
            for pattern in self.patterns(path):
                self._listings.pop(pattern, None)
            self._files.pop(path, None)

    def stamp(self, entry: Entry) -> int:
        """The modification time to tell DuckDB, in seconds since 1970.

        DuckDB keeps blocks in memory under it, and trusts none that is younger than ten seconds or in the future.
        So a file changed just now gets a time a little earlier, and one whose contents changed gets another time
        than before whatever its server's clock says.
        """
        contents = _contents(entry)
        before = self._stamps.get(entry.path)
        if before is not None and before[0] == contents:
            return before[1]
        stamp = int(min(entry.modified.timestamp(), time.time() - SETTLED_S))
        if before is not None and stamp <= before[1]:
            stamp = before[1] + 1
        with self._lock:
            if len(self._stamps) > ENTRIES_MAX:
                self._stamps.clear()
            self._stamps[entry.path] = contents, stamp
        return stamp

    def _fresh(self, seen_at: float) -> bool:
        return seen_at >= getattr(self._moment, "since", 0.0) and time.monotonic() - seen_at <= self._life_s

    def _forget(self, now: float) -> None:
        self._listings = {p: kept for p, kept in self._listings.items() if now - kept[1] <= self._life_s}
        self._files = {p: known for p, known in self._files.items() if now - known.seen_at <= self._life_s}


def _contents(entry: Entry) -> object:
    return entry.version if entry.version is not None else (entry.modified, entry.size)
