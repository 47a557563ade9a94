"""`register` and `load`: give files a name, or bring them into the lake."""

from __future__ import annotations

from pathlib import Path

import click

from neurolake.cli.output import answer
from neurolake.cli.progress import Waiting
from neurolake.cli.target import Command, Target, on_a_lake
from neurolake.cli.values import parse_values

MODES = ("create", "append", "create_append", "replace", "upsert")


@click.command(cls=Command)
@click.argument("name")
@click.argument("location")
@click.option("--format", "format_", type=click.Choice(("parquet", "csv", "json")), help="[default: as the names say]")
@click.option(
    "--option", "options", multiple=True, callback=parse_values, metavar="NAME=VALUE",
    help="An option of DuckDB's reader, such as delim=';'. May come again.",
)  # fmt: skip
@on_a_lake
def register(
    target: Target, name: str, location: str, format_: str | None, options: dict[str, object], as_json: bool
) -> None:
    """Give files a name to query them by. They stay where they are.

    LOCATION is a file, a glob in quotes, a folder, a hive-partitioned tree, or a URL such as s3://bucket/prefix/. New
    files under it are seen by the next statement. With --uri it is the server that reads it.

    \b
      neurolake register orders 'data/orders/**/*.parquet'
      neurolake register people people.csv --option "delim=;" --option header=true
      neurolake register events s3://bucket/events/ --format json
    """
    if target.home is not None and "://" not in location:
        location = str(Path(location).expanduser().absolute())
    with target.open() as lake:
        row = lake.register(name, location, format=format_, options=options or None).to_pylist()[0]
    answer(f"Registered {row['name']}: {row['columns']} columns, {row['format']}, {row['location']}", row, as_json)


@click.command(cls=Command)
@click.argument("name")
@click.argument("file")
@click.option(
    "--mode", type=click.Choice(MODES), default="create", show_default=True, help="What is done with the table."
)
@click.option(
    "--key", "keys", multiple=True, metavar="COLUMN", help="For upsert: what identifies a row. May come again."
)
@on_a_lake
def load(target: Target, name: str, file: str, mode: str, keys: tuple[str, ...], as_json: bool) -> None:
    """Load a file into a table of the lake.

    All of it comes in, or nothing. FILE is Parquet, CSV or JSON; a glob in quotes, a folder or a URL do as well. It is
    read on this machine, and sent where the lake is behind a server. upsert replaces the rows whose keys match and
    adds the others.

    \b
      neurolake load people people.csv
      neurolake load people more.csv --mode append
      neurolake load people news.parquet --mode upsert --key id
    """
    if (mode == "upsert") != bool(keys):
        raise click.UsageError("--mode upsert and --key go together.")
    with target.open() as lake, Waiting(f"Loading {name}", lake):
        rows = lake.load(name, file, mode=mode, keys=keys)
    answer(f"Loaded {rows:,} rows into {name}.", {"name": name, "rows": rows, "mode": mode}, as_json)
