"""What failed logins cost: after some, each next try waits longer; after many, none is looked at for a while.

Unknown names are counted like known ones, so that being slowed down says nothing about whether a user exists.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from typing import Final, NamedTuple

from neurolake import errors

FREE_FAILURES: Final = 5
BACK_OFF_MAX_S: Final = 30.0
ADDRESS_FACTOR: Final = 10
"""An address may fail this many times as often as a user: many people may sit behind one."""
FORGET_S: Final = 900.0
KEPT_MAX: Final = 100_000
"""More than the password hash lets fail within `FORGET_S`."""


class _Failures(NamedTuple):
    times: int
    last: float


class Lockout:
    """Counts failures by user name and by address. Safe to share between threads.

    Args:
        failures_max: failures in a row after which a name is locked. 0: never.
        lock_s: how long it stays locked.

    >>> door = Lockout(failures_max=20, lock_s=900)
    >>> for _ in range(6):
    ...     door.check("ada", "")
    ...     locked = door.failed("ada", "")
    Traceback (most recent call last):
    neurolake.errors.LoginFailed: Too many failed logins. Wait 1 s. [login_back_off]
    """

    def __init__(self, failures_max: int, lock_s: float) -> None:
        self._failures_max = failures_max
        self._lock_s = lock_s
        self._lock = threading.Lock()
        self._failed: OrderedDict[tuple[str, str], _Failures] = OrderedDict()

    def check(self, name: str, address: str) -> None:
        """Refuse a try that comes too soon.

        Args:
            name: the user's name as given.
            address: where the try comes from; empty where nobody knows.

        Raises:
            LoginFailed: `login_back_off` or `login_locked`; the right password changes nothing about it.
        """
        now = time.monotonic()
        with self._lock:
            waits = [self._wait(key, factor, now) for key, factor in _keys(name, address)]
        wait_s, locked = max(waits)
        if wait_s > 0:
            raise errors.LoginFailed(
                "Too many failed logins.",
                code="login_locked" if locked else "login_back_off",
                next_step=f"Wait {max(1, round(wait_s))} s.",
                retryable=True,
            )

    def failed(self, name: str, address: str) -> bool:
        """Count a failure; whether it is the one that locks."""
        now = time.monotonic()
        locks = False
        with self._lock:
            self._forget(now)
            for key, factor in _keys(name, address):
                before = self._failed.pop(key, None)
                count = (0 if before is None else before.times) + 1
                self._failed[key] = _Failures(count, now)
                locks = locks or count == self._failures_max * factor
        return locks

    def succeeded(self, name: str) -> None:
        """Forget a user's failures. Those of an address stay: a thief may have a login of his own."""
        with self._lock:
            self._failed.pop(("user", name), None)

    def _wait(self, key: tuple[str, str], factor: int, now: float) -> tuple[float, bool]:
        """How long this key must wait yet, and whether because it is locked."""
        count, last = self._failed.get(key, (0, 0.0))
        if self._failures_max and count >= self._failures_max * factor:
            return last + self._lock_s - now, True
        beyond = count - FREE_FAILURES * factor
        return (last + min(BACK_OFF_MAX_S, 2.0 ** min(beyond, 10)) - now, False) if beyond >= 0 else (0.0, False)

    def _forget(self, now: float) -> None:
        oldest = now - max(FORGET_S, self._lock_s)
        while self._failed:
            key, failures = next(iter(self._failed.items()))
            if failures.last > oldest and len(self._failed) < KEPT_MAX:
                return
            del self._failed[key]


class Sparing:
    """Lets so many through in an interval, and counts the others: what anybody can cause must not fill a disk.

    >>> sparing = Sparing(most=2, interval_s=60)
    >>> [sparing.take() for _ in range(4)]
    [0, 0, None, None]
    """

    def __init__(self, most: int, interval_s: float) -> None:
        self._most = most
        self._interval_s = interval_s
        self._lock = threading.Lock()
        self._since = float("-inf")
        self._times = 0

    def take(self) -> int | None:
        """How many were held back before this one; None when it is held back itself."""
        now = time.monotonic()
        with self._lock:
            held = 0
            if now - self._since >= self._interval_s:
                held = max(0, self._times - self._most)
                self._since, self._times = now, 0
            self._times += 1
            return held if self._times <= self._most else None


def _keys(name: str, address: str) -> tuple[tuple[tuple[str, str], int], ...]:
    user = (("user", name), 1)
    return (user, (("address", address), ADDRESS_FACTOR)) if address else (user,)
