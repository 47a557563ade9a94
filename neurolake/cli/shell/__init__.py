"""`shell`: statements one after the other, on a terminal or from standard input."""

from __future__ import annotations

import sys

import click

from neurolake.cli.target import Command, Target, on_a_lake


@click.command(cls=Command)
@click.option("--rows", type=click.IntRange(min=1), default=200, show_default=True, help="Rows shown of a result.")
@on_a_lake
def shell(target: Target, rows: int, as_json: bool) -> int:
    """Type statements and see their results. A statement ends with a semicolon and may take several lines.

    Tab completes tables, columns, procedures and keywords; the arrow keys bring statements back; Ctrl-C cancels the
    statement that runs, Ctrl-D leaves. .help lists the shell's own commands. When standard input is no terminal its
    statements are run, all their rows are written, and the first error ends it.

    \b
      neurolake shell --lake sales
      neurolake shell --json < report.sql
    """
    from neurolake.cli.shell.console import Console
    from neurolake.cli.shell.terminal import converse, run_script

    with target.open() as lake:
        if sys.stdin.isatty() and sys.stdout.isatty():
            return converse(Console(lake, mode="json" if as_json else "table", rows_max=rows), target)
        return run_script(Console(lake, mode="json" if as_json else "table"), sys.stdin, as_json=as_json)
