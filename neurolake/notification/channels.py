"""The channels a message goes by. Each delivers within a time limit, or raises `NotDelivered`."""

from __future__ import annotations

import hashlib
import hmac
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from neurolake import errors
from neurolake.config import resolve_secret

if TYPE_CHECKING:
    import smtplib
    from email.message import EmailMessage

    from neurolake.config import Settings
    from neurolake.notification.message import Message

__all__ = ["NotDelivered", "channels", "signature"]


class NotDelivered(Exception):
    """A message was not delivered. `why` names neither addresses nor what servers said; `again` may help."""

    def __init__(self, why: str, *, again: bool) -> None:
        super().__init__(why)
        self.why = why
        self.again = again


def channels(settings: Settings) -> Mapping[str, Callable[[Message], None]]:
    """The channels that are set, by name."""
    found: dict[str, Callable[[Message], None]] = {}
    if settings.notify_webhook_url:
        found["webhook"] = lambda message: _post(settings, message)
    if settings.notify_email_to:
        found["e-mail"] = lambda message: _mail(settings, message)
    return found


def signature(key: str, timestamp: str, body: bytes) -> str:
    """What a receiver compares with the header X-NeuroLake-Signature: of the time and the body, so that neither can be
    another's.

    >>> signature("key", "1800000000", b"{}")[:23]
    'sha256=7321475872b03ff2'
    """
    digest = hmac.new(key.encode(), timestamp.encode() + b"." + body, hashlib.sha256)
    return f"sha256={digest.hexdigest()}"


# Webhook


def _post(settings: Settings, message: Message) -> None:
    import asyncio

    import aiohttp

    body, now = message.json(), str(int(time.time()))
    headers = {
        "Content-Type": "application/json", "User-Agent": "neurolake", "X-NeuroLake-Delivery": message.query_id,
        "X-NeuroLake-Timestamp": now,
    }  # fmt: skip
    if settings.notify_webhook_key:
        headers["X-NeuroLake-Signature"] = signature(_secret(settings.notify_webhook_key), now, body)
    url, context = settings.notify_webhook_url, _context(settings)
    if not url.startswith(("http://", "https://")):  # which reads like a reference to a store
        url = _secret(url)

    async def post() -> int:
        limit = aiohttp.ClientTimeout(total=settings.notify_timeout_s)
        # A redirect is not followed: whoever answers would choose who is told.
        async with (
            aiohttp.ClientSession(timeout=limit) as session,
            session.post(url, data=body, headers=headers, ssl=context, allow_redirects=False) as answer,
        ):
            return answer.status

    try:
        status = asyncio.run(post())
    except TimeoutError:
        raise NotDelivered("timed out", again=True) from None
    except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError, ValueError):
        raise NotDelivered("its URL is none", again=False) from None
    except (aiohttp.ClientError, OSError) as problem:
        raise NotDelivered(type(problem).__name__, again=True) from None
    if not 200 <= status < 300:
        raise NotDelivered(f"HTTP {status}", again=status >= 500 or status == 429)


# E-mail


def _mail(settings: Settings, message: Message) -> None:
    import smtplib

    if settings.notify_smtp_user and settings.notify_smtp_security == "none":
        raise NotDelivered("notify_smtp_user needs TLS", again=False)
    try:
        with _connected(settings) as smtp:
            if settings.notify_smtp_user:
                smtp.login(settings.notify_smtp_user, _secret(settings.notify_smtp_password))
            refused = smtp.send_message(_composed(settings, message))
    except smtplib.SMTPResponseException as problem:
        raise NotDelivered(
            f"{type(problem).__name__}, SMTP {problem.smtp_code}", again=400 <= problem.smtp_code < 500
        ) from None
    except TimeoutError:
        raise NotDelivered("timed out", again=True) from None
    except (smtplib.SMTPRecipientsRefused, smtplib.SMTPNotSupportedError, ValueError) as problem:
        raise NotDelivered(type(problem).__name__, again=False) from None
    except OSError as problem:
        raise NotDelivered(type(problem).__name__, again=True) from None
    if refused:
        raise NotDelivered(f"{len(refused)} of {len(settings.notify_email_to)} recipients were refused", again=False)


@contextmanager
def _connected(settings: Settings) -> Iterator[smtplib.SMTP]:
    """A connection as it is to be protected, cut when its time is over, however slowly the server answers."""
    import smtplib
    import socket
    import threading

    place = settings.notify_smtp_host, settings.notify_smtp_port
    limit, name = settings.notify_timeout_s, socket.gethostname()
    if settings.notify_smtp_security == "tls":
        smtp: smtplib.SMTP = smtplib.SMTP_SSL(*place, name, timeout=limit, context=_context(settings))
    else:
        smtp = smtplib.SMTP(*place, name, timeout=limit)

    def cut() -> None:
        if smtp.sock is not None:
            with suppress(OSError):
                smtp.sock.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(limit, cut)
    timer.daemon = True
    timer.start()
    try:
        with smtp:
            if settings.notify_smtp_security == "starttls":
                smtp.starttls(context=_context(settings))
            yield smtp
    finally:
        timer.cancel()


def _composed(settings: Settings, message: Message) -> EmailMessage:
    from email.message import EmailMessage
    from email.utils import formatdate, make_msgid

    sender = settings.notify_email_from or settings.notify_email_to[0]
    mail = EmailMessage()
    mail["Subject"], mail["From"], mail["To"] = message.subject, sender, ", ".join(settings.notify_email_to)
    mail["Date"], mail["Message-ID"] = formatdate(), make_msgid(domain=sender.rpartition("@")[2].strip("> ") or None)
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(message.text())
    mail.add_alternative(message.html(), subtype="html")
    return mail


def _context(settings: Settings) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=settings.notify_tls_ca or None)
    except OSError:
        raise NotDelivered("notify_tls_ca cannot be read", again=False) from None


def _secret(reference: str) -> str:
    try:
        return resolve_secret(reference)
    except errors.InvalidRequest as problem:
        raise NotDelivered(problem.code, again=False) from None
