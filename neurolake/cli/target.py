"""Which lake a command works on: the options every command has, and the way from them to an open lake."""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from neurolake import errors

if TYPE_CHECKING:
    from neurolake.home import ServerInfo
    from neurolake.lake import Lake

__all__ = ["Command", "Target", "json_option", "on_a_lake"]


@dataclass(frozen=True, slots=True)
class Target:
    """A home folder, or a server's address with who is asking."""

    home: Path | None
    uri: str | None = None
    user: str | None = None
    token: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    tls_ca: str | None = None

    def open(self) -> Lake:
        """Open the lake: by its server where it is served, else here.

        Raises:
            HomeProblem: the folder is no lake, in use, or damaged.
            LoginFailed, Unavailable: the server does not let us in.
        """
        import neurolake

        with contextlib.suppress(ImportError):
            # pyarrow would do it where the first value is converted, and lose a Ctrl-C that it is told meanwhile.
            import_module("dateutil.relativedelta")
        if self.uri is not None:
            return neurolake.connect(
                self.uri, user=self.user, password=self._password(), token=self.token, tls_ca=self.tls_ca
            )
        home = self.folder()
        if (served := self.server()) is not None:
            return _through(served, home)
        return neurolake.connect(home)

    def folder(self) -> Path:
        """The home folder, which is a lake.

        Raises:
            HomeProblem: it is not.
            UsageError: the target is a server.
        """
        from neurolake.home.files import mapped
        from neurolake.home.format import check_is_home

        if self.home is None:
            raise click.UsageError("This command works on a folder: use --lake, not --uri.")
        folder = self.home.expanduser().absolute()
        with mapped(folder):
            check_is_home(folder)
        return folder

    def server(self) -> ServerInfo | None:
        """Where the folder is being served; None when it is not, or when the target is a server itself."""
        from neurolake.home import read_server_file

        return None if self.home is None else read_server_file(self.home)

    def _password(self) -> str | None:
        if self.user is None or self.token is not None or self.password is not None or not sys.stdin.isatty():
            return self.password
        prompted: str = click.prompt(f"Password of {self.user}", hide_input=True, err=True)
        return prompted


def _through(served: ServerInfo, home: Path) -> Lake:
    """The lake by its own server, as its owner.

    On loopback the certificate is not asked for its name, which is that of the outside: the address comes from a file
    that only the owner can write, and the process it names holds the home's lock.
    """
    from neurolake.config import load
    from neurolake.remote import RemoteLake

    if served.host in _HERE:
        return RemoteLake.open(served.uri, token=served.token, verify=False, home=home)
    return RemoteLake.open(served.uri, token=served.token, tls_ca=load(home).tls_cert or None, home=home)


_HERE = frozenset(("127.0.0.1", "localhost", "::1", "0.0.0.0", "::", ""))  # noqa: S104
"""Hosts of a server that this machine reaches on loopback."""


def _target(lake: Path | None, uri: str | None, user: str | None, token: str | None, tls_ca: str | None) -> Target:
    """From options and environment; options go first, and an address goes before a folder."""
    from neurolake.config import environment

    if lake is not None and uri is not None:
        raise click.UsageError("--lake and --uri name two lakes; give one of them.")
    variables = environment()

    def of(name: str, given: str | None) -> str | None:
        return given if given is not None else variables.get(f"NEUROLAKE_{name}") or None

    uri = uri if lake is not None else of("URI", uri)
    if uri is None:
        if user is not None or token is not None or tls_ca is not None:
            raise click.UsageError("--user, --token and --tls-ca go with --uri; a folder is opened as its owner.")
        return Target(lake or Path(of("LAKE", None) or "."))
    if not uri.startswith(("grpc://", "grpc+tls://", "grpc+tcp://")):
        raise errors.InvalidRequest(
            f"{uri} is not the address of a server.",
            code="uri",
            next_step="Write grpc://host:port, or grpc+tls://host:port.",
        )
    known = of("TOKEN", token) if user is None else token
    return Target(None, uri, of("USER", user), known, of("PASSWORD", None), of("TLS_CA", tls_ca))


class Command(click.Command):
    """Shows which lake, and as whom, in a section of its own."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options in two sections."""
        own: list[tuple[str, str]] = []
        shared: list[tuple[str, str]] = []
        for parameter in self.get_params(ctx):
            if isinstance(parameter, click.Option) and (record := parameter.get_help_record(ctx)) is not None:
                (shared if parameter.name in _SHARED else own).append(record)
        for title, records in (("Options", own), ("Which lake", shared)):
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)


_SHARED = frozenset(("lake", "uri", "user", "token", "tls_ca"))

_OPTIONS = (
    click.option(
        "--lake", type=click.Path(path_type=Path), metavar="DIR",
        help="The lake's folder. [else NEUROLAKE_LAKE, else the current folder]",
    ),
    click.option("--uri", metavar="URI", help="A server: grpc://host:port or grpc+tls://host:port. [NEUROLAKE_URI]"),
    click.option(
        "--user", metavar="NAME", help="Log in as this user; the password is asked for. [NEUROLAKE_USER, _PASSWORD]"
    ),
    click.option("--token", metavar="TOKEN", help="Log in with a token. [NEUROLAKE_TOKEN]"),
    click.option("--tls-ca", metavar="FILE", help="Trust this certificate authority (PEM). [NEUROLAKE_TLS_CA]"),
)  # fmt: skip

json_option = click.option("--json", "as_json", is_flag=True, help="Answer, and fail, in JSON.")


def on_a_lake(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that say which lake; the function gets them as its first argument, a Target."""

    @functools.wraps(function)
    def with_target(
        lake: Path | None, uri: str | None, user: str | None, token: str | None, tls_ca: str | None, **own: Any
    ) -> Any:
        return function(_target(lake, uri, user, token, tls_ca), **own)

    for option in reversed(_OPTIONS):
        with_target = option(with_target)
    return json_option(with_target)
