"""What a disk may hold after a power cut: from the system calls of a run, as strace records them.

A file's contents are safe once the file was fsynced, its name once its folder was. Of all else each change may be on
the disk or not, whatever came before or after it, as POSIX allows; a name may be safe and the contents behind it not.
"""

from __future__ import annotations

import codecs
import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from random import Random

_CALLS = (
    "open,openat,creat,write,pwrite64,writev,fsync,fdatasync,rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,"
    "rmdir,ftruncate,link,linkat,sendfile,copy_file_range"
)
_LINE = re.compile(r"^\d+\s+(?P<name>\w+)\((?P<arguments>.*)\)\s+=\s+(?P<result>-?\d+)")
_TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_FD = re.compile(r"^(\d+)<((?:\\x[0-9a-f]{2}|[^>])*)>")
UNFORESEEN = frozenset(("ftruncate", "link", "linkat", "sendfile", "copy_file_range", "writev", "pwrite64"))
"""What the model does not know: none of it may be done to a file of the folder."""

EVERY_MAX = 3
DRAWN = 4


@dataclass(frozen=True)
class Call:
    """One system call on the folder, or what the program printed. `made` numbers the file that a name stands for."""

    kind: str  # make | data | name | unname | folder | fsync | fsync_folder | said
    path: str = ""
    file: int = -1
    data: bytes = b""


def record(command: Sequence[str], folder: Path, log: Path) -> list[Call]:
    """Run a program under strace; what it did to the folder, in order."""
    traced = ["strace", "-f", "-y", "-xx", "-s", str(1 << 20), "-e", f"trace={_CALLS}", "-o", str(log), *command]
    done = subprocess.run(traced, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return list(_Reader(folder).calls(_whole_lines(log)))


def _whole_lines(log: Path) -> Iterator[str]:
    """Lines in the order the calls ended, each put together where another thread's came between."""
    begun: dict[str, str] = {}
    for line in log.read_text().splitlines():
        thread, _, rest = line.partition(" ")
        if rest.endswith(" <unfinished ...>"):
            begun[thread] = line.removesuffix(" <unfinished ...>")
        elif (resumed := re.match(r"\s*<\.\.\. \w+ resumed>(.*)", rest)) is not None:
            yield begun.pop(thread) + resumed[1]
        else:
            yield line


def _decoded(text: str) -> bytes:
    return codecs.escape_decode(text.encode())[0]  # type: ignore[attr-defined,no-any-return]


class _Reader:
    def __init__(self, folder: Path) -> None:
        self._root = str(folder)
        self._files: dict[str, int] = {}
        self._made = 0

    def calls(self, lines: Iterator[str]) -> Iterator[Call]:
        for line in lines:
            found = _LINE.match(line)
            if found is None or int(found["result"]) < 0:
                continue
            yield from self._call(found["name"], found["arguments"], line)

    def _inside(self, path: str) -> str | None:
        return path[len(self._root) + 1 :] if path.startswith(self._root + "/") else "" if path == self._root else None

    def _call(self, name: str, arguments: str, line: str) -> Iterator[Call]:
        texts = [_decoded(text) for text in _TEXT.findall(arguments)]
        descriptor = _FD.match(arguments)
        opened = self._inside(_decoded(descriptor[2]).decode()) if descriptor else None
        paths = [self._inside(text.decode(errors="replace")) for text in texts]
        if name == "write" and descriptor and descriptor[1] == "1":
            yield Call("said", data=texts[0])
        elif name in ("open", "openat", "creat") and paths[0] is not None and "O_CREAT" in arguments:
            if paths[0] not in self._files:
                self._files[paths[0]] = self._made = self._made + 1
                yield Call("make", paths[0], self._made)
        elif name in ("write", "fsync", "fdatasync") and opened is not None:
            if opened in self._files:
                yield Call("data" if name == "write" else "fsync", opened, self._files[opened], *texts)
            else:
                assert name != "write", line
                yield Call("fsync_folder", opened)
        elif name.startswith("rename") and None not in paths:
            before, after = str(paths[0]), str(paths[-1])
            file = self._files[after] = self._files.pop(before)
            yield Call("unname", before)
            yield Call("name", after, file)
        elif name.startswith("mkdir") and paths[0]:
            yield Call("folder", paths[0])
        elif (name.startswith("unlink") or name == "rmdir") and paths[0] is not None:
            self._files.pop(paths[0], None)
            yield Call("unname", paths[0])
        else:
            assert name not in UNFORESEEN or (opened is None and not any(paths)), line


@dataclass
class Disk:
    """A disk's contents at one moment: what is safe, and the changes that may be on it or not."""

    names: dict[str, int] = field(default_factory=dict)
    safe: dict[int, int] = field(default_factory=dict)
    written: dict[int, bytes] = field(default_factory=dict)
    pending: list[Call] = field(default_factory=list)

    def apply(self, call: Call) -> None:
        """One more call was made."""
        if call.kind == "make":
            self.written[call.file] = b""
        if call.kind in ("make", "name", "unname", "folder"):
            self.pending.append(call)
        elif call.kind == "data":
            self.written[call.file] += call.data
        elif call.kind == "fsync":
            self.safe[call.file] = len(self.written[call.file])
        elif call.kind == "fsync_folder":
            for change in [one for one in self.pending if _folder(one.path) == call.path]:
                _change(self.names, change)
                self.pending.remove(change)

    def after(self, kept: Sequence[Call], share: float) -> dict[str, bytes | None]:
        """What is found when power is back: paths to contents, None for a folder.

        Args:
            kept: the pending changes that came to be on the disk.
            share: how much of what was written and not fsynced is there.
        """
        names = dict(self.names)
        for change in kept:
            _change(names, change)
        found: dict[str, bytes | None] = {}
        for path in sorted(names):
            folder = _folder(path)
            if folder and found.get(folder, b"") is not None:
                continue  # its folder is not there, so nobody finds it
            found[path] = None if names[path] < 0 else self._contents(names[path], share)
        return found

    def _contents(self, file: int, share: float) -> bytes:
        data, safe = self.written[file], self.safe.get(file, 0)
        return data[: safe + int((len(data) - safe) * share)]


def _folder(path: str) -> str:
    return path.rpartition("/")[0]


def _change(names: dict[str, int], change: Call) -> None:
    if change.kind == "unname":
        names.pop(change.path, None)
    else:
        names[change.path] = change.file


def contents(folder: Path) -> dict[str, bytes | None]:
    """What a folder holds, as `Disk.after` says it."""
    found = sorted(folder.rglob("*"))
    return {str(path.relative_to(folder)): None if path.is_dir() else path.read_bytes() for path in found}


@dataclass(frozen=True)
class Found:
    """One thing that a power cut may leave, and what the program had said by then."""

    files: tuple[tuple[str, bytes | None], ...]
    said: str


def power_cuts(calls: Sequence[Call], seed: int = 0) -> Iterator[Found]:
    """What may be found after a power cut at any moment, each once: with few pending changes every choice of them."""
    disk, said, seen = Disk(), "", set()
    chance = Random(seed)
    for call in calls:
        if call.kind == "said":
            said += call.data.decode()
            continue
        disk.apply(call)
        for kept in _choices(disk.pending, chance):
            found = Found(tuple(disk.after(kept, chance.choice((0.0, 0.5, 1.0))).items()), said)
            if found not in seen:
                seen.add(found)
                yield found


def _choices(pending: Sequence[Call], chance: Random) -> Iterator[list[Call]]:
    if len(pending) <= EVERY_MAX:
        for count in range(len(pending) + 1):
            yield from map(list, combinations(pending, count))
        return
    yield from ([], list(pending))
    for _ in range(DRAWN):
        yield [one for one in pending if chance.random() < 0.5]


def lay_out(found: Found, folder: Path) -> None:
    """Make a folder that holds it."""
    folder.mkdir()
    for path, data in found.files:
        if data is None:
            (folder / path).mkdir()
        else:
            (folder / path).write_bytes(data)
