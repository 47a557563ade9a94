"""`sql`, `history` and `cancel`: run a statement, see what ran, stop what runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from neurolake import errors
from neurolake.cli.output import answer, destination, print_rows, table_options, warn_of
from neurolake.cli.progress import Waiting
from neurolake.cli.target import Command, Target, on_a_lake
from neurolake.cli.values import parse_values

if TYPE_CHECKING:
    from neurolake.result import Result

_SUMMARY = r"""query_id, user_name, state, strftime(started_at, '%Y-%m-%d %H:%M:%S') AS started_at,
    round(duration_ms, 1) AS ms, rows_out, left(regexp_replace(sql, '\s+', ' ', 'g'), 100) AS sql"""
FORMATS = ("table", "csv", "json", "arrow", "parquet")
BINARY = frozenset(("arrow", "parquet"))


@click.command(cls=Command)
@click.argument("statement", metavar="SQL")
@click.option(
    "--format",
    "format_",
    type=click.Choice(FORMATS),
    help="How rows are written. [default: table, or as --output ends]",
)
@click.option(
    "--output", "-o", type=click.Path(path_type=Path), metavar="FILE", help="Write to a file, whole or not at all."
)
@click.option(
    "--param", "-p", "values", multiple=True, callback=parse_values, metavar="NAME=VALUE",
    help="The value of $NAME: JSON where it reads as JSON, else text. May come again.",
)  # fmt: skip
@click.option("--timeout-s", type=click.FloatRange(min=0, min_open=True), help="Stop the statement after this time.")
@on_a_lake
def sql(
    target: Target,
    statement: str,
    format_: str | None,
    output: Path | None,
    values: dict[str, object],
    timeout_s: float | None,
    as_json: bool,
) -> None:
    """Run SQL and write its rows. With - the SQL is read from standard input.

    Rows stream: a result of any size needs little memory. Several statements may stand in one text, separated by
    semicolons; the last one's rows are written. --json is the same as --format json.

    \b
      neurolake sql "SELECT * FROM orders LIMIT 5"
      neurolake sql "SELECT * FROM orders WHERE id = \\$id" --param id=7
      neurolake sql "FROM orders" --output orders.parquet
      neurolake sql - --format csv < report.sql | gzip > report.csv.gz
    """
    wanted = _format(format_, output, as_json)
    text = _standard_input() if statement == "-" else statement
    with (
        target.open() as lake,
        Waiting("Running", lake, asking=True) as waiting,
        lake.sql(text, values or None, timeout_s=timeout_s) as result,
    ):
        _write(result, wanted, output, waiting)
        warn_of(result)


def _standard_input() -> str:
    try:
        return sys.stdin.buffer.read().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise errors.InvalidRequest("Standard input is not UTF-8 text.", code="file") from None


def _format(given: str | None, output: Path | None, as_json: bool) -> str:
    from neurolake.formats import format_of

    if as_json and given not in (None, "json"):
        raise click.UsageError(f"--json and --format {given} contradict each other.")
    wanted = "json" if as_json else given or (format_of(output) if output else None) or "table"
    if wanted in BINARY and output is None and sys.stdout.isatty():
        raise click.UsageError(f"{wanted} is not for a terminal: name a file with --output, or pipe it on.")
    return wanted


def _write(result: Result, format: str, output: Path | None, waiting: Waiting) -> None:
    from neurolake.formats import open_writer

    batch = result.read()
    if output is None:
        waiting.stop()
    options = table_options() if output is None else {}
    with destination(output) as sink, open_writer(format, sink, result.schema, **options) as writer:
        while batch is not None:
            writer.write(batch)
            batch = result.read()


@click.command(cls=Command)
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="How many statements.")
@click.option("--running", is_flag=True, help="Those that run now, instead of those that ended.")
@click.option("--state", metavar="STATE", help="Only those that ended so: done, failed, cancelled or timed_out.")
@on_a_lake
def history(target: Target, limit: int, running: bool, state: str | None, as_json: bool) -> None:
    """Show which statements ran.

    The latest comes first: when, who, how long, how it ended. Everything about them is in the system tables
    neurolake.queries and neurolake.running.

    \b
      neurolake history
      neurolake history --running
      neurolake history --state failed --limit 100 --json
    """
    shown = "*" if as_json else _SUMMARY
    table = "running" if running else "queries"
    where = "WHERE state = $state" if state else ""
    with target.open() as lake:
        rows = lake.sql(
            f"SELECT {shown} FROM neurolake.{table} {where} ORDER BY query_id DESC LIMIT {limit}",
            {"state": state} if state else None,
        ).arrow()
    print_rows(rows, as_json)


@click.command(cls=Command)
@click.argument("query_id")
@on_a_lake
def cancel(target: Target, query_id: str, as_json: bool) -> None:
    """Cancel a running statement by its id.

    Whatever phase it is in; its owner and an administrator may.

    \b
      neurolake history --running
      neurolake cancel 00060f1c2a7b4d9e01ab
    """
    with target.open() as lake:
        lake.cancel(query_id)
    answer(f"Cancelled {query_id}.", {"query_id": query_id, "cancelled": True}, as_json)
