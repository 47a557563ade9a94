"""`config`: what the settings are, and where each value comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from neurolake.cli.output import print_rows
from neurolake.cli.target import Command, Target, on_a_lake

if TYPE_CHECKING:
    import pyarrow as pa


@click.group()
def config() -> None:
    """See the lake's settings."""


@config.command(cls=Command)
@click.argument("name", required=False)
@on_a_lake
def show(target: Target, name: str | None, as_json: bool) -> None:
    """Show every setting, or one: its value, where that comes from, and what it does. Secrets are hidden.

    A value comes from neurolake.toml in the lake's folder, over it from the environment (NEUROLAKE_THREADS=4), over
    that from a flag of serve (--threads 4).

    \b
      neurolake config show
      neurolake config show memory_bytes_max --json
    """
    rows = _settings(target)
    if name is not None:
        rows = _only(rows, name)
    print_rows(rows, as_json)


def _settings(target: Target) -> pa.Table:
    """Those in force: the server's own where the lake is served, else as they would be."""
    import pyarrow as pa

    if target.uri is None:
        folder = target.folder()
        if target.server() is None:
            from neurolake.config import load

            return pa.Table.from_pylist([row._asdict() for row in load(folder).show()])
    with target.open() as lake:
        return lake.sql("SELECT name, value, source, help FROM neurolake.settings").arrow()


def _only(rows: pa.Table, name: str) -> pa.Table:
    import pyarrow.compute as pc

    from neurolake.config import no_such_setting

    found = rows.filter(pc.equal(rows["name"], name))
    if not found.num_rows:
        raise no_such_setting(name)
    return found
