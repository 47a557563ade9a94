"""How to reach each storage location: the `[storage."prefix"]` tables, and where keys come from.

The table with the longest prefix that fits is used; a prefix fits whole path components, so that `s3://lake/raw`
says nothing about `s3://lake/rawest`. Keys come from the first of these that has any:

1. the table: `access_key_id` and `secret_access_key`, each a reference (`env:`, `file:`) or the value itself;
2. the table's `profile`, read as the AWS tools read it;
3. the environment: `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`;
4. the chain of the AWS tools: `AWS_PROFILE` or the default profile (single sign-on, assumed roles and
   `credential_process` included), web identity, container role, instance role.

`anonymous = true` signs nothing and looks for no keys.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from neurolake import errors
from neurolake.config.environment import environment

Resolve = Callable[[str], str]

DEFAULT_REGION = "us-east-1"
RENEW_BEFORE_S = 300.0
"""Keys that run out within this time are replaced before they are used again."""
REFRESHED_VALID_S = 600.0
"""The AWS tools renew passing keys when less than this is left, so what they hand out lives as long."""
METADATA_TIMEOUT_S = 1.0
"""How long each of two questions to the instance role's service may take: where there is none, it never answers."""

_ALIASES = {"s3a": "s3", "s3n": "s3", "abfss": "abfs", "gcs": "gs"}
_PLAIN_KEYS = frozenset(("endpoint", "region", "path_style", "profile", "anonymous", "allow_http", "ca_file", "driver"))
_SECRET_KEYS = frozenset(("access_key_id", "secret_access_key", "session_token"))
S3_KEYS = _PLAIN_KEYS | _SECRET_KEYS
_HTTP_KEYS = frozenset(("username", "password", "token", "ca_file"))
_FLAGS = frozenset(("path_style", "anonymous", "allow_http"))
_LOOPBACK = re.compile(r"(127\.[\d.]+|localhost|\[?::1\]?)")


def scheme_of(location: str) -> str:
    """The scheme of a URL in its usual spelling; empty for a path.

    >>> scheme_of("s3a://lake/x"), scheme_of("/data/x")
    ('s3', '')
    """
    scheme, separator, _ = location.partition("://")
    return _ALIASES.get(scheme.lower(), scheme.lower()) if separator else ""


def _canonical(location: str) -> str:
    return f"{scheme_of(location)}://{location.partition('://')[2]}"


@dataclass(frozen=True, slots=True)
class StorageConfig:
    """One `[storage."prefix"]` table, its references unresolved. Secrets are not in its repr.

    `options` are keys that only the general route understands.
    """

    prefix: str = ""
    endpoint: str | None = None
    region: str | None = None
    path_style: bool | None = None
    profile: str | None = None
    anonymous: bool = False
    allow_http: bool = False
    ca_file: str | None = None
    driver: str | None = None
    access_key_id: str | None = field(default=None, repr=False)
    secret_access_key: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)
    options: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def parse(cls, prefix: str, table: Mapping[str, object], default_driver: str = "obstore") -> StorageConfig:
        """Read one table.

        Raises:
            InvalidRequest: `storage_invalid`: a key nobody reads, half a pair of keys, a value that cannot be.

        >>> StorageConfig.parse("s3://lake", {"region": "eu-west-1", "access_key_id": "A", "secret_access_key": "B"})
        StorageConfig(prefix='s3://lake', endpoint=None, region='eu-west-1', path_style=None, profile=None, \
anonymous=False, allow_http=False, ca_file=None, driver='obstore')
        """
        scheme = scheme_of(prefix)
        if not scheme:
            raise _invalid(prefix, "a prefix is a URL", "Write it as s3://bucket/prefix.")
        texts = {key: _text(value) for key, value in table.items()}
        driver = texts.get("driver", default_driver) if scheme == "s3" else None
        if scheme == "s3" and driver not in ("obstore", "fsspec"):
            raise _invalid(prefix, f"driver is {driver!r}", "Use obstore or fsspec.")
        own = {"s3": S3_KEYS, "http": _HTTP_KEYS, "https": _HTTP_KEYS}.get(scheme, frozenset[str]())
        unknown = sorted(texts.keys() - own)
        if unknown and (scheme in ("http", "https") or driver == "obstore"):
            raise _invalid(prefix, f"{unknown[0]} is no key of it", f"Use {', '.join(sorted(own))}.")
        named = own & S3_KEYS if scheme == "s3" else own & {"ca_file"}
        values: dict[str, Any] = {k: _flag(prefix, k, v) if k in _FLAGS else v for k, v in texts.items() if k in named}
        values["driver"] = driver
        rest = {k: v for k, v in texts.items() if k not in named}
        config = cls(prefix=prefix, options=rest, **values)
        config._check()
        return config

    def _check(self) -> None:
        if bool(self.access_key_id) != bool(self.secret_access_key):
            missing = "access_key_id" if self.secret_access_key else "secret_access_key"
            raise _invalid(self.prefix, f"{missing} is missing", "Give both keys, or a profile, or anonymous.")
        if self.endpoint is None:
            return
        parts = urlsplit(self.endpoint)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise _invalid(self.prefix, "endpoint is no URL", "Write it as https://host:port.")
        if parts.username or parts.password:
            raise _invalid(self.prefix, "endpoint holds a password", "Use access_key_id and secret_access_key.")
        if parts.scheme == "http" and not self.allow_http and not _LOOPBACK.fullmatch(parts.hostname):
            raise _invalid(
                self.prefix,
                "endpoint is not encrypted",
                "Use https, or say allow_http = true: what is read then crosses the network in the clear.",
            )

    def covers(self, location: str) -> bool:
        """Whether a location begins with the prefix, counted in whole path components.

        >>> StorageConfig(prefix="s3://lake/raw").covers("s3a://lake/raw/x.parquet")
        True
        >>> StorageConfig(prefix="s3://lake/raw").covers("s3://lake/rawest")
        False
        """
        mine, other = _canonical(self.prefix).rstrip("/"), _canonical(location)
        return other == mine or other.startswith(mine + ("//" if mine.endswith(":") else "/"))


class StorageConfigs:
    """All tables. `of` finds the one a location is reached by.

    >>> found = StorageConfigs({"s3://lake": {"region": "a"}, "s3://lake/raw": {"region": "b"}})
    >>> found.of("s3://lake/raw/x.csv").region, found.of("s3://lake/x.csv").region, found.of("s3://sea/x").prefix
    ('b', 'a', '')
    """

    def __init__(self, settings: Mapping[str, Mapping[str, object]], default_driver: str = "obstore") -> None:
        read = (StorageConfig.parse(prefix, table, default_driver) for prefix, table in settings.items())
        self._longest_first = sorted(read, key=lambda config: -len(config.prefix.rstrip("/")))
        self._default = StorageConfig(driver=default_driver)

    def of(self, location: str) -> StorageConfig:
        """The table with the longest prefix of `location`; an empty one where none fits."""
        return next((config for config in self._longest_first if config.covers(location)), self._default)


class Keys(NamedTuple):
    """What requests are signed with. `expires_at` in seconds since 1970; None: never."""

    access_key_id: str
    secret_access_key: str
    session_token: str | None = None
    expires_at: float | None = None

    def __repr__(self) -> str:
        return "Keys(…)"

    @property
    def stale(self) -> bool:
        """Whether they should be replaced before the next use."""
        return self.expires_at is not None and self.expires_at - time.time() < RENEW_BEFORE_S


class Access(NamedTuple):
    """All it takes to talk to one S3 endpoint. `keys` None: nothing is signed."""

    endpoint: str | None
    region: str
    path_style: bool
    keys: Keys | None


def s3_access(config: StorageConfig, resolve: Resolve, bucket: str = "bucket") -> Access:
    """Find the keys, region and endpoint of a table. May ask the instance role's service, for two seconds.

    Args:
        config: the table.
        resolve: turns references into secrets.
        bucket: what the message names where no table does.

    Raises:
        SourceFailed: `source_credentials` where no keys are found anywhere.
        InvalidRequest: a reference leads nowhere.
    """
    environ = environment()
    endpoint = config.endpoint or environ.get("AWS_ENDPOINT_URL_S3") or environ.get("AWS_ENDPOINT_URL") or None
    region = config.region or environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION")
    keys: Keys | None = None
    if config.access_key_id and config.secret_access_key:
        token = resolve(config.session_token) if config.session_token else None
        keys = Keys(resolve(config.access_key_id), resolve(config.secret_access_key), token)
    elif config.anonymous:
        pass
    elif config.profile is None and environ.get("AWS_ACCESS_KEY_ID") and environ.get("AWS_SECRET_ACCESS_KEY"):
        token = environ.get("AWS_SESSION_TOKEN") or None
        keys = Keys(environ["AWS_ACCESS_KEY_ID"], environ["AWS_SECRET_ACCESS_KEY"], token)
    else:
        keys, profile_region, profile_endpoint = _aws_chain(config, bucket)
        region, endpoint = region or profile_region, endpoint or profile_endpoint
    path_style = config.path_style if config.path_style is not None else endpoint is not None
    return Access(endpoint, region or DEFAULT_REGION, path_style, keys)


def _aws_chain(config: StorageConfig, bucket: str) -> tuple[Keys, str | None, str | None]:
    from botocore.credentials import RefreshableCredentials
    from botocore.exceptions import BotoCoreError
    from botocore.session import Session

    place = config.prefix or f"s3://{bucket}"
    session = Session(profile=config.profile)
    session.set_config_variable("metadata_service_timeout", METADATA_TIMEOUT_S)
    session.set_config_variable("metadata_service_num_attempts", 1)
    try:
        found = session.get_credentials()
        frozen = found.get_frozen_credentials() if found is not None else None
        region = session.get_config_variable("region")
        endpoint = session.get_scoped_config().get("endpoint_url")
    except BotoCoreError as error:
        raise _no_keys(place, f"The profile or role cannot be used: {type(error).__name__}.") from None
    if frozen is None or not frozen.access_key or not frozen.secret_key:
        raise _no_keys(
            place,
            "There are no keys in the settings, the environment, a profile or a role.",
        )
    expires_at = time.time() + REFRESHED_VALID_S if isinstance(found, RefreshableCredentials) else None
    return Keys(frozen.access_key, frozen.secret_key, frozen.token, expires_at), region, endpoint


def _no_keys(prefix: str, why: str) -> errors.SourceFailed:
    return errors.SourceFailed(
        f"No credentials for {prefix}. {why}",
        code="source_credentials",
        next_step=f'Give access_key_id and secret_access_key, profile, or anonymous = true in [storage."{prefix}"].',
    )


def _invalid(prefix: str, what: str, next_step: str) -> errors.InvalidRequest:
    return errors.InvalidRequest(f'[storage."{prefix}"]: {what}.', code="storage_invalid", next_step=next_step)


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _flag(prefix: str, key: str, text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise _invalid(prefix, f"{key} is neither true nor false", f"Write {key} = true or {key} = false.")
    return text.lower() == "true"
