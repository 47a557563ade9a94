"""`init`, `quickstart` and `upgrade`: commands about a home folder itself."""

from __future__ import annotations

import json
from pathlib import Path

import click

from neurolake.cli.output import answer
from neurolake.cli.target import Command, Target, json_option, on_a_lake


@click.command()
@click.argument("folder", metavar="[DIR]", type=click.Path(path_type=Path), default=".")
@json_option
def init(folder: Path, as_json: bool) -> None:
    """Make a lake in a folder, by default the current one. Files that are there stay as they are.

    \b
      neurolake init sales
    """
    from neurolake.home import Home

    with Home.init(folder) as home:
        path = home.path
    answer(
        f"Made a lake in {path}.\n"
        f"  neurolake register NAME LOCATION --lake {folder}   give files a name\n"
        f"  neurolake serve {folder}                           let others connect",
        {"path": str(path)},
        as_json,
    )


@click.command()
@click.argument("folder", metavar="[DIR]", type=click.Path(path_type=Path), default="neurolake-demo")
@json_option
def quickstart(folder: Path, as_json: bool) -> None:
    """See the main job done, start to end, on data it makes. Needs no network; takes some seconds.

    Makes customers (CSV) and orders (partitioned Parquet), makes a lake in DIR (by default ./neurolake-demo), registers
    both, serves the lake, connects with the stock ADBC driver, runs analytical SQL, loads a result back, and says how
    to connect from elsewhere. The lake stays, for `neurolake serve DIR`.
    """
    from neurolake.quickstart import run

    report = run(folder, _nothing if as_json else click.echo)
    if as_json:
        click.echo(json.dumps(report, ensure_ascii=False, default=str))


def _nothing(line: str) -> None:
    """A program reads the report, not the story."""


@click.command(cls=Command)
@on_a_lake
def upgrade(target: Target, as_json: bool) -> None:
    """Bring an older lake to this release's format.

    Take a copy of its folder first.

    \b
      neurolake upgrade --lake sales
    """
    from neurolake.home import FORMAT_VERSION
    from neurolake.upgrading import upgrade as migrate

    folder = target.folder()
    found = migrate(folder)
    message = (
        f"The lake at {folder} has this release's format already, {found}."
        if found == FORMAT_VERSION
        else f"Upgraded the lake at {folder} from format {found} to {FORMAT_VERSION}."
    )
    answer(message, {"path": str(folder), "found": found, "now": FORMAT_VERSION}, as_json)
