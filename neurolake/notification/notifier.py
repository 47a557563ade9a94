"""Delivers messages in a thread of its own: nobody who runs a backup waits for a slow receiver, or fails by one."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from neurolake.notification.channels import NotDelivered, channels

if TYPE_CHECKING:
    from neurolake.config import Settings
    from neurolake.notification.message import Message
    from neurolake.observe import Metrics

__all__ = ["Delivery", "Notifier"]

logger = logging.getLogger("neurolake.notification")

PAUSE_S = 1.0
"""Before the second attempt; twice that before the third, and so on."""
WAITING_MAX = 100
"""Messages that wait; one more is given up, and said to be."""


class Delivery(NamedTuple):
    """What came of a message by one channel: sent or failed, and why."""

    channel: str
    state: str
    why: str | None

    def __str__(self) -> str:
        return f"{self.channel}: {self.state}" + (f" ({self.why})" if self.why else "")


class Notifier:
    """Messages of one lake.

    Args:
        done: told what came of a message: its query id, and a text for the record.
    """

    def __init__(self, settings: Settings, metrics: Metrics, done: Callable[[str, str], None]) -> None:
        self._settings = settings
        self._metrics = metrics
        self._done = done
        self._channels = channels(settings)
        self._waiting: queue.Queue[Message | None] = queue.Queue(WAITING_MAX)
        self._thread: threading.Thread | None = None
        self._over = threading.Event()

    @property
    def is_set(self) -> bool:
        """Whether there is any channel."""
        return bool(self._channels)

    def offer(self, message: Message) -> None:
        """Deliver a message soon."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="neurolake-notifier", daemon=True)
            self._thread.start()
        try:
            self._waiting.put_nowait(message)
        except queue.Full:
            logger.error("a notification was given up: %s others wait", WAITING_MAX)
            self._done(message.query_id, "failed (too many wait)")

    def deliver(self, message: Message) -> list[Delivery]:
        """Deliver a message now, by every channel."""
        return list(self._delivered(message))

    def close(self) -> None:
        """Deliver what waits, as far as one attempt's time and a half allows."""
        if self._thread is not None:
            try:
                self._waiting.put_nowait(None)
            except queue.Full:
                self._over.set()
            self._thread.join(1.5 * self._settings.notify_timeout_s)
        self._over.set()

    def _work(self) -> None:
        while not self._over.is_set() and (message := self._waiting.get()) is not None:
            self._done(message.query_id, ", ".join(map(str, self.deliver(message))))

    def _delivered(self, message: Message) -> Iterator[Delivery]:
        for name, send in self._channels.items():
            why = self._attempts(send, message)
            if why is not None:
                logger.error("a notification by %s failed: %s", name, why)
            delivery = Delivery(name, "sent" if why is None else "failed", why)
            self._metrics.notified(name, delivery.state)
            yield delivery

    def _attempts(self, send: Callable[[Message], None], message: Message) -> str | None:
        """Why it could not be delivered, in the end."""
        why = None
        for attempt in range(self._settings.notify_attempts_max):
            if attempt and self._over.wait(PAUSE_S * 2 ** (attempt - 1)):
                break
            try:
                send(message)
            except NotDelivered as problem:
                why = problem.why
                if not problem.again:
                    break
            except Exception as fault:  # a fault in one message must not end all that follow
                return f"a fault: {type(fault).__name__}"
            else:
                return None
        return why
