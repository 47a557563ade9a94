"""The home folder, open in one process at a time.

neurolake.toml   settings, and the format version
lake.duckdb      managed tables
system.sqlite    catalog, policies, users, history, lineage, audit
snapshots/       the default snapshot repository
tmp/             spilled data; emptied when the home opens
run/             the lock, and where the home is served
"""

from __future__ import annotations

import os
import shutil
import threading
import weakref
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from neurolake.config import SETTINGS_FILE
from neurolake.errors import HomeProblem
from neurolake.home import server_file
from neurolake.home.files import PART, mapped, write_atomic
from neurolake.home.format import HEADER, check_format, check_is_home, check_no_data
from neurolake.home.lock import HomeLock, holder
from neurolake.home.server_file import ServerInfo

__all__ = ["Home", "read_server_file"]

_FOLDERS = ("run", "snapshots", "tmp")


class Home:
    """An open home. Made by `Home.open`, `Home.init` or `Home.memory`; a context manager.

    Attributes:
        path: the folder, absolute.
        in_memory: whether it goes away when it closes.
        closed: whether `close` was called.

    >>> with Home.memory() as home:
    ...     home.tmp.is_dir()
    True
    """

    def __init__(self, path: Path, lock: HomeLock | None) -> None:
        self.path = path
        self.in_memory = lock is None
        self.closed = False
        self._lock = lock
        self._pid = os.getpid()
        self._server: ServerInfo | None = None
        self._serving = threading.Lock()
        self._remove = weakref.finalize(self, _remove_folder, path, self._pid) if lock is None else None

    @classmethod
    def open(cls, path: str | Path, *, create: bool = False) -> Home:
        """Open a home and hold it until `close`.

        Args:
            path: the folder; `~` is understood.
            create: make a home where the folder is missing or empty. Opening never turns a folder with other
                files in it into a home; `init` does.

        Raises:
            HomeProblem: `home_missing`, `home_in_use`, `home_too_new`, `home_too_old`, `home_damaged`,
                `home_read_only`, `home_full`, `home_no_locks` or `home_io`.
        """
        folder = _absolute(path)
        with mapped(folder):
            make = create and _is_vacant(folder)
            if not make:
                check_is_home(folder)
        return cls._take(folder, make=make)

    @classmethod
    def init(cls, path: str | Path) -> Home:
        """Make a home and open it. The folder becomes its owner's alone (mode 0700).

        Files that are in the folder already stay as they are.

        Raises:
            HomeProblem: `home_exists`, or as `open`.
        """
        folder = _absolute(path)
        if (folder / SETTINGS_FILE).exists():
            raise HomeProblem(
                f"There is a lake at {folder} already.",
                code="home_exists",
                next_step=f"Open it, for example with `neurolake serve {folder}`.",
            )
        with mapped(folder):
            check_no_data(folder)
        return cls._take(folder, make=True)

    @classmethod
    def memory(cls) -> Home:
        """A home that keeps nothing: a private temporary folder, removed at `close`."""
        import tempfile

        with mapped(Path(tempfile.gettempdir())):
            folder = Path(tempfile.mkdtemp(prefix="neurolake-"))
            for name in _FOLDERS:
                (folder / name).mkdir(mode=0o700)
        return cls(folder, None)

    @classmethod
    def _take(cls, folder: Path, *, make: bool) -> Home:
        with mapped(folder):
            if make:
                folder.mkdir(parents=True, exist_ok=True)
                with suppress(PermissionError):  # A mounted volume may belong to another user, who decides.
                    folder.chmod(0o700)
            (folder / "run").mkdir(mode=0o700, exist_ok=True)
            lock = HomeLock.take(folder)
            try:
                _prepare(folder, make=make)
            except BaseException:
                lock.release()
                raise
        return cls(folder, lock)

    @property
    def settings_file(self) -> Path:
        """The settings and the format version."""
        return self.path / SETTINGS_FILE

    @property
    def database(self) -> Path:
        """The managed tables' file."""
        return self.path / "lake.duckdb"

    @property
    def system(self) -> Path:
        """The metadata's file."""
        return self.path / "system.sqlite"

    @property
    def snapshots(self) -> Path:
        """The folder of the default snapshot repository."""
        return self.path / "snapshots"

    @property
    def tmp(self) -> Path:
        """The folder for spilled data."""
        return self.path / "tmp"

    @property
    def run(self) -> Path:
        """The folder of the lock and the server's address."""
        return self.path / "run"

    def write_server_file(
        self, *, host: str, port: int, http_port: int | None = None, tls: bool = False, http_tls: bool = False
    ) -> ServerInfo:
        """Say where this process serves the home, with a new owner token.

        Raises:
            HomeProblem: the file cannot be written.
        """
        info = ServerInfo(
            pid=self._pid,
            host=host,
            port=port,
            http_port=http_port,
            token=_new_token(),
            started_at=datetime.now(UTC).isoformat(timespec="seconds"),
            tls=tls,
            http_tls=http_tls,
        )
        return self._serve(info)

    def rotate_owner_token(self) -> str:
        """Write a new owner token into the server file and return it.

        How long the one before still holds is the server's to say.

        Raises:
            HomeProblem: `home_not_served` before `write_server_file`, or the file cannot be written.
        """
        with self._serving:
            if self._server is None:
                raise HomeProblem(f"The lake at {self.path} is not served by this process.", code="home_not_served")
            return self._serve(replace(self._server, token=_new_token())).token

    def remove_server_file(self) -> None:
        """Say that the home is no longer served. Does nothing when it was not."""
        with self._serving:
            if self._server is not None:
                self._server = None
                with mapped(self.path):
                    server_file.remove(self.path)

    def _serve(self, info: ServerInfo) -> ServerInfo:
        with mapped(self.path):
            server_file.write(self.path, info)
        self._server = info
        return info

    def close(self) -> None:
        """Let another process open the home. A second call, or one in a forked child, does nothing."""
        if self.closed or os.getpid() != self._pid:
            return
        self.closed = True
        try:
            self.remove_server_file()
        finally:
            if self._lock is not None:
                self._lock.release()
            if self._remove is not None:
                self._remove()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Home({str(self.path)!r}{', closed' if self.closed else ''})"


def read_server_file(home: str | Path) -> ServerInfo | None:
    """Where a home is served at this moment; None when it is not, or not to this user.

    A file that a killed server left behind does not count: its process must still hold the lock.
    """
    folder = _absolute(home)
    try:
        held = holder(folder)
    except OSError:
        return None
    info = server_file.read(folder) if held else None
    return info if info is not None and held is not None and info.pid == held.pid else None


def _new_token() -> str:
    import secrets

    return secrets.token_urlsafe()


def _absolute(path: str | Path) -> Path:
    return Path(path).expanduser().absolute()


def _is_vacant(folder: Path) -> bool:
    """Whether nothing is there but what a home that was stopped while being made leaves."""
    if not folder.exists():
        return True
    ours = {*(folder / name for name in _FOLDERS), *_parts(folder)}
    return folder.is_dir() and ours.issuperset(folder.iterdir())


def _parts(folder: Path) -> Iterator[Path]:
    """What a killed process leaves of files it was writing."""
    yield from folder.glob(f".{SETTINGS_FILE}.*{PART}")
    yield from (folder / "run").glob(f".*{PART}")


def _prepare(folder: Path, *, make: bool) -> None:
    """What is done under the lock before a home counts as open."""
    # Another process may have made it between our look and our lock.
    if make and not (folder / SETTINGS_FILE).exists():
        write_atomic(folder / SETTINGS_FILE, HEADER, mode=0o600)
    check_format(folder)
    for name in _FOLDERS:
        (folder / name).mkdir(mode=0o700, exist_ok=True)
    server_file.remove(folder)
    for part in _parts(folder):
        part.unlink()
    _empty(folder / "tmp")


def _empty(folder: Path) -> None:
    """Remove what an earlier run left. Not behind a link: what that leads to may not be all ours."""
    if folder.is_symlink():
        return
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _remove_folder(folder: Path, pid: int) -> None:
    if os.getpid() == pid:  # Not when a forked child ends.
        shutil.rmtree(folder, ignore_errors=True)
