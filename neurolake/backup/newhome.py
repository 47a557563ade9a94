"""Restore into a new home: made beside its place, and given its name when all of it is there."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from neurolake import errors
from neurolake._duckdb import Cursor, Instance, InstanceOptions
from neurolake.activity import Steps
from neurolake.backup.faults import reached
from neurolake.backup.manifest import FOLDED, Manifest
from neurolake.backup.metadata import write_mask_keys, write_metadata
from neurolake.backup.queries import bring_history
from neurolake.backup.restore import Restored, Restoring, in_transaction, restore_into
from neurolake.catalog import Catalog, Source
from neurolake.catalog.store import Store
from neurolake.governance.refolding import places, refold
from neurolake.home import Home, fsync_dir
from neurolake.home.files import mapped
from neurolake.outbox import Outbox
from neurolake.sql.text import Name

__all__ = ["restore_home"]


def restore_home(
    asked: Restoring,
    folder: Path,
    paths: Mapping[str, Path],
    options: InstanceOptions,
    check: Callable[[], None],
    steps: Steps,
) -> Restored:
    """Make a home that holds what was asked for.

    Args:
        folder: where it goes; nothing may be there.
        paths: the checked files, by their hash.
        options: memory and threads; its path does not count.

    Raises:
        AlreadyExists: `restore_exists`.
    """
    folder = folder.expanduser().absolute()
    with mapped(folder):
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise errors.AlreadyExists(
                f"There is something at {folder} already; nothing was restored.",
                code="restore_exists",
                next_step="Name a folder that is not there yet.",
            )
        _clear(folder)
        folder.parent.mkdir(parents=True, exist_ok=True)
    part = folder.with_name(f".{folder.name}.{secrets.token_hex(6)}.restoring")
    try:
        done = _fill(asked, part, paths, options, check, steps)
        check()
        with mapped(folder):
            fsync_dir(part)
            reached("restore.before_rename")
            with suppress(FileNotFoundError):
                folder.rmdir()
            part.rename(folder)
            fsync_dir(folder.parent)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    reached("restore.done")
    return done


def _clear(folder: Path) -> None:
    """Remove what a restore to the same place left that was killed."""
    for left in folder.parent.glob(f".{folder.name}.*.restoring"):
        shutil.rmtree(left, ignore_errors=True)


def _fill(
    asked: Restoring,
    part: Path,
    paths: Mapping[str, Path],
    options: InstanceOptions,
    check: Callable[[], None],
    steps: Steps,
) -> Restored:
    with Home.init(part) as home:
        instance = _instance(home, options)
        store = Store(home.system)
        try:
            catalog = Catalog(store)
            Outbox(instance, catalog)  # makes what a lake's database must have
            cursor = instance.cursor()
            done = in_transaction(cursor, lambda: restore_into(cursor, asked, paths, check, steps))
            instance.checkpoint()
            if asked.everything:
                _bring_metadata(asked.manifest, store, catalog, cursor, done)
                bring_history(asked.manifest, paths, store)
            cursor.close()
        finally:
            store.close()
            instance.close()
    return done


def _instance(home: Home, options: InstanceOptions) -> Instance:
    return Instance(
        InstanceOptions(
            path=str(home.database),
            temp_directory=str(home.tmp),
            memory_bytes_max=options.memory_bytes_max,
            temp_bytes_max=options.temp_bytes_max,
            threads=options.threads,
        )
    )


def _bring_metadata(manifest: Manifest, store: Store, catalog: Catalog, cursor: Cursor, done: Restored) -> None:
    write_metadata(store, manifest.metadata)
    write_mask_keys(store, manifest.mask_keys)
    for content in manifest.sources:
        source = source_of(content)
        catalog.add(source)
        done.objects.append((source.name, "source", 0))
    if manifest.format < FOLDED:
        with store.durable() as db:
            refold(db, places(cursor, db))


def source_of(content: Mapping[str, Any]) -> Source:
    """A registered source as a manifest keeps it."""
    return Source(**{**content, "name": Name(*content["name"])})
