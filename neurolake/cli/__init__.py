"""The `neurolake` command: thin commands, one file a group, over the same interface everyone else uses."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import MetaPathFinder

import click

from neurolake import __version__
from neurolake.cli import exits

__all__ = ["cli", "main", "run"]

_COMMANDS = {
    "quickstart": "homes",
    "init": "homes",
    "serve": "serving",
    "sql": "statements",
    "shell": "shell",
    "register": "data",
    "load": "data",
    "catalog": "policies",
    "pii": "pii",
    "policy": "policies",
    "role": "users",
    "user": "users",
    "audit": "policies",
    "backup": "backup",
    "history": "statements",
    "cancel": "statements",
    "config": "settings",
    "health": "health",
    "upgrade": "homes",
}
"""Each command and the module it is in, in the order that help shows."""


class _Commands(click.Group):
    """Imports a command's module when the command is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        module = _COMMANDS.get(cmd_name)
        if module is None:
            return None
        command: click.Command = getattr(import_module(f"neurolake.cli.{module}"), cmd_name)
        return command


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="neurolake")
def cli() -> None:
    """Your Parquet and CSV, queried at DuckDB's speed, in process and over Arrow Flight SQL.

    A lake is a folder. Commands use the one in the current folder, in NEUROLAKE_LAKE or in --lake; or with --uri the
    one behind a server. A lake that is being served is reached through its server by itself.

    \b
      neurolake quickstart                      see all of it work, on data it makes
      neurolake init sales                      make a lake
      neurolake register orders 'data/**/*.parquet' --lake sales
      neurolake sql "SELECT count(*) FROM orders" --lake sales
      neurolake serve sales                     let others connect

    Exit codes: 0 done, 1 the statement or request failed, 2 wrong usage, 3 no connection or login, 4 the lake's folder
    is in use, missing or damaged, 5 a fault in neurolake, 130 Ctrl-C.
    """


class _NoFrames(MetaPathFinder):
    """Pandas is not there for a command, which makes no frames.

    pyarrow and DuckDB import it, where it is installed, with the first array or value: a third of a command's time and
    of an idle server's memory.
    """

    def find_spec(self, fullname: str, path: object, target: object = None) -> None:
        if fullname == "pandas":
            raise ModuleNotFoundError("The neurolake command makes no frames.", name=fullname)


def main() -> None:
    """The entry point of the `neurolake` command."""
    sys.meta_path.insert(0, _NoFrames())
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command line and give back its exit code. Nothing it meets comes out as a traceback."""
    return exits.run(cli, arguments)
