"""`pii`: scan for personal data, report what was found, and set masks."""

from __future__ import annotations

from pathlib import Path

import click

from neurolake.cli.output import answer, destination, print_rows
from neurolake.cli.progress import Waiting
from neurolake.cli.target import Command, Target, on_a_lake


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
    print_rows(found.drop_columns(["sample_size", "detector"]), as_json)


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
        columns = lake.sql("SELECT table_name, column_name, pii_status FROM neurolake.columns").arrow().to_pylist()
    if format_ == "table":
        print_rows(found if as_json else found.drop_columns(["sample_size", "detector"]), as_json)
        return
    import datetime

    from neurolake.pii.report import page

    named = target.home.expanduser().absolute().name if target.home is not None else target.uri or ""
    shown = [row for row in columns if table is None or row["table_name"] == table.split(".")[-1]]
    with destination(output) as sink:
        sink.write(page(found.to_pylist(), shown, datetime.datetime.now(datetime.UTC), named).encode())
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
