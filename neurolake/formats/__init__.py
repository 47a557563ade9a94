"""Writing results: as a text table, CSV, JSON, an Arrow stream or Parquet, batch by batch in bounded memory."""

from neurolake.formats.table import TableWriter, render
from neurolake.formats.writer import Writer
from neurolake.formats.writers import BINARY, FORMATS, format_of, open_writer

__all__ = ["BINARY", "FORMATS", "TableWriter", "Writer", "format_of", "open_writer", "render"]
