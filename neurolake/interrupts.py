"""Ctrl-C while the engine works: it cancels the statement and comes back as KeyboardInterrupt.

Python runs signal handlers between bytecodes of the main thread, so a main thread inside the engine would not hear
the signal. The C-level handler writes to the wake-up descriptor at once; one small thread reads it and interrupts.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator

_main = threading.main_thread()
_target: Callable[[], None] | None = None
_wake: int | None = None
_QUIET: contextlib.AbstractContextManager[None] = contextlib.nullcontext()


def _listen(descriptor: int) -> None:
    while True:
        try:
            signals = os.read(descriptor, 64)
        except OSError:
            return
        if signal.SIGINT in signals and (press := _target) is not None:
            press()


def _wakeup() -> int:
    global _wake
    if _wake is None:
        ours, _wake = os.pipe()
        os.set_blocking(_wake, False)
        threading.Thread(target=_listen, args=(ours,), name="neurolake-ctrl-c", daemon=True).start()
    return _wake


def hears_ctrl_c(press: Callable[[], None]) -> contextlib.AbstractContextManager[None]:
    """While the block runs in the main thread, Ctrl-C calls `press` at once. Elsewhere it does nothing."""
    if threading.get_ident() != _main.ident or signal.getsignal(signal.SIGINT) is None:
        return _QUIET
    return _hearing(press)


@contextlib.contextmanager
def _hearing(press: Callable[[], None]) -> Iterator[None]:
    global _target
    previous = signal.set_wakeup_fd(_wakeup(), warn_on_full_buffer=False)
    outer, _target = _target, press
    try:
        yield
    finally:
        _target = outer
        signal.set_wakeup_fd(previous, warn_on_full_buffer=False)
