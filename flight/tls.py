"""Certificates from files: read whole, checked before they are used, and looked at again for renewed ones."""

from __future__ import annotations

import hashlib
import logging
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from neurolake import errors
from neurolake.config import Settings

logger = logging.getLogger("neurolake.flight")

WARN_S: Final = 14 * 86_400
"""A certificate that ends sooner than this is worth a warning."""


@dataclass(frozen=True, slots=True)
class Certificates:
    """What the listeners show and ask for. Empty without TLS.

    Attributes:
        chain: the server's certificate chain, PEM.
        key: its private key, PEM.
        client_ca: the authorities whose client certificates are taken, PEM.
        expires: when the server's certificate ends, Unix time; 0 without TLS.
    """

    chain: bytes = b""
    key: bytes = b""
    client_ca: bytes = b""
    expires: float = 0.0

    def __repr__(self) -> str:
        return f"Certificates(expires={self.expires})"

    def options(self) -> dict[str, Any]:
        """What pyarrow's server takes."""
        return {"tls_certificates": [(self.chain, self.key)] if self.chain else []}

    def options_mtls(self) -> dict[str, Any]:
        """What pyarrow's server takes to let in only who has a certificate."""
        return {**self.options(), "verify_client": True, "root_certificates": self.client_ca}


def read(settings: Settings, known: Certificates | None = None) -> Certificates:
    """Read and check the files that the settings name; `known` where nothing in them has changed.

    Raises:
        InvalidRequest: `tls_certificate` when one cannot be read, or the key is another certificate's.
    """
    if not settings.tls_cert:
        return Certificates()
    chain, key = _content("tls_cert", settings.tls_cert), _content("tls_key", settings.tls_key)
    client_ca = _content("mtls_ca", settings.mtls_ca) if settings.mtls_ca else b""
    if known is not None and (chain, key, client_ca) == (known.chain, known.key, known.client_ca):
        return known
    return Certificates(chain, key, client_ca, _checked(chain, key, client_ca))


def https(settings: Settings) -> ssl.SSLContext:
    """For the HTTP port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    renew(context, settings)
    return context


def renew(context: ssl.SSLContext, settings: Settings) -> None:
    """Have new connections of a context see the certificate that is in the files now."""
    try:
        context.load_cert_chain(settings.tls_cert, settings.tls_key, password=lambda: "")
    except (OSError, ValueError) as error:  # SSLError is an OSError
        raise _unfit("tls_cert", f"cannot be used: {_words(error)}") from None


class Watch:
    """Looks at the files now and then, and hands over renewed certificates. One that is unfit changes nothing.

    `current` are those in use.

    Args:
        settings: name the files, and how often they are looked at.
        current: the certificates in use.
        renewed: takes the new ones into use.
    """

    def __init__(self, settings: Settings, current: Certificates, renewed: Callable[[Certificates], None]) -> None:
        self._settings = settings
        self.current = current
        self._refused = b""
        self._renewed = renewed
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        if settings.tls_reload_s and current.chain:
            self._thread = threading.Thread(target=self._look_until_over, name="neurolake-certificates", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Stop looking."""
        self._over.set()
        if self._thread is not None:
            self._thread.join()

    def _look_until_over(self) -> None:
        while not self._over.wait(self._settings.tls_reload_s):
            self.look()

    def look(self) -> None:
        """Look once."""
        try:
            found = read(self._settings, self.current)
            if found is self.current:
                self._refused = b""
                return
            if found.expires < time.time() < self.current.expires:
                raise _unfit("tls_cert", "has expired; the one in use has not")
            self._renewed(found)
        except errors.NeuroLakeError as problem:
            # Once for each, not at every look: files are often replaced one after the other.
            mark = hashlib.sha256(str(problem).encode()).digest()
            if mark != self._refused:
                logger.warning("the certificates in use stay: %s", problem)
            self._refused = mark
            return
        self.current, self._refused = found, b""
        logger.info("renewed certificates are in use; they end in %.0f days", (found.expires - time.time()) / 86_400)


def _checked(chain: bytes, key: bytes, client_ca: bytes) -> float:
    """When the certificate ends, once everything is known to be in order."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    setting = "tls_cert"
    try:
        certificate = x509.load_pem_x509_certificates(chain)[0]
        setting = "tls_key"
        fits = load_pem_private_key(key, None).public_key() == certificate.public_key()
        setting = "mtls_ca"
        if client_ca:
            x509.load_pem_x509_certificates(client_ca)
    except (ValueError, TypeError):  # the latter for a key that asks for a password
        raise _unfit(setting, "is not a PEM file that can be read without a password") from None
    if not fits:
        raise _unfit("tls_key", "is not the key of tls_cert")
    ends = certificate.not_valid_after_utc.timestamp()
    if ends < time.time() + WARN_S:
        logger.warning("the server's certificate ends in %.1f days", (ends - time.time()) / 86_400)
    return ends


def _content(setting: str, path: str) -> bytes:
    try:
        return Path(path).expanduser().read_bytes()
    except OSError as error:
        raise _unfit(setting, f"cannot be read: {error.strerror}") from None


def _words(error: Exception) -> str:
    return str(getattr(error, "reason", None) or "it cannot be read").lower().replace("_", " ")


def _unfit(what: str, why: str) -> errors.InvalidRequest:
    return errors.InvalidRequest(
        f"{what} {why}.", code="tls_certificate", next_step="Check the files; see docs/authentication.md."
    )
