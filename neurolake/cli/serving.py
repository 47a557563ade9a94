"""`serve`: open a lake to everybody who speaks Flight SQL."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from neurolake import errors
from neurolake.cli.target import Target
from neurolake.config import SETTINGS, Setting, environment

SHOWN = ("host", "port", "http_port", "tls_cert", "tls_key", "mtls_port", "mtls_ca", "insecure_listen", "threads",
         "memory_bytes_max", "log_level", "log_format")  # fmt: skip
"""The flags that --help shows; every other setting has one too."""


def _flags(function: Callable[..., Any]) -> Callable[..., Any]:
    """A flag for every setting but the secret ones, which must not stand on a command line."""
    for setting in reversed(SETTINGS):
        if not setting.secret:
            function = _flag(setting)(function)
    return function


def _flag(setting: Setting) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    name = setting.name.replace("_", "-")
    hidden = setting.name not in SHOWN
    if setting.type == "flag":
        return click.option(f"--{name}/--no-{name}", default=None, help=setting.help, hidden=hidden)
    default = setting.default_text or str(setting.default)
    shown = f"{setting.help} [default: {default}]" if default else setting.help
    return click.option(f"--{name}", setting.name, metavar=setting.type.upper(), help=shown, hidden=hidden)


@click.command()
@click.argument("folder", metavar="[DIR]", type=click.Path(path_type=Path), required=False)
@_flags
def serve(folder: Path | None, **flags: object) -> int:
    """Serve a lake over Flight SQL, until SIGTERM or Ctrl-C.

    DIR is the lake's folder; else it is NEUROLAKE_LAKE, else the current folder. Only this machine can connect unless
    --host says otherwise, and then TLS is asked for. User admin's password is printed at the first start, or taken
    from NEUROLAKE_ADMIN_PASSWORD.

    Every setting that `neurolake config show` lists is a flag here: --statement-timeout-s 60.

    \b
      neurolake serve sales
      neurolake serve sales --host 0.0.0.0 --tls-cert server.pem --tls-key server.key
    """
    from importlib.metadata import entry_points

    home = Target(folder or Path(environment().get("NEUROLAKE_LAKE") or ".")).folder()
    found = entry_points(group="neurolake.servers", name="flight")
    if not found:
        raise errors.NotSupported(
            "This installation has no server.",
            code="server_missing",
            next_step="Install it again: pip install neurolake.",
        )
    ended = next(iter(found)).load()(home, **{name: value for name, value in flags.items() if value is not None})
    assert isinstance(ended, int)
    return ended
