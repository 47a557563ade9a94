"""Build one frozen `Settings` from the home's file, the environment and flags, each over the one before."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from neurolake.config.environment import environment
from neurolake.config.table import SETTINGS, Setting, SettingValues
from neurolake.config.values import format_value, parse_value
from neurolake.errors import HomeProblem, InvalidRequest

__all__ = ["SETTINGS_FILE", "Origin", "Settings", "Shown", "load", "no_such_setting"]

SETTINGS_FILE = "neurolake.toml"

Origin = Literal["default", "file", "environment", "flag", "session"]

_BY_NAME = {setting.name: setting for setting in SETTINGS}
_NOT_SETTINGS = frozenset(("format_version", "storage"))
"""What else the file may hold."""
_PREFIX = "NEUROLAKE_"
_CLIENT = frozenset(("LAKE", "URI", "USER", "PASSWORD", "TOKEN", "TLS_CA", "REPO"))
"""Variables that say where a command connects; they are no settings of a lake."""
_KUBERNETES = re.compile(r"(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_\w+)?)")
_KUBERNETES_ADDRESS = re.compile(r"(tcp|udp|sctp)://")
_OPEN_STORAGE_KEYS = frozenset(
    ("endpoint", "region", "path_style", "profile", "driver", "allow_http", "anonymous", "ca_file")
)
_HIDDEN = "***"


class Shown(NamedTuple):
    """A setting as a reader may see it."""

    name: str
    value: str
    source: str
    help: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(SettingValues):
    """Every setting of one lake. Frozen; two lakes in a process share nothing.

    `origins` names where each value that is not a default came from.

    >>> settings = Settings(statement_timeout_s=30)
    >>> settings.with_flags(threads=2, memory_bytes_max="2GiB").memory_bytes_max
    2147483648
    """

    origins: Mapping[str, Origin] = field(default_factory=lambda: MappingProxyType({}), repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.concurrent_statements_max == 0:
            object.__setattr__(self, "concurrent_statements_max", max(4, 2 * self.threads))
        if bool(self.tls_cert) != bool(self.tls_key):
            missing = "tls_key" if self.tls_cert else "tls_cert"
            raise InvalidRequest(
                f"TLS needs a certificate and its key, and {missing} is not set.",
                code="setting_invalid",
                next_step="Set tls_cert and tls_key, or neither.",
            )

    def with_flags(self, **values: object) -> Settings:
        """A copy with values over all others, as flags and arguments of `connect` are. None changes nothing.

        Raises:
            InvalidRequest: `setting_unknown` or `setting_invalid`.
        """
        return self._with(values, "flag")

    def with_session(self, **values: object) -> Settings:
        """A copy with a session's own values: only those a session may have, and no limit above the server's.

        Raises:
            InvalidRequest: `setting_unknown`, `setting_invalid`, or `setting_fixed` where only an
                administrator may.

        >>> Settings(result_rows_max=100).with_session(result_rows_max=10).result_rows_max
        10
        """
        changed = self._with(values, "session")
        for name in values:
            setting = _BY_NAME[name]
            if not setting.per_session:
                raise InvalidRequest(
                    f"{name} is a setting of the whole lake, not of a session.",
                    code="setting_fixed",
                    next_step=f"An administrator sets it in {SETTINGS_FILE} or as {setting.variable}.",
                )
            limit, wanted = getattr(self, name), getattr(changed, name)
            if setting.ceiling and limit != 0 and not 0 < wanted <= limit:
                raise InvalidRequest(
                    f"{name} may be at most {format_value(setting.type, limit)} here.",
                    code="setting_fixed",
                    next_step=f"An administrator raises it in {SETTINGS_FILE} or as {setting.variable}.",
                )
        return changed

    def reaching_storage_as(self, other: Settings) -> Settings:
        """A copy with the storage tables and limits of another lake's settings."""
        limits = {s.name: getattr(other, s.name) for s in SETTINGS if s.name.startswith("storage_")}
        return replace(self, storage=other.storage, **limits)

    def show(self) -> list[Shown]:
        """Every setting with its value and where it came from. Secrets are hidden."""
        rows = [
            Shown(s.name, _visible(s, getattr(self, s.name)), self.origins.get(s.name, "default"), s.help)
            for s in SETTINGS
        ]
        for prefix, table in sorted(self.storage.items()):
            for key, value in sorted(table.items()):
                visible = value if key in _OPEN_STORAGE_KEYS else _HIDDEN
                rows.append(Shown(f'storage."{prefix}".{key}', visible, "file", "Access to this storage."))
        return rows

    def _with(self, values: Mapping[str, object], origin: Origin) -> Settings:
        read = _read((name, value, f"the argument {name}") for name, value in values.items())
        origins = {**self.origins, **dict.fromkeys(read, origin)}
        derived = max(4, 2 * self.threads)
        if "concurrent_statements_max" not in origins and self.concurrent_statements_max == derived:
            read["concurrent_statements_max"] = 0
        return replace(self, **read, origins=MappingProxyType(origins))


def load(
    home: Path | None = None,
    environ: Mapping[str, str] | None = None,
    flags: Mapping[str, object] | None = None,
) -> Settings:
    """Read the settings of a home: its `neurolake.toml`, then the environment, then flags.

    Args:
        home: the home folder; None reads no file.
        environ: the environment's variables; by default the process's own.
        flags: values by setting name; one that is None was not given.

    Raises:
        InvalidRequest: `setting_unknown` or `setting_invalid`, naming the place and the nearest name.
        HomeProblem: the file cannot be read.
    """
    text, tables = _read_file(home / SETTINGS_FILE) if home is not None else ("", {})
    variables = _variables(environment() if environ is None else environ)
    layers: tuple[tuple[Origin, dict[str, Any]], ...] = (
        ("file", _read((name, value, _line(name, text)) for name, value in tables.items())),
        ("environment", _read((name, value, f"the variable {_variable(name)}") for name, value in variables)),
        ("flag", _read((name, value, f"the argument {name}") for name, value in (flags or {}).items())),
    )
    values: dict[str, Any] = {}
    origins: dict[str, Origin] = {}
    for origin, layer in layers:
        values |= layer
        origins |= dict.fromkeys(layer, origin)
    storage = _storage(tables.get("storage", {}), text)
    return Settings(**values, storage=storage, origins=MappingProxyType(origins))


def no_such_setting(name: str, place: str | None = None, known: Iterable[str] = _BY_NAME) -> InvalidRequest:
    """The error for a name that no setting has; it suggests the nearest one."""
    near = difflib.get_close_matches(name.lower(), list(known), n=1, cutoff=0.6)
    return InvalidRequest(
        f"There is no setting named '{name}'" + (f" ({place})." if place else "."),
        code="setting_unknown",
        next_step=f"Did you mean '{near[0]}'?" if near else "`neurolake config show` lists them all.",
    )


def _read(given: Iterable[tuple[str, object, str]]) -> dict[str, Any]:
    """Names, raw values and their places to typed values."""
    read: dict[str, Any] = {}
    for name, value, place in given:
        if value is None or name in _NOT_SETTINGS:
            continue
        if name not in _BY_NAME:
            raise no_such_setting(name, place)
        read[name] = _value(_BY_NAME[name], value, place)
    return read


def _value(setting: Setting, value: object, place: str) -> object:
    try:
        parsed = parse_value(setting.type, value)
        _check_range(setting, parsed)
    except ValueError as error:
        shown = "" if setting.secret else f", not {_shorten(value)}"
        raise InvalidRequest(
            f"{setting.name} takes {error}{shown} ({place}).",
            code="setting_invalid",
            next_step=f"{setting.help}",
        ) from None
    return parsed


def _check_range(setting: Setting, value: object) -> None:
    if setting.choices and value not in setting.choices:
        near = difflib.get_close_matches(str(value).lower(), setting.choices, n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise ValueError(f"one of {', '.join(setting.choices)}{hint}")
    if isinstance(value, int | float) and not isinstance(value, bool):
        if value < setting.minimum:
            raise ValueError(f"at least {format_value(setting.type, setting.minimum)}")
        if setting.maximum is not None and value > setting.maximum:
            raise ValueError(f"at most {format_value(setting.type, setting.maximum)}")


def _shorten(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"


def _visible(setting: Setting, value: object) -> str:
    if setting.secret:
        return _HIDDEN if value else ""
    return format_value(setting.type, value)


def _read_file(path: Path) -> tuple[str, dict[str, Any]]:
    try:
        text = path.read_text(encoding="utf-8")
        return text, tomllib.loads(text)
    except FileNotFoundError:
        return "", {}
    except OSError as error:
        raise HomeProblem(
            f"{path} cannot be read: {error.strerror}.",
            code="home_read_only" if isinstance(error, PermissionError) else "home_damaged",
            next_step="Check who owns it and that this user may read it.",
        ) from None
    except UnicodeDecodeError:
        raise InvalidRequest(f"{path} is not UTF-8 text.", code="setting_invalid") from None
    except tomllib.TOMLDecodeError as error:
        raise InvalidRequest(
            f"{path} is not valid TOML: {error}.",
            code="setting_invalid",
            next_step='A setting is a line such as: threads = 4, or: memory_bytes_max = "8GiB".',
        ) from None


def _line(name: str, text: str) -> str:
    """Where the file sets a name, for a message; tomllib does not keep line numbers."""
    quoted = re.escape(name)
    setting = re.compile(rf"""\s*\[?\s*["']?{quoted}["']?\s*[].=]""")
    for number, line in enumerate(text.splitlines(), start=1):
        if setting.match(line):
            return f"{SETTINGS_FILE}, line {number}"
    return SETTINGS_FILE


def _variable(name: str) -> str:
    return f"{_PREFIX}{name.upper()}"


def _variables(environ: Mapping[str, str]) -> list[tuple[str, str]]:
    """The variables that are settings, as (setting name, text).

    Kubernetes gives every pod variables named after the services of its namespace: one called neurolake puts
    NEUROLAKE_PORT=tcp://… into ours. An empty variable is one that is not set, as Compose files leave them.
    """
    found = []
    for variable, text in environ.items():
        name = variable.removeprefix(_PREFIX)
        if name == variable or name in _CLIENT or not text:
            continue
        if _KUBERNETES.fullmatch(name) or _KUBERNETES_ADDRESS.match(text):
            continue
        found.append((name.lower(), text))
    return found


def _storage(tables: object, text: str) -> Mapping[str, Mapping[str, str]]:
    """The `[storage."prefix"]` tables with their values as text."""
    if not isinstance(tables, dict) or not all(isinstance(table, dict) for table in tables.values()):
        raise InvalidRequest(
            f"storage holds one table for each location ({_line('storage', text)}).",
            code="setting_invalid",
            next_step='Write [storage."s3://bucket/prefix"] and the keys on the lines below it.',
        )
    read = {}
    for prefix, table in tables.items():
        for name in table.keys() & _BY_NAME.keys():
            raise InvalidRequest(
                f'{name} stands below [storage."{prefix}"], and so belongs to it ({_line(name, text)}).',
                code="setting_invalid",
                next_step="Move the line above the first line in brackets.",
            )
        texts = {key: _text(prefix, key, value) for key, value in table.items()}
        read[prefix] = MappingProxyType(texts)
    return MappingProxyType(read)


def _text(prefix: str, key: str, value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    raise InvalidRequest(f'{key} in [storage."{prefix}"] takes text, a number, true or false.', code="setting_invalid")
