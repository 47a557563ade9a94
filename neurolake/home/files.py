"""Files that are whole or not there, and the operating system's refusals in words."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from neurolake.errors import HomeProblem

__all__ = ["PART", "fsync_dir", "home_problem", "mapped", "write_atomic"]

PART = ".part"
"""The ending of a file that is being written."""

_CODES = {
    errno.EROFS: "home_read_only",
    errno.EACCES: "home_read_only",
    errno.EPERM: "home_read_only",
    errno.ENOSPC: "home_full",
    errno.EDQUOT: "home_full",
    errno.ENOLCK: "home_no_locks",
    errno.EOPNOTSUPP: "home_no_locks",
}
_NEXT_STEPS = {
    "home_read_only": "Give this user the right to write there, or choose another folder.",
    "home_full": "Free space on that disk, or choose another folder.",
    "home_no_locks": "Keep the home on a file system with file locks, such as a local disk.",
    "home_io": "Check the disk and the path.",
}


def write_atomic(path: Path, data: bytes | str, mode: int = 0o600) -> None:
    """Replace a file's contents durably: after a crash it holds all of the old or all of the new.

    Args:
        path: the file; its folder must be there.
        data: the contents; text is written as UTF-8.
        mode: the file's permissions, whatever the umask.

    Raises:
        OSError: nothing was changed.
    """
    content = data.encode() if isinstance(data, str) else data
    part = path.with_name(f".{path.name}.{os.urandom(6).hex()}{PART}")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        part.chmod(mode)
        part.replace(path)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise
    fsync_dir(path.parent)


def fsync_dir(path: Path) -> None:
    """Force a folder's entries to disk, so that a file made, renamed or removed in it stays so.

    Raises:
        OSError: the folder cannot be opened or synced.
    """
    if os.name == "nt":  # Windows opens no folder, and its renames need none.
        return
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def home_problem(folder: Path, error: OSError) -> HomeProblem:
    """An operating system's refusal in words: `home_read_only`, `home_full`, `home_no_locks` or `home_io`.

    >>> print(home_problem(Path("lake"), OSError(errno.ENOSPC, "No space left on device")).message)
    The lake at lake cannot be used: No space left on device (ENOSPC).
    """
    code = _CODES.get(error.errno or 0, "home_io")
    name = errno.errorcode.get(error.errno or 0, type(error).__name__)
    where = f", {error.filename}" if error.filename and Path(error.filename) != folder else ""
    return HomeProblem(
        f"The lake at {folder} cannot be used: {error.strerror or 'input or output failed'} ({name}{where}).",
        code=code,
        next_step=_NEXT_STEPS[code],
    )


@contextmanager
def mapped(folder: Path) -> Iterator[None]:
    """Turn the operating system's refusals inside the block into `HomeProblem`."""
    try:
        yield
    except OSError as error:
        raise home_problem(folder, error) from error
