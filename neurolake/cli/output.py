"""Where answers go: standard output or a file that appears whole or not at all."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from neurolake.cli.exits import OutputClosed

if TYPE_CHECKING:
    import pyarrow as pa

    from neurolake.result import Result

__all__ = ["answer", "destination", "print_rows", "size_text", "table_options", "warn_of"]


def answer(message: str, data: Mapping[str, object], as_json: bool) -> None:
    """Say what was done: in words, or as one JSON object."""
    click.echo(json.dumps(data, ensure_ascii=False, default=str) if as_json else message)


def size_text(count: int) -> str:
    """Bytes for people.

    >>> size_text(999), size_text(1_500_000)
    ('999 B', '1.5 MB')
    """
    amount, unit = float(count), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if amount < 1000:
            break
        amount, unit = amount / 1000, larger
    return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"


def warn_of(result: Result) -> None:
    """Say on standard error what the rows of a result turned out to hold; call it once they are read."""
    for sentence in result.warnings:
        click.echo(f"warning: {sentence}", err=True)


def print_rows(rows: pa.Table, as_json: bool) -> None:
    """Print a table of a few rows, for a person or as a JSON array."""
    from neurolake.formats import open_writer

    wanted = "json" if as_json else "table"
    with destination(None) as sink, open_writer(wanted, sink, rows.schema, **table_options()) as writer:
        for batch in rows.to_batches():
            writer.write(batch)


def table_options() -> dict[str, Any]:
    """How a table is drawn on this standard output."""
    from neurolake.formats.table import CELL_WIDTH_MAX

    return {
        "encoding": sys.stdout.encoding or "utf-8",
        "cell_width_max": CELL_WIDTH_MAX if sys.stdout.isatty() else None,
    }


@contextmanager
def destination(path: Path | None) -> Iterator[BinaryIO]:
    """A byte stream to standard output, or to a file that takes its name when all of it is there."""
    if path is None:
        try:
            sys.stdout.flush()
            yield sys.stdout.buffer
            sys.stdout.buffer.flush()
        except BrokenPipeError:
            raise OutputClosed from None
        return
    if path.exists() and not path.is_file():  # a device or a pipe
        with path.open("wb") as device:
            yield device
        return
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            yield file
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
