"""Signed tokens of an identity provider: what is let in, and everything that must not be."""

from __future__ import annotations

import base64
import http.server
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from neurolake import errors
from neurolake.config import load
from neurolake.governance import oidc
from neurolake.governance.oidc import Oidc

ISSUER, AUDIENCE = "https://login.example.com", "lake"
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC = ec.generate_private_key(ec.SECP256R1())
OTHER = ec.generate_private_key(ec.SECP256R1())


def shown(key: Any, key_id: str | None, **about: str) -> dict[str, Any]:
    """A key as a provider shows it."""
    kind = jwt.algorithms.RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else jwt.algorithms.ECAlgorithm
    made: dict[str, Any] = json.loads(kind.to_jwk(key.public_key()))
    return {**made, **({"kid": key_id} if key_id else {}), **about}


def signed(key: Any = EC, algorithm: str = "ES256", key_id: str | None = "ec", **claims: Any) -> str:
    now = time.time()
    basis = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ada", "exp": now + 60}
    kept = {name: value for name, value in {**basis, **claims}.items() if value is not None}
    return jwt.encode(kept, key, algorithm, headers={"kid": key_id} if key_id else None)


@pytest.fixture
def jwks(tmp_path: Path) -> Path:
    path = tmp_path / "jwks.json"
    path.write_text(json.dumps({"keys": [shown(RSA, "rsa"), shown(EC, "ec", use="sig", alg="ES256")]}))
    return path


@pytest.fixture
def provider(jwks: Path) -> Oidc:
    return made(jwks)


def made(jwks: Path | str, **settings: object) -> Oidc:
    basis = {"oidc_issuer": ISSUER, "oidc_audience": AUDIENCE, "oidc_jwks": str(jwks), "oidc_leeway_s": 5.0}
    return Oidc(load(None, {}, {**basis, "oidc_algorithms": ("RS256", "ES256"), **settings}))


def refused(provider: Oidc, token: str) -> errors.LoginFailed:
    with pytest.raises(errors.LoginFailed) as caught:
        provider.verify(token)
    return caught.value


def forged(token: str, header: dict[str, Any] | None = None, claims: dict[str, Any] | None = None) -> str:
    """A token with parts of it replaced, and the old signature."""
    parts = token.split(".")
    for place, change in ((0, header), (1, claims)):
        if change is not None:
            old = json.loads(base64.urlsafe_b64decode(parts[place] + "==="))
            parts[place] = base64.urlsafe_b64encode(json.dumps({**old, **change}).encode()).decode().rstrip("=")
    return ".".join(parts)


class TestLetIn:
    @pytest.mark.parametrize(
        ("key", "algorithm", "key_id"), [(EC, "ES256", "ec"), (RSA, "RS256", "rsa"), (RSA, "RS256", None)]
    )
    def test_who_has_a_token(self, provider: Oidc, key: Any, algorithm: str, key_id: str | None) -> None:
        found = provider.verify(signed(key, algorithm, key_id))
        assert (found.name, found.roles) == ("ada", None)
        assert found.expires == pytest.approx(time.time() + 60, abs=5)

    @pytest.mark.parametrize("audience", [AUDIENCE, [AUDIENCE, "others"]])
    def test_one_audience_of_several(self, provider: Oidc, audience: object) -> None:
        assert provider.verify(signed(aud=audience)).name == "ada"

    def test_clocks_that_differ_a_little(self, provider: Oidc) -> None:
        now = time.time()
        assert provider.verify(signed(exp=now - 2, nbf=now + 2, iat=now + 2)).name == "ada"

    @pytest.mark.parametrize("groups", [["staff", "data", 7], "staff data"])
    def test_groups_lead_to_roles(self, jwks: Path, groups: object) -> None:
        provider = made(jwks, oidc_role_claim="groups", oidc_roles=("data=analyst", "staff=reader", "root=admin"))
        assert provider.verify(signed(groups=groups)).roles == ("reader", "analyst")
        assert provider.verify(signed()).roles == ()

    def test_nested_claims(self, jwks: Path) -> None:
        provider = made(jwks, oidc_role_claim="realm_access.roles", oidc_roles=("data=analyst",))
        assert provider.verify(signed(realm_access={"roles": ["data"]})).roles == ("analyst",)

    def test_claims_that_are_named_become_attributes(self, jwks: Path) -> None:
        named = ("region=Region", "realm.areas=areas", "level=level", "who=who", "none=none")
        provider = made(jwks, oidc_attributes=named)
        claims = {"realm": {"areas": ["north", "Süd"]}, "level": 7, "who": [{"a": "b"}], "other": "x"}
        found = provider.verify(signed(region="north", **claims)).attributes
        assert found == {"region": "north", "areas": '["north", "Süd"]'}
        assert made(jwks).verify(signed(region="north")).attributes == {}

    @pytest.mark.parametrize("named", ["region", "=region", "region=", "region=a b"])
    def test_names_of_attributes_that_are_none(self, jwks: Path, named: str) -> None:
        with pytest.raises(errors.InvalidRequest) as caught:
            made(jwks, oidc_attributes=(named,))
        assert caught.value.code in ("oidc_settings", "bad_name")

    def test_by_another_claim(self, jwks: Path) -> None:
        assert made(jwks, oidc_user_claim="name").verify(signed(name="Ada")).name == "Ada"


class TestRefused:
    @pytest.mark.parametrize(
        ("claims", "code"),
        [({"iss": "https://evil.example.com"}, "token_refused"), ({"aud": "another"}, "token_refused"),
         ({"exp": None}, "token_refused"), ({"iss": None}, "token_refused"), ({"aud": None}, "token_refused"),
         ({"sub": None}, "token_refused"), ({"sub": ""}, "token_refused"), ({"sub": "a\nb"}, "token_refused"),
         ({"sub": "x" * 300}, "token_refused")],
    )  # fmt: skip
    def test_by_its_claims(self, provider: Oidc, claims: dict[str, object], code: str) -> None:
        assert refused(provider, signed(**claims)).code == code

    @pytest.mark.parametrize(
        ("claim", "ahead_s", "code"),
        [("exp", -60, "token_expired"), ("nbf", 600, "token_not_yet_valid"), ("iat", 600, "token_not_yet_valid")],
    )
    def test_by_its_time(self, provider: Oidc, claim: str, ahead_s: float, code: str) -> None:
        assert refused(provider, signed(**{claim: time.time() + ahead_s})).code == code

    @pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE", ""])
    def test_without_a_signature(self, provider: Oidc, algorithm: str) -> None:
        token = forged(signed(), {"alg": algorithm})
        for text in (token, token.rpartition(".")[0] + "."):
            assert refused(provider, text).code == "token_refused"

    def test_signed_with_the_public_key_as_a_shared_secret(self, provider: Oidc) -> None:
        import hashlib
        import hmac

        public = RSA.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        body = forged(signed(RSA, "RS256", "rsa"), {"alg": "HS256"}).rpartition(".")[0]
        mac = base64.urlsafe_b64encode(hmac.digest(public, body.encode(), hashlib.sha256)).decode().rstrip("=")
        assert refused(provider, f"{body}.{mac}").code == "token_refused"

    def test_a_key_used_with_another_kind_of_algorithm(self, provider: Oidc) -> None:
        assert refused(provider, forged(signed(), {"alg": "RS256"})).code == "token_refused"
        assert refused(provider, forged(signed(RSA, "RS256", "rsa"), {"alg": "ES256"})).code == "token_refused"

    def test_an_algorithm_that_is_not_pinned(self, jwks: Path) -> None:
        provider = made(jwks, oidc_algorithms=("RS256",))
        assert refused(provider, signed()).code == "token_refused"
        assert refused(provider, signed(RSA, "RS512", "rsa")).code == "token_refused"

    def test_a_key_for_encryption(self, tmp_path: Path) -> None:
        path = tmp_path / "enc.json"
        path.write_text(json.dumps({"keys": [shown(EC, "ec", use="enc")]}))
        assert refused(made(path), signed()).code == "token_refused"

    def test_another_key_of_the_same_name(self, provider: Oidc) -> None:
        assert refused(provider, signed(OTHER)).code == "token_refused"

    def test_a_key_that_the_token_brings_along(self, provider: Oidc) -> None:
        own = {"jwk": shown(OTHER, "ec"), "jku": "https://evil.example.com/jwks", "x5u": "https://evil.example.com"}
        token = jwt.encode(
            {"iss": ISSUER, "aud": AUDIENCE, "sub": "ada", "exp": time.time() + 60}, OTHER, "ES256",
            headers={"kid": "ec", **own},
        )  # fmt: skip
        assert refused(provider, token).code == "token_refused"

    @pytest.mark.parametrize("key_id", ["../../etc/passwd", "' OR 1=1 --", "nobody's", 7])
    def test_a_key_that_is_not_there(self, provider: Oidc, key_id: object) -> None:
        token = forged(signed(), {"kid": key_id})
        assert refused(provider, token).code == "token_refused"

    def test_changed_claims(self, provider: Oidc) -> None:
        assert refused(provider, forged(signed(), claims={"sub": "admin"})).code == "token_refused"

    def test_an_unknown_extension(self, provider: Oidc) -> None:
        assert refused(provider, forged(signed(), {"crit": ["x"], "x": 1})).code == "token_refused"

    @pytest.mark.parametrize("text", ["..", "a.b.c", "e30.e30.e30", "\0.\0.\0", "ö.ö.ö", "x" * 9000 + ".a.b"])
    def test_no_token_at_all(self, provider: Oidc, text: str) -> None:
        assert refused(provider, text).code == "token_refused"

    def test_an_address_that_is_not_verified(self, jwks: Path) -> None:
        provider = made(jwks, oidc_user_claim="email")
        for verified in (None, False, "true"):
            assert refused(provider, signed(email="ada@example.com", email_verified=verified)).code == "token_refused"
        assert provider.verify(signed(email="ada@example.com", email_verified=True)).name == "ada@example.com"


class Server:
    """Shows keys on loopback, and counts how often it was asked."""

    def __init__(self) -> None:
        self.body, self.asked, self.status = b"", 0, 200
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked += 1
                self.send_response(outer.status)
                self.send_header("Location", "/elsewhere")
                self.end_headers()
                self.wfile.write(outer.body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/jwks"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def show(self, *keys: dict[str, Any]) -> None:
        self.body = json.dumps({"keys": keys}).encode()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    server.show(shown(EC, "ec"))
    yield server
    server.close()


class TestKeys:
    def test_they_are_fetched_once(self, server: Server) -> None:
        provider = made(server.url)
        for _ in range(5):
            provider.verify(signed())
        assert server.asked == 1

    def test_a_new_key_is_found_and_the_old_one_is_gone(self, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        provider = made(server.url)
        provider.verify(signed())
        server.show(shown(OTHER, "new"))
        monkeypatch.setattr(oidc, "FETCH_PAUSE_S", 0.0)
        assert provider.verify(signed(OTHER, key_id="new")).name == "ada"
        assert refused(provider, signed()).code == "token_refused"

    def test_unknown_keys_do_not_make_it_ask_again_and_again(self, server: Server) -> None:
        provider = made(server.url)
        for number in range(20):
            refused(provider, signed(OTHER, key_id=f"{number}"))
        assert server.asked == 1

    def test_they_hold_while_the_provider_is_away_but_not_for_ever(
        self, server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        provider = made(server.url, oidc_jwks_refresh_s=1.0)
        provider.verify(signed())
        server.status, server.body = 500, b"not now"
        now = time.monotonic()
        monkeypatch.setattr(oidc.time, "monotonic", lambda: now + 60)
        assert provider.verify(signed()).name == "ada"
        monkeypatch.setattr(oidc.time, "monotonic", lambda: now + 2 * oidc.STALE_S)
        for _ in range(2):
            with pytest.raises(errors.Unavailable) as caught:
                provider.verify(signed())
            assert (caught.value.code, caught.value.retryable) == ("oidc_keys", True)

    @pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"keys": 7}', b"<html>", b"\xff"])
    def test_what_is_no_jwks_lets_nobody_in(self, server: Server, body: bytes) -> None:
        server.body = body
        with pytest.raises(errors.Unavailable):
            made(server.url).verify(signed())

    def test_a_redirect_is_not_followed(self, server: Server) -> None:
        server.status = 302
        with pytest.raises(errors.Unavailable):
            made(server.url).verify(signed())
        assert server.asked == 1

    def test_a_file_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(errors.Unavailable):
            made(tmp_path / "none.json").verify(signed())


class TestSettings:
    @pytest.mark.parametrize(
        "settings",
        [{"oidc_issuer": ""}, {"oidc_audience": ""}, {"oidc_user_claim": ""}, {"oidc_algorithms": ("HS256",)},
         {"oidc_algorithms": ("none",)}, {"oidc_algorithms": ()}, {"oidc_roles": ("staff",)},
         {"oidc_jwks": "http://login.example.com/jwks"}, {"oidc_jwks": "ftp://127.0.0.1/jwks"},
         {"oidc_jwks": "http://127.0.0.1.evil.example.com/jwks"}, {"oidc_jwks": "file:///etc/passwd"}],
    )  # fmt: skip
    def test_unfit_ones_are_refused_at_the_start(self, jwks: Path, settings: dict[str, object]) -> None:
        with pytest.raises(errors.InvalidRequest) as caught:
            made(jwks, **settings)
        assert caught.value.code == "oidc_settings"

    def test_without_any_it_is_off(self) -> None:
        assert not Oidc(load(None, {}, {})).enabled
