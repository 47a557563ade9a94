"""Settings: one table, one frozen object built from a file, the environment and flags."""

from neurolake.config.environment import environment
from neurolake.config.secret import SCHEMES, resolve_secret
from neurolake.config.settings import SETTINGS_FILE, Origin, Settings, Shown, load, no_such_setting
from neurolake.config.table import DIALECTS, SETTINGS, Setting
from neurolake.config.values import format_bytes, parse_bytes

__all__ = [
    "DIALECTS",
    "SCHEMES",
    "SETTINGS",
    "SETTINGS_FILE",
    "Origin",
    "Setting",
    "Settings",
    "Shown",
    "environment",
    "format_bytes",
    "load",
    "no_such_setting",
    "parse_bytes",
    "resolve_secret",
]
