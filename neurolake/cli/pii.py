"""`pii`: scan for personal data, report what was found, and set masks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from neurolake.cli.output import answer, destination, print_rows
from neurolake.cli.progress import Waiting
from neurolake.cli.target import Command, Target, on_a_lake
from neurolake.sql.text import Name

if TYPE_CHECKING:
    from neurolake.lake import Lake

SHOWN_MAX = 20
"""Columns that a message names."""


@click.group()
def pii() -> None:
    """Find personal data, report it, and mask it."""


@pii.command(cls=Command)
@click.argument("table", required=False)
@click.option("--all", "all_", is_flag=True, help="Scan every table of the lake.")
@click.option("--full", is_flag=True, help="Read every row of text columns, for what only few rows hold.")
@click.option("--only-new", is_flag=True, help="Of sources scanned before, look only at files that have come since.")
@on_a_lake
def scan(target: Target, table: str | None, all_: bool, full: bool, only_new: bool, as_json: bool) -> None:
    """Scan a table, or all, and record which columns hold personal data.

    Some thousand rows of each table are read, here or by the server. No value is kept or shown.

    \b
      neurolake pii scan customers
      neurolake pii scan --all
    """
    if (table is None) != all_:
        raise click.UsageError("Name one table, or say --all.")
    with target.open() as lake, Waiting("Scanning", lake):
        found = lake.pii.scan(table, full=full, only_new=only_new)
        closed = [] if as_json else [row for row in _columns(lake, table) if row["pii_status"] == "unscanned"]
    print_rows(found.drop_columns(["sample_size", "detector"]), as_json)
    if closed:
        names = ", ".join(f"{row['table_name']}.{row['column_name']}" for row in closed[:SHOWN_MAX])
        more = f" and {len(closed) - SHOWN_MAX} more" if len(closed) > SHOWN_MAX else ""
        click.echo(
            f"Closed to governed roles stay {names}{more}: no value of theirs was met, or too much to read all of it. "
            "Scan again when they have values, or say by set_pii what they hold.",
            err=True,
        )


def _columns(lake: Lake, table: str | None) -> list[dict[str, Any]]:
    """The columns of a table or of all, and whether they were looked at."""
    sql = "SELECT table_schema, table_name, column_name, pii_status FROM neurolake.columns"
    rows: list[dict[str, Any]] = lake.sql(sql).arrow().to_pylist()
    if table is None:
        return rows
    wanted = Name.parse(table).fold()
    return [row for row in rows if Name(row["table_schema"], row["table_name"]).fold() == wanted]


@pii.command(cls=Command)
@click.argument("table", required=False)
@click.option("--format", "format_", type=click.Choice(("table", "html")), default="table", show_default=True)
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Write it to a file.")
@on_a_lake
def report(target: Target, table: str | None, format_: str, output: Path | None, as_json: bool) -> None:
    """Report what was found, in one table or in all: for the terminal, as JSON, or as a page for an auditor.

    \b
      neurolake pii report
      neurolake pii report --format html --output report.html
    """
    if output is not None and format_ != "html":
        raise click.UsageError("--output goes with --format html.")
    with target.open() as lake:
        found = lake.pii.findings(table)
        columns = _columns(lake, table)
    if format_ == "table":
        print_rows(found if as_json else found.drop_columns(["sample_size", "detector"]), as_json)
        return
    import datetime

    from neurolake.pii.report import page

    named = target.home.expanduser().absolute().name if target.home is not None else target.uri or ""
    with destination(output) as sink:
        sink.write(page(found.to_pylist(), columns, datetime.datetime.now(datetime.UTC), named).encode())
    if output is not None:
        answer(f"Wrote {output}.", {"file": str(output), "findings": found.num_rows}, as_json)


@pii.command(cls=Command)
@click.argument("table")
@click.option("--apply", "apply_", is_flag=True, help="Set the policies that are shown.")
@on_a_lake
def protect(target: Target, table: str, apply_: bool, as_json: bool) -> None:
    """Show a policy for each column of a table that holds personal data; set them with --apply.

    The policies are for every role but admin. One of the same name is replaced, so that running it again is safe.

    \b
      neurolake pii protect customers
      neurolake pii protect customers --apply
    """
    with target.open() as lake:
        proposed = lake.pii.protect(table, apply=apply_)
    print_rows(proposed, as_json)
    if not as_json and proposed.num_rows:
        said = "These policies hold now." if apply_ else "Nothing was changed; --apply sets these policies."
        click.echo(said)
