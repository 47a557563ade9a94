"""How much memory and how many cores this process may use: the machine's, or less inside a container."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

__all__ = ["cores", "memory_bytes"]

# Without a limit, cgroup v1 reports the largest page-aligned integer instead of a word.
_UNLIMITED_BYTES = 1 << 60


def memory_bytes(root: Path = Path("/")) -> int:
    """The memory this process may use, in bytes: the machine's, or its container's when that is smaller.

    Args:
        root: the folder that holds `proc` and `sys`; tests give a copy.
    """
    limits = [_machine_memory_bytes(root)]
    for folder in _cgroup_folders(root, "memory"):
        for name in ("memory.max", "memory.limit_in_bytes"):
            limit = _read(folder / name)
            if limit.isdigit() and 0 < int(limit) < _UNLIMITED_BYTES:
                limits.append(int(limit))
    return min(limits)


def cores(root: Path = Path("/")) -> int:
    """The cores this process may keep busy: its affinity, or its container's share rounded up. At least 1."""
    # macOS has no affinity to ask for.
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    shares = [float(available)]
    for folder in _cgroup_folders(root, "cpu"):
        quota, _, period = _read(folder / "cpu.max").partition(" ")
        if not quota:
            quota, period = _read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us")
        if quota.isdigit() and period.isdigit() and int(quota) > 0 and int(period) > 0:
            shares.append(int(quota) / int(period))
    return max(1, math.ceil(min(shares)))


def _machine_memory_bytes(root: Path) -> int:
    for line in _read(root / "proc/meminfo").splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) * 1024
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 4 << 30  # Windows has no sysconf: a size every machine that runs this has.


def _cgroup_folders(root: Path, controller: str) -> Iterator[Path]:
    """The process's own control group and every one above it: the tightest limit counts.

    Inside a container `/proc/self/cgroup` may name the host's path while the mount shows only the
    container's part of it, so folders that are not there are passed over and the mount's top is always read.
    """
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, controllers, group = line.split(":", 2)
        if controllers == "":
            top = root / "sys/fs/cgroup"
        elif controller in controllers.split(","):
            top = root / "sys/fs/cgroup" / controller
        else:
            continue
        parts = Path(group.lstrip("/")).parts
        yield from (top.joinpath(*parts[:depth]) for depth in range(len(parts), -1, -1))


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
