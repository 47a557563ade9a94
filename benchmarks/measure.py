"""What is measured, and how numbers become ratios: CPU and memory of processes, interleaved rounds, medians, floors."""

from __future__ import annotations

import os
import statistics
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import psutil

__all__ = [
    "MemoryPeak",
    "bulk_floor_s",
    "cores",
    "cpu_s",
    "interleaved",
    "median_ratio",
    "quantile",
    "rss_bytes",
]

T = TypeVar("T")


def cores() -> int:
    """The cores that this process, and so each it starts, may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cpu_s(pid: int) -> float:
    """Seconds of CPU, user and system, that a process and its living children have used; exact to about 10 ms."""
    return sum(sum(process.cpu_times()[:2]) for process in _family(pid))


def rss_bytes(pid: int) -> int:
    """Resident memory of a process and its children."""
    return sum(process.memory_info().rss for process in _family(pid))


def _family(pid: int) -> list[psutil.Process]:
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


class MemoryPeak:
    """The most resident memory seen in a process while the block runs, sampled every 20 ms.

    >>> with MemoryPeak(os.getpid()) as peak:
    ...     block = b"x" * 50_000_000
    >>> peak.bytes > 50_000_000
    True
    """

    def __init__(self, pid: int, interval_s: float = 0.02) -> None:
        self.bytes = 0
        self._pid, self._interval_s = pid, interval_s
        self._done = threading.Event()
        self._sampler = threading.Thread(target=self._sample, daemon=True)

    def _sample(self) -> None:
        while not self._done.wait(self._interval_s):
            self._look()

    def _look(self) -> None:
        try:
            self.bytes = max(self.bytes, rss_bytes(self._pid))
        except psutil.NoSuchProcess:  # It ended; what was seen stands.
            self._done.set()

    def __enter__(self) -> MemoryPeak:
        self._look()
        self._sampler.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._sampler.join()
        self._look()


def interleaved(rounds: int, sides: Mapping[str, Callable[[], T]]) -> dict[str, list[T]]:
    """Run every side once a round, so that a machine that slows down slows all of them; each side's results.

    Every other round runs backwards, so that no side always follows the same one.

    >>> order = []
    >>> interleaved(2, {"a": lambda: order.append("a"), "b": lambda: order.append("b")})
    {'a': [None, None], 'b': [None, None]}
    >>> order
    ['a', 'b', 'b', 'a']
    """
    results: dict[str, list[T]] = {name: [] for name in sides}
    for number in range(rounds):
        names = list(sides) if number % 2 == 0 else list(sides)[::-1]
        for name in names:
            results[name].append(sides[name]())
    return results


def median_ratio(values: Sequence[float], baselines: Sequence[float]) -> float:
    """The median of the rounds' ratios: each round's value over the same round's baseline.

    >>> median_ratio([2.0, 30.0, 9.0], [1.0, 10.0, 3.0])
    3.0
    """
    return statistics.median(value / baseline for value, baseline in zip(values, baselines, strict=True))


def quantile(values: Sequence[float], share: float) -> float:
    """The value that this share of the values does not exceed.

    >>> quantile([4, 1, 3, 2], 0.5), quantile([4, 1, 3, 2], 0.99)
    (2, 4)
    """
    ordered = sorted(values)
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)]


def bulk_floor_s(bare_wall_s: float, cpu_parts_s: Sequence[float], core_count: int) -> float:
    """What no server can go under in a bulk fetch on these cores.

    Either the transport bounds it (the wall time of a bare Flight server that streams the same rows from memory),
    or the processors do: the engine, the transport and the client must all do their work on them.

    >>> bulk_floor_s(0.5, [0.96, 0.3, 0.7], 2), bulk_floor_s(0.5, [0.96, 0.3, 0.7], 8)
    (0.98, 0.5)
    """
    return max(bare_wall_s, sum(cpu_parts_s) / core_count)
