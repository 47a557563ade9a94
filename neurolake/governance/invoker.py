"""Views of governed roles: kept as a text that is gated anew for whoever reads it, never as something that reads.

What stands in the database under such a view's name is a stub: a view that has the columns and the text, reads nothing,
and fails when it is run. So whatever comes to the name past the gate, such as an administrator's view over it, finds
no rows there, and nobody's rights can be lent.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from neurolake._duckdb import CATALOG, Instance
from neurolake.governance.masks import kept_type
from neurolake.sql.text import Name, literal, quote

MARK: Final = "__neurolake_invoker"
"""The column of a stub that holds the view's text."""

REFUSAL: Final = "neurolake: a view that a governed role has made is read only by its own name"
"""What a stub says when it is run."""

FOUND: Final = (
    "SELECT schema_name, view_name, sql FROM system.main.duckdb_views() "
    "WHERE NOT internal AND system.main.contains(sql, ?)"
)
"""The query that finds the stubs, given MARK."""

_END: Final = f"""' AS {MARK}) WHERE CAST("system".main."error"('{REFUSAL}') AS BOOLEAN);"""
_TEXT: Final = re.compile(rf"\(SELECT '((?:[^']|'')*){re.escape(_END)}\Z")
"""What is between the quotes that the end of the statement closes: names of columns may say whatever they like."""


def texts(instance: Instance) -> dict[Name, str]:
    """The texts of all such views in the lake, by folded name."""
    found = instance.acquire_and(lambda cursor: cursor.rows(f"{FOUND} AND database_name = '{CATALOG}'", [MARK]))
    known = {Name(schema, view).fold(): text_of(sql) for schema, view, sql in found}
    return {name: text for name, text in known.items() if text is not None}


def stub(text: str, columns: Mapping[str, str]) -> str:
    """The SELECT of the view that stands in the database.

    Args:
        text: what the view means: a SELECT over names of the lake in full.
        columns: its columns and types, as its author sees them.

    >>> stub("SELECT 1 AS a", {"a": "INTEGER"}).partition(" FROM ")[0]
    'SELECT CAST(NULL AS INTEGER) AS "a"'
    """
    shown = ", ".join(f"CAST(NULL AS {kept_type(kind)}) AS {quote(name)}" for name, kind in columns.items())
    refusal = f"CAST(system.main.error({literal(REFUSAL)}) AS BOOLEAN)"
    return f"SELECT {shown} FROM (SELECT {literal(text)} AS {MARK}) WHERE {refusal}"


def text_of(sql: str) -> str | None:
    """The text of a view, from the statement that the engine prints for its stub; None for any other view.

    A stub that could not be read would be one of the others, and fail when it is run.

    >>> text_of("CREATE VIEW v AS SELECT 1;") is None
    True
    >>> made = stub("SELECT 'it''s' AS a", {f"x (SELECT 'SELECT 2' AS {MARK}) WHERE ": "INTEGER"})
    >>> printed = made.replace("system.main.error", '"system".main."error"')
    >>> text_of(f"CREATE VIEW v AS {printed};")
    "SELECT 'it''s' AS a"
    """
    match = _TEXT.search(sql)
    return None if match is None else match[1].replace("''", "'")
