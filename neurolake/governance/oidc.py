"""Bearer tokens of an identity provider: signed JWTs, checked against its public keys (a JWKS)."""

from __future__ import annotations

import json
import logging
import re
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from neurolake import errors
from neurolake.config import Settings
from neurolake.governance.objects import word

if TYPE_CHECKING:
    from jwt import PyJWK

logger = logging.getLogger("neurolake")

ALGORITHMS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), "RSA"),
    **dict.fromkeys(("ES256", "ES384", "ES512"), "EC"),
    "EdDSA": "OKP",
}
"""What may sign a token, and the kind of key it takes. None shares a secret with the server."""

JWT_BYTES_MAX: Final = 8192
JWKS_BYTES_MAX: Final = 1 << 20
FETCH_TIMEOUT_S: Final = 5.0
FETCH_PAUSE_S: Final = 10.0
"""Tokens with unknown keys make the keys be fetched again, but not more often than this."""
STALE_S: Final = 3600.0
"""How long keys hold beyond their refresh while the provider cannot be reached."""
NAME_CHARACTERS_MAX: Final = 256
_LOOPBACK: Final = re.compile(r"http://(?:127\.0\.0\.1|localhost|\[::1\])[:/]")


@dataclass(frozen=True, slots=True)
class Identity:
    """What a token says: whose it is, their roles here (None: those the lake knows), when it ends (Unix time), and
    their attributes, of the claims that the settings name."""

    name: str
    roles: tuple[str, ...] | None
    expires: float
    attributes: Mapping[str, str] = field(default_factory=dict, hash=False)


class Oidc:
    """Checks the tokens of one issuer. Safe to share between threads.

    Raises:
        InvalidRequest: `oidc_settings` when the settings are incomplete or name an unfit algorithm.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.enabled = bool(settings.oidc_issuer or settings.oidc_audience or settings.oidc_jwks)
        self._role_names = dict(_pairs(settings.oidc_roles, "oidc_roles", "value=role"))
        named = _pairs(settings.oidc_attributes, "oidc_attributes", "claim=attribute")
        self._attribute_names = [(claim, word(name, what="an attribute")) for claim, name in named]
        if self.enabled:
            _check(settings)
        self._keys = Keys(settings.oidc_jwks, settings.oidc_jwks_refresh_s, settings.oidc_tls_ca)

    def verify(self, token: str) -> Identity:
        """What a token says, once its signature, issuer, audience and time are proven.

        Raises:
            LoginFailed: `token_expired`, `token_not_yet_valid`, or `token_refused`.
            Unavailable: the issuer's keys cannot be had.
        """
        import jwt

        settings = self._settings
        try:
            claims = jwt.decode(
                token,
                self._key_of(token),
                algorithms=list(settings.oidc_algorithms),
                issuer=settings.oidc_issuer,
                audience=settings.oidc_audience,
                leeway=settings.oidc_leeway_s,
                options={"require": ["exp", "iss", "aud"]},
            )
        except jwt.ExpiredSignatureError:
            raise errors.LoginFailed(
                "The token has expired.", code="token_expired", next_step="Get a new one from its issuer."
            ) from None
        except jwt.ImmatureSignatureError:
            raise errors.LoginFailed(
                "The token is not valid yet.", code="token_not_yet_valid", next_step="Compare the clocks."
            ) from None
        except jwt.InvalidTokenError as error:
            raise _refused(_REASONS.get(type(error).__name__, "cannot be verified")) from None
        return Identity(self._name(claims), self._roles(claims), float(claims["exp"]), self._attributes(claims))

    def _key_of(self, token: str) -> PyJWK:
        """The issuer's key that the token names; its header may choose among the pinned algorithms, no more."""
        import jwt

        if len(token) > JWT_BYTES_MAX:
            raise _refused("is too long")
        try:
            header = jwt.get_unverified_header(token)
        except jwt.InvalidTokenError:
            raise _refused("cannot be read") from None
        algorithm = header.get("alg")
        if algorithm not in self._settings.oidc_algorithms:
            raise _refused("is not signed with an algorithm of oidc_algorithms")
        if "crit" in header:
            raise _refused("asks for an extension that is not known here")
        return self._keys.find(header.get("kid"), algorithm)

    def _name(self, claims: Mapping[str, Any]) -> str:
        claim = self._settings.oidc_user_claim
        name = _claim(claims, claim)
        if claim == "email" and claims.get("email_verified") is not True:
            raise _refused("has an e-mail address that its issuer has not verified")
        if not isinstance(name, str) or not 0 < len(name) <= NAME_CHARACTERS_MAX or not name.isprintable():
            raise _refused(f"has no claim {claim} that could be a user's name")
        return name

    def _roles(self, claims: Mapping[str, Any]) -> tuple[str, ...] | None:
        if not self._settings.oidc_role_claim:
            return None
        found = _claim(claims, self._settings.oidc_role_claim)
        values = found.split() if isinstance(found, str) else found if isinstance(found, list) else ()
        mapped = (self._role_names.get(value) for value in values if isinstance(value, str))
        return tuple(dict.fromkeys(role for role in mapped if role is not None))

    def _attributes(self, claims: Mapping[str, Any]) -> dict[str, str]:
        """A claim of another form gives no attribute, and so its user no row of a filter that asks for it."""
        found = ((name, _text(_claim(claims, claim))) for claim, name in self._attribute_names)
        return {name: text for name, text in found if text is not None}


class Keys:
    """The public keys behind a file or URL, fetched when first used, kept for a while, fetched again for a new key.

    Args:
        location: a file, or an https URL; http only on this machine.
        refresh_s: how long they count as fresh.
        tls_ca: a PEM file with the authority of the URL's certificate; empty: the system's.
    """

    def __init__(self, location: str, refresh_s: float, tls_ca: str = "") -> None:
        self._location = location
        self._refresh_s = refresh_s
        self._tls_ca = tls_ca
        self._lock = threading.Lock()
        self._found: tuple[Mapping[str, Any], ...] = ()
        self._fetched = self._tried = float("-inf")

    def find(self, key_id: object, algorithm: str) -> PyJWK:
        """The key of that id, fit for that algorithm.

        Raises:
            LoginFailed: there is none.
            Unavailable: the keys cannot be had, and those at hand are too old.
        """
        with self._lock:
            if time.monotonic() - self._fetched > self._refresh_s:
                self._fetch()
            if time.monotonic() - self._fetched > self._refresh_s + STALE_S:
                raise errors.Unavailable(
                    "The keys of the token's issuer cannot be had.",
                    code="oidc_keys",
                    next_step="Ask an administrator to look at the server's log and at oidc_jwks.",
                )
            key = self._fitting(key_id, algorithm)
            if key is None and self._fetch():
                key = self._fitting(key_id, algorithm)
        if key is None:
            raise _refused("is signed with a key that its issuer does not show")
        return key

    def _fitting(self, key_id: object, algorithm: str) -> PyJWK | None:
        import jwt

        fitting = [key for key in self._found if _fits(key, algorithm) and (key_id is None or key.get("kid") == key_id)]
        if len(fitting) != 1:
            return None
        try:
            return jwt.PyJWK(dict(fitting[0]), algorithm)
        except jwt.PyJWTError:
            return None

    def _fetch(self) -> bool:
        """Fetch the keys, unless that was tried a moment ago; whether they are new."""
        from http.client import HTTPException

        now = time.monotonic()
        if now - self._tried < min(FETCH_PAUSE_S, self._refresh_s):
            return False
        self._tried = now
        try:
            self._found = _keys(_read(self._location, self._tls_ca))
        except (OSError, ValueError, HTTPException) as error:
            logger.warning("the keys of oidc_jwks cannot be had: %s", type(error).__name__)
            return False
        self._fetched = now
        return True


_REASONS: Final[Mapping[str, str]] = {
    "InvalidSignatureError": "has a signature that does not fit",
    "InvalidIssuerError": "comes from another issuer",
    "InvalidAudienceError": "is meant for another audience",
    "MissingRequiredClaimError": "lacks one of exp, iss and aud",
    "InvalidIssuedAtError": "has a time of issue that cannot be read",
}


def _refused(why: str) -> errors.LoginFailed:
    return errors.LoginFailed(f"The token {why}.", code="token_refused", next_step="See docs/authentication.md.")


def _claim(claims: Mapping[str, Any], name: str) -> Any:
    """A claim by its name, or by a path such as `realm_access.roles` into nested ones."""
    if name in claims:
        return claims[name]
    found: Any = claims
    for part in name.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _text(claim: Any) -> str | None:
    """A claim as an attribute is kept: a text as it is, several as a JSON list of them; None for what is neither.

    >>> _text("north"), _text(["north", "south"]), _text(7), _text([{}]), _text("a\\0b")
    ('north', '["north", "south"]', None, None, None)
    """
    texts = claim if isinstance(claim, list) else [claim]
    if not all(isinstance(text, str) and text.isprintable() for text in texts):
        return None
    return json.dumps(claim, ensure_ascii=False) if isinstance(claim, list) else str(claim)


def _pairs(texts: Iterable[str], setting: str, form: str) -> Iterable[tuple[str, str]]:
    for text in texts:
        left, sign, right = text.rpartition("=")
        if not sign or not left or not right:
            raise _unfit(f"{text!r} in {setting} is not of the form {form}")
        yield left, right


def _check(settings: Settings) -> None:
    for name in ("oidc_issuer", "oidc_audience", "oidc_jwks", "oidc_user_claim"):
        if not getattr(settings, name):
            raise _unfit(f"{name} has no value")
    if unfit := [name for name in settings.oidc_algorithms if name not in ALGORITHMS]:
        raise _unfit(f"oidc_algorithms names {unfit[0]}; there are {', '.join(ALGORITHMS)}")
    if not settings.oidc_algorithms:
        raise _unfit("oidc_algorithms is empty")
    url = settings.oidc_jwks
    if "://" in url and not url.startswith("https://") and not _LOOPBACK.match(url):
        raise _unfit("oidc_jwks must be a file or an https URL")


def _unfit(what: str) -> errors.InvalidRequest:
    return errors.InvalidRequest(
        f"Tokens of an identity provider cannot be checked: {what}.",
        code="oidc_settings",
        next_step="See docs/authentication.md.",
    )


def _fits(key: Mapping[str, Any], algorithm: str) -> bool:
    return (
        key.get("kty") == ALGORITHMS[algorithm]
        and key.get("use", "sig") == "sig"
        and key.get("alg", algorithm) == algorithm
    )


def _keys(text: bytes) -> tuple[Mapping[str, Any], ...]:
    found = json.loads(text)
    keys = found.get("keys") if isinstance(found, dict) else None
    if not isinstance(keys, list):
        raise ValueError("no keys")
    return tuple(key for key in keys if isinstance(key, dict))


def _read(location: str, tls_ca: str) -> bytes:
    if "://" not in location:
        return Path(location).expanduser().read_bytes()
    import ssl
    import urllib.request

    class Stay(urllib.request.HTTPRedirectHandler):
        """Keys come from the address that was set, and from no other."""

        def redirect_request(self, *_: Any) -> None:
            return None

    context = ssl.create_default_context(cafile=tls_ca or None)
    opener = urllib.request.build_opener(Stay, urllib.request.HTTPSHandler(context=context))
    with opener.open(location, timeout=FETCH_TIMEOUT_S) as answer:
        read: bytes = answer.read(JWKS_BYTES_MAX + 1)
    if len(read) > JWKS_BYTES_MAX:
        raise ValueError("too long")
    return read
