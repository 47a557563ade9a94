"""What the shell does with a line: run a statement and show it, or carry out one of its own commands."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from fnmatch import fnmatch

import click
import pyarrow as pa

from neurolake import errors
from neurolake.cli.output import destination, table_options, warn_of
from neurolake.cli.progress import Waiting
from neurolake.formats import TableWriter, open_writer
from neurolake.identifiers import fold, folded_sql
from neurolake.lake import Lake
from neurolake.result import Result
from neurolake.sql.statements import first_word
from neurolake.sql.text import Name, split_identifier

MODES = ("table", "csv", "json")
_CHANGE = frozenset(("INSERT", "UPDATE", "DELETE", "MERGE", "COPY"))
_COUNT = ["Count"]


class Quit(Exception):
    """The user wants to leave."""


class Console:
    """One shell over one lake.

    Args:
        lake: an open lake.
        mode: how rows are shown: table, csv or json.
        rows_max: how many rows of a table are shown; None shows all.
    """

    def __init__(self, lake: Lake, *, mode: str = "table", rows_max: int | None = None) -> None:
        self.lake = lake
        self.mode = mode
        self.rows_max = rows_max
        self.timing = rows_max is not None
        self.version = 0
        """Grows when tables may have changed."""

    def do(self, line: str) -> None:
        """Run one statement, or one command that begins with a dot.

        Raises:
            NeuroLakeError: it failed.
            Quit: the command was .quit.
        """
        if line.startswith("."):
            self._command(line)
        elif line.strip():
            self._statement(line)

    def _statement(self, text: str) -> None:
        started = time.perf_counter()
        verb = first_word(text)
        with Waiting("Running", self.lake, asking=True) as waiting, self.lake.sql(text) as result:
            head = result.read()
            waiting.stop()
            if result.columns == _COUNT and verb not in ("SELECT", "FROM", "WITH"):
                self.version += 1
                changed = 0 if head is None else head.column(0)[0].as_py()
                click.echo(f"{changed:,} row{'' if changed == 1 else 's'}" if verb in _CHANGE else "ok")
            else:
                self.version += verb == "CALL"
                self._show(result, head)
                result.close()
                warn_of(result)
        if self.timing:
            click.echo(click.style(f"{(time.perf_counter() - started) * 1000:,.1f} ms", dim=True))

    def _show(self, result: Result, batch: pa.RecordBatch | None) -> None:
        options = {**table_options(), "rows_max": self.rows_max}
        with destination(None) as sink, open_writer(self.mode, sink, result.schema, **options) as writer:
            while batch is not None:
                writer.write(batch)
                if isinstance(writer, TableWriter) and writer.is_full:
                    break
                batch = result.read()

    def _command(self, line: str) -> None:
        name, *arguments = line.split()
        command = _COMMANDS.get(name.casefold())
        if command is None:
            raise errors.InvalidRequest(
                f"The shell has no command {name}.", code="usage", next_step=".help lists what there is."
            )
        command(self, arguments)

    def help(self, arguments: list[str]) -> None:
        """.help                 this list"""
        for command in dict.fromkeys(_COMMANDS.values()):
            click.echo(command.__doc__)

    def tables(self, arguments: list[str]) -> None:
        """.tables [PATTERN]     tables, views and sources, such as .tables ord*"""
        pattern = arguments[0] if arguments else "*"
        for table in self.lake.tables():
            if fnmatch(fold(table), fold(pattern)):
                click.echo(table)

    def schema(self, arguments: list[str]) -> None:
        """.schema TABLE         its columns and their types"""
        if not arguments:
            raise errors.InvalidRequest(".schema needs the name of a table.", code="usage", next_step=".schema orders")
        parts = split_identifier(" ".join(arguments))
        schema = parts[-2] if len(parts) > 1 else "main"
        rows = self.lake.sql(
            "SELECT column_name, data_type, nullable FROM neurolake.columns "
            f"WHERE {folded_sql('table_schema')} = $schema AND {folded_sql('table_name')} = $table",
            {"schema": fold(schema), "table": fold(parts[-1])},
        )
        with rows:
            head = rows.read()
            if head is None or not head.num_rows:
                raise errors.NotFound(f"There is no table {Name(schema, parts[-1])}.", next_step=".tables lists them.")
            self._show(rows, head)

    def set_timing(self, arguments: list[str]) -> None:
        """.timing on|off        whether the time a statement took is shown"""
        self.timing = _choice(".timing", arguments, ("on", "off")) == "on"

    def set_mode(self, arguments: list[str]) -> None:
        """.mode table|csv|json  how rows are shown"""
        self.mode = _choice(".mode", arguments, MODES)

    def set_rows(self, arguments: list[str]) -> None:
        """.rows N|all           how many rows of a table are shown"""
        if arguments == ["all"]:
            self.rows_max = None
        elif len(arguments) == 1 and arguments[0].isdecimal() and int(arguments[0]):
            self.rows_max = int(arguments[0])
        else:
            raise errors.InvalidRequest(".rows takes a number or all.", code="usage", next_step=".rows 1000")

    def quit(self, arguments: list[str]) -> None:
        """.quit                 leave; so does Ctrl-D"""
        raise Quit


def _choice(command: str, arguments: list[str], choices: tuple[str, ...]) -> str:
    if len(arguments) != 1 or arguments[0] not in choices:
        raise errors.InvalidRequest(f"{command} takes one of {', '.join(choices)}.", code="usage")
    return arguments[0]


_COMMANDS: Mapping[str, Callable[[Console, list[str]], None]] = {
    ".help": Console.help,
    ".tables": Console.tables,
    ".schema": Console.schema,
    ".timing": Console.set_timing,
    ".mode": Console.set_mode,
    ".rows": Console.set_rows,
    ".quit": Console.quit,
    ".exit": Console.quit,
}
COMMANDS = tuple(_COMMANDS)
