"""Copies of the files that registered sources read: taken along as they are, and put back where one says."""

from __future__ import annotations

import glob
import hashlib
import re
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from neurolake import errors
from neurolake.backup.folder import Folder, mapped
from neurolake.backup.manifest import External, Manifest
from neurolake.sql.text import Name

if TYPE_CHECKING:
    from neurolake.backup.repository import Files, Repository
    from neurolake.catalog import Source
    from neurolake.engine import Engine

__all__ = ["put_back", "with_external"]

PIECE = 8 << 20
_MAGIC = re.compile(r"[*?\[]")
_ENDING = re.compile(r"\.[a-z0-9]{1,8}(?:\.(?:gz|zst|zstd))?\Z", re.IGNORECASE)


class Layout(NamedTuple):
    """A source's location taken apart: what all its files begin with, and the pattern behind that."""

    root: str
    pattern: str


def layout(location: str) -> Layout:
    """Take a location apart. A file that is there is no pattern, whatever its name.

    >>> layout("/data/orders/**/*.parquet"), layout("https://host/a/b.csv?key=1")
    (Layout(root='/data/orders/', pattern='**/*.parquet'), Layout(root='https://host/a/', pattern='b.csv'))
    """
    if location.startswith(("http://", "https://")):
        location = location.split("?", 1)[0]
    magic = None if Path(location).exists() else _MAGIC.search(location)
    end = location.rindex("/", 0, magic.start() if magic else None) + 1
    return Layout(location[:end], location[end:])


def with_external(
    engine: Engine, repository: Repository, manifest: Manifest, check: Callable[[], None], *, reuse: bool
) -> Manifest:
    """Copy every file of every source into a repository; what is there already is not written again.

    Raises:
        SourceFailed: a file cannot be read.
    """
    staging = repository.files.staging / secrets.token_hex(8)
    with mapped(staging):
        staging.mkdir(parents=True, mode=0o700)
    external: list[External] = []
    bytes_new = manifest.bytes_new
    repository.steps.begin("copying files of sources")
    try:
        for source in engine.catalog.sources.values():
            for path, pieces in _files(engine, source):
                made = staging / secrets.token_hex(8)
                copied = _copied(made, source, path, pieces, check)
                bytes_new += copied.bytes * repository.add(made, copied.file, copied.bytes, trusting=reuse)
                repository.steps.add(bytes=copied.bytes)
                external.append(copied)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return replace(manifest, external=tuple(external), bytes_new=bytes_new)


def _files(engine: Engine, source: Source) -> Iterator[tuple[str, Iterator[bytes]]]:
    """The files of a source, each with its bytes."""
    if "://" in source.location:
        for path, pieces in engine.storage.pieces(source.location, PIECE):
            yield path, pieces
        return
    rows = engine.instance.acquire_and(lambda cursor: cursor.rows("SELECT file FROM glob(?)", [source.location]))
    for (path,) in sorted(rows):
        yield path, _local(Path(path))


def _local(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            while piece := file.read(PIECE):
                yield piece
    except OSError as problem:
        raise errors.SourceFailed(
            f"The file {path} cannot be read: {problem.strerror}.", code="source_missing", next_step="Check the file."
        ) from None


def _copied(made: Path, source: Source, path: str, pieces: Iterator[bytes], check: Callable[[], None]) -> External:
    """Write a file's bytes to a place of this machine, and say what they are."""
    if path.startswith(("http://", "https://")):
        path = path.split("?", 1)[0]  # what follows may be a secret
    digest, size = hashlib.sha256(), 0
    with made.open("xb") as target:
        for piece in pieces:
            check()
            digest.update(piece)
            size += len(piece)
            with mapped(made.parent):
                target.write(piece)
    ending = _ENDING.search(path)
    suffix = ending[0].lower() if ending and ending[0].lower() != ".parquet" else ""
    file = digest.hexdigest() + (suffix if suffix or ending else ".bin")
    root, pattern = layout(source.location)
    return External(source.name.schema, source.name.table, _safe(path.removeprefix(root)), pattern, file, size)


def _safe(relative: str) -> str:
    """A path that stays below where it is put.

    Raises:
        NotSupported: `external_path`.
    """
    if any(part in ("", ".", "..") for part in relative.split("/")):
        raise errors.NotSupported(
            f"A file of a source is called {relative}, and would not stay in the folder it is put in.",
            code="external_path",
            next_step="Rename it, or take the snapshot without the files of sources.",
        )
    return relative


def put_back(
    engine: Engine, repository: Repository, manifest: Manifest, location: str, check: Callable[[], None]
) -> tuple[Manifest, Callable[[], None]]:
    """Put the copies below a location, a folder for each source; the manifest with sources that read them there.

    Also what takes them away again.

    Raises:
        NotFound: `external_missing`: the snapshot has none.
        AlreadyExists: `restore_exists`: something is there.
    """
    if not manifest.external:
        raise errors.NotFound(
            f"The snapshot {manifest.snapshot_id} holds no copies of external files.", code="external_missing",
            next_step="Take it with --include-external, or restore it without --external-to.",
        )  # fmt: skip
    place = location.rstrip("/")
    if "://" not in place:
        place = str(Path(place.removeprefix("file://")).expanduser().absolute())
    files = _target(engine, place)
    if next(iter(files.keys("")), None) is not None:
        raise errors.AlreadyExists(
            f"There is something at {place} already; nothing was restored.", code="restore_exists",
            next_step="Name a folder or a prefix that is empty.",
        )  # fmt: skip
    put: list[str] = []

    def undo() -> None:
        for key in put:
            with suppress(errors.NeuroLakeError):
                files.remove(key)

    repository.steps.begin("putting files of sources back", bytes_total=sum(one.bytes for one in manifest.external))
    try:
        for one in manifest.external:
            check()
            key = f"{_folder(one.name)}/{_safe(one.path)}"
            put.append(key)
            _put(repository, files, one, key)
            repository.steps.add(bytes=one.bytes)
        files.settle()
    except BaseException:
        undo()
        raise
    there = {one.name: one for one in manifest.external}
    return replace(manifest, sources=tuple(_moved(source, place, there) for source in manifest.sources)), undo


def _target(engine: Engine, place: str) -> Files:
    if "://" in place:
        from neurolake.backup.objects import ObjectFiles

        return ObjectFiles(engine.storage.objects(place), engine.home.tmp)
    return Folder(Path(place))


def _put(repository: Repository, files: Files, one: External, key: str) -> None:
    copy = files.staging / secrets.token_hex(8)
    with mapped(copy.parent):
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(repository.fetch(one), copy)
    repository.release(one)
    files.adopt(key, copy)
    with suppress(OSError):
        copy.parent.rmdir()


def _folder(name: Name) -> str:
    return "".join(letter if letter.isalnum() or letter in "._-" else "_" for letter in f"{name.schema}.{name.table}")


def _moved(source: Mapping[str, Any], place: str, there: Mapping[Name, External]) -> Mapping[str, Any]:
    """A source that reads its copies; one without any stays as it is."""
    one = there.get(Name(*source["name"]))
    if one is None:
        return source
    folder = f"{place}/{_folder(one.name)}"
    if one.path != one.pattern and "://" not in folder:
        folder = glob.escape(folder)
    return {**source, "location": f"{folder}/{one.pattern}"}
