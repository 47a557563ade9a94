"""`lake.catalog`: what there is and what is said about it, as methods, the same on an embedded and a remote lake."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neurolake import errors
from neurolake.identifiers import fold, folded_sql
from neurolake.sql.text import Name

if TYPE_CHECKING:
    import pyarrow as pa

    from neurolake.lake import Lake

__all__ = ["Catalog"]

_TABLES = """
    SELECT table_schema, table_name, count(column_name) AS columns,
        CASE table_type WHEN 'VIEW' THEN 'view' WHEN 'EXTERNAL TABLE' THEN 'source' ELSE 'table' END AS kind
    FROM information_schema.tables JOIN neurolake.columns USING (table_schema, table_name)
    GROUP BY ALL ORDER BY ALL
"""
_SAME = folded_sql("{}").removeprefix("system.main.") + " = ?"  # governed roles name no function by its path
_OF_TABLE = f"WHERE {_SAME.format('table_schema')} AND {_SAME.format('table_name')}"


class Catalog:
    """Tables, columns and sources, as far as the caller may see them, with their tags and descriptions.

    >>> import neurolake
    >>> with neurolake.connect(":memory:") as lake:
    ...     rows = lake.load("people", {"mail": ["ann@example.com"]})
    ...     said = lake.catalog.describe("column:people.mail", "where bills go")
    ...     lake.catalog.columns("people").select(["column_name", "data_type", "description"]).to_pylist()
    [{'column_name': 'mail', 'data_type': 'VARCHAR', 'description': 'where bills go'}]
    """

    def __init__(self, lake: Lake) -> None:
        self._lake = lake

    def tables(self) -> pa.Table:
        """Every table, view and source, one a row: `table_schema`, `table_name`, how many `columns`, and its `kind`."""
        return self._lake.sql(_TABLES).arrow()

    def columns(self, table: str | None = None) -> pa.Table:
        """The columns of a table, or of all, in their order: type, tags, personal data, description.

        Raises:
            NotFound: there is no such table, or it is not the caller's to see.
        """
        if table is None:
            return self._lake.sql("FROM neurolake.columns").arrow()
        name = Name.parse(table)
        found = self._lake.sql(f"FROM neurolake.columns {_OF_TABLE}", [fold(part) for part in name]).arrow()
        if not found.num_rows:
            raise errors.NotFound(f"There is no table {name}.", next_step="`lake.tables()` names those there are.")
        return found

    def sources(self) -> pa.Table:
        """The registered sources: where their files lie, in which format, since when."""
        return self._lake.sql("FROM neurolake.sources").arrow()

    def tags(self) -> pa.Table:
        """What is tagged, by whom and since when."""
        return self._lake.sql("FROM neurolake.tags").arrow()

    def tag(self, object: str, tag: str) -> pa.Table:
        """Tag a table, or with `schema:s` or `column:t.c` a schema or a column."""
        return self._lake.call("tag", object, tag)

    def untag(self, object: str, tag: str) -> pa.Table:
        """Take a tag away."""
        return self._lake.call("untag", object, tag)

    def describe(self, object: str, text: str) -> pa.Table:
        """Say in words what a schema, table or column is; an empty text takes the description away."""
        return self._lake.call("set_description", object, text)
