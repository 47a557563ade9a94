"""Copy a snapshot into another repository: only the files that it lacks, then the very same manifest."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable
from typing import TYPE_CHECKING

from neurolake.backup.faults import reached
from neurolake.backup.folder import mapped
from neurolake.backup.manifest import External, Manifest, Part

if TYPE_CHECKING:
    from neurolake.backup.repository import Repository

__all__ = ["copy"]


def copy(source: Repository, target: Repository, manifest: Manifest, check: Callable[[], None]) -> int:
    """Copy a snapshot; how many bytes of files were new there. Each file is checked against its hash on the way.

    Raises:
        SourceFailed: `snapshot_corrupt` for a file that is damaged in the source, or what keeps a repository from use.
    """
    staging = target.files.staging / secrets.token_hex(8)
    with target.in_use("create"):
        reached("create.begun")
        there, bytes_new = target.sizes(), 0
        lacking = [part for part in _once(manifest) if there.get(part.file) != part.bytes]
        target.steps.begin(f"copying to {target.location}", bytes_total=sum(part.bytes for part in lacking))
        with mapped(staging):
            staging.mkdir(parents=True, mode=0o700)
        try:
            for part in lacking:
                check()
                made = staging / part.file
                with mapped(staging):
                    shutil.copyfile(source.fetch(part), made)
                source.release(part)
                bytes_new += part.bytes * target.add(made, part.file, part.bytes)
                target.steps.add(bytes=part.bytes)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
        target.publish(manifest)
    return bytes_new


def _once(manifest: Manifest) -> list[Part | External]:
    return list({part.file: part for part in manifest.stored()}.values())
