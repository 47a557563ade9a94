"""An append-only journal for records that must survive kill -9 but need no fsync of their own.

A record is one line of JSON, handed to the operating system in one call: a few microseconds. Whoever owns the journal
takes its records from time to time, fsynced, puts them where they belong, and lets the journal forget them.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from neurolake import errors

logger = logging.getLogger("neurolake")


class Journal:
    """Two files in turn: while the records of one are moved on, new ones go to the other.

    Args:
        folder: where the files are; None keeps records in memory only.
        name: the first part of their names.

    Attributes:
        left: the whole records that an earlier process left behind.
    """

    def __init__(self, folder: Path | None, name: str) -> None:
        self._lock = threading.Lock()
        self._pending: list[list[Any]] = []
        self._files: list[int] = []
        self._paths = [] if folder is None else [folder / f"{name}.{side}.journal" for side in "ab"]
        self.left = [record for path in self._paths for record in _read(path)]
        flags = os.O_CREAT | os.O_WRONLY | os.O_APPEND
        self._files = [os.open(path, flags, 0o600) for path in self._paths]
        self._side = 0

    def append(self, record: list[Any]) -> None:
        """Hand a record to the operating system.

        Raises:
            LimitReached: the disk is full.
        """
        line = json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace") + b"\n"
        with self._lock:
            self._pending.append(record)
            if self._files:
                _write(self._files[self._side], line)

    def turn(self) -> list[list[Any]]:
        """The records since the last turn, fsynced; new ones go to the other file from now on."""
        with self._lock:
            taken, self._pending = self._pending, []
            side, self._side = self._side, 1 - self._side
        if taken and self._files:
            os.fsync(self._files[side])
        return taken

    def put_back(self, records: list[list[Any]]) -> None:
        """The records of the last turn could not be moved on; the next turn has them again."""
        with self._lock:
            self._pending[:0] = records

    def forget(self) -> None:
        """The records of the last turn are safe elsewhere."""
        if self._files:
            os.ftruncate(self._files[1 - self._side], 0)

    def close(self) -> None:
        """Close the files."""
        for descriptor in self._files:
            os.close(descriptor)
        self._files.clear()


class MovedJournal:
    """A journal whose records a thread moves to where they stay, every so often and when it is closed.

    Args:
        folder, name: as of the journal.
        keep: puts records where they stay, durably; the same record may come again after a crash. What an earlier
            process left behind is kept first.
        interval_s: how often.
    """

    def __init__(
        self, folder: Path | None, name: str, keep: Callable[[list[list[Any]]], None], interval_s: float
    ) -> None:
        self._name = name
        self._keep = keep
        self._lock = threading.Lock()
        self._journal = Journal(folder, name)
        self._keep_what_was_left()
        self._closed = threading.Event()
        self._thread = threading.Thread(
            target=self._flush_until_closed, args=(interval_s,), name=f"neurolake-{name}", daemon=True
        )
        self._thread.start()

    def append(self, record: list[Any]) -> None:
        """Hand a record to the operating system.

        Raises:
            LimitReached: the disk is full.
        """
        self._journal.append(record)

    def flush(self) -> None:
        """Move the records there are now."""
        with self._lock:
            records = self._journal.turn()
            try:
                if records:
                    self._keep(records)
            except BaseException:
                self._journal.put_back(records)
                raise
            self._journal.forget()

    def close(self) -> None:
        """Move the rest and close."""
        self._closed.set()
        self._thread.join()
        self.flush()
        self._journal.close()

    def _keep_what_was_left(self) -> None:
        left, self._journal.left = self._journal.left, []
        if left:
            self._keep(left)
        for _ in range(2):
            self._journal.turn()
            self._journal.forget()

    def _flush_until_closed(self, interval_s: float) -> None:
        while not self._closed.wait(interval_s):
            try:
                self.flush()
            except errors.NeuroLakeError as problem:
                logger.error("the %s waits in its journal: %s", self._name, problem)


def _write(descriptor: int, line: bytes) -> None:
    try:
        os.write(descriptor, line)
    except OSError:
        raise errors.LimitReached(
            "The disk is full; the statement's record could not be written.",
            code="disk_full",
            next_step="Free space on the disk that holds the home folder, then try again.",
        ) from None


def _read(path: Path) -> Iterable[list[Any]]:
    """The whole records of a journal; the last one may be half written."""
    if not path.exists():
        return
    for line in path.read_bytes().split(b"\n"):
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, list):
            yield record
