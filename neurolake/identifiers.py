"""When two names are one: as DuckDB compares identifiers, without regard to the case of ASCII letters and of no others.

Python's `lower` and `casefold` go further: they take `strasse` for `straße`, and the Kelvin sign for a `k`. Two tables
that DuckDB keeps apart would then share their grants and policies. So every name of a catalog, a schema, a relation, a
column or a function is compared and stored by what `fold` makes of it.
"""

from __future__ import annotations

from string import ascii_lowercase, ascii_uppercase

__all__ = ["fold", "folded_sql"]


def fold(name: str) -> str:
    """The form that all spellings of one identifier share; any other text with its ASCII letters made small.

    >>> fold("Orders"), fold("STRASSE"), fold("STRAßE"), fold("Ärzte"), fold("\\u212aunden") == "kunden"
    ('orders', 'strasse', 'straße', 'Ärzte', False)
    """
    if name.isascii():
        return name.lower()
    return name.encode("utf-8", "surrogatepass").lower().decode("utf-8", "surrogatepass")  # bytes: ASCII letters only


def folded_sql(expression: str) -> str:
    """The same in SQL, where `lower` goes further as well.

    >>> folded_sql("table_name")
    "system.main.translate(table_name, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz')"
    """
    return f"system.main.translate({expression}, '{ascii_uppercase}', '{ascii_lowercase}')"
