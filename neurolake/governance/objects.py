"""Objects that grants, tags and policies are about: one string each, such as `table:sales.orders` or `tag:secret`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from neurolake import errors
from neurolake.identifiers import fold
from neurolake.sql.text import DEFAULT_SCHEMA, Name, quote, split_identifier

_PREFIX = re.compile(r"\s*(schema|table|column|tag|entity|result|literal)\s*:", re.IGNORECASE)
_SHOWN = ("result", "literal")
_WORD = re.compile(r"\w[\w.:-]{0,127}")
_PLAIN = re.compile(r"[a-z_][a-z0-9_]*\Z")
EVERY = "*"
"""The word of an object that stands for all of its kind."""


@dataclass(frozen=True, slots=True)
class Object:
    """One object. Names are folded, so that two spellings of one name are one object; `word` is a tag or an entity.

    `result:EMAIL_ADDRESS` is what shows itself as such only in the rows of a result, `result:*` all of that;
    `literal:…` is what is written into a statement.

    >>> Object.parse("Orders"), str(Object.parse("column:lake.sales.orders.Id"))
    (Object(kind='table', schema='main', table='orders', column='', word=''), 'column:sales.orders.id')
    >>> str(Object.parse("entity:email_address")), str(Object.parse("lake"))
    ('entity:EMAIL_ADDRESS', 'lake')
    """

    kind: str
    schema: str = ""
    table: str = ""
    column: str = ""
    word: str = ""

    @classmethod
    def parse(cls, text: str, schema: str = DEFAULT_SCHEMA) -> Object:
        """Read an object; one without a prefix is a table, and one without a schema is in `schema`.

        Raises:
            InvalidRequest: it cannot be read, or is the system's own.
        """
        if text.strip().casefold() == "lake":
            return LAKE
        match = _PREFIX.match(text)
        kind, rest = (match[1].casefold(), text[match.end() :].strip()) if match else ("table", text)
        if kind in _SHOWN and rest == EVERY:
            return cls(kind, word=EVERY)
        if kind in ("tag", "entity", *_SHOWN):
            return cls(kind, word=word(rest, upper=kind != "tag"))
        if kind == "table":
            return cls.of(Name.parse(rest, schema))
        parts = split_identifier(rest)
        if kind == "schema":
            return cls._schema(parts, text)
        if not 2 <= len(parts) <= 4:
            raise _unreadable(text, "column:table.column, or column:schema.table.column")
        table = ".".join(map(quote, parts[:-1]))
        return cls.of(Name.parse(table, schema), parts[-1])

    @classmethod
    def _schema(cls, parts: list[str], text: str) -> Object:
        if len(parts) == 2 and fold(parts[0]) == "lake":
            parts = parts[1:]
        if len(parts) != 1:
            raise _unreadable(text, "schema:name")
        name = Name.parse(f"{quote(parts[0])}.any")  # which refuses the system's own
        return cls("schema", fold(name.schema))

    @classmethod
    def of(cls, name: Name, column: str = "") -> Object:
        """The object of a table, or of a column of it."""
        folded = name.fold()
        return cls("column" if column else "table", folded.schema, folded.table, fold(column))

    @property
    def name(self) -> Name:
        """The table that it is, or belongs to."""
        return Name(self.schema, self.table)

    def above(self) -> Iterator[Object]:
        """Itself, then what contains it, up to the lake.

        >>> [str(one) for one in Object.parse("column:orders.id").above()]
        ['column:main.orders.id', 'table:main.orders', 'schema:main', 'lake']
        """
        yield self
        if self.kind == "column":
            yield Object("table", self.schema, self.table)
        if self.kind in ("column", "table"):
            yield Object("schema", self.schema)
        if self.kind != "lake":
            yield LAKE

    def __str__(self) -> str:
        if self.kind == "lake":
            return "lake"
        parts = [self.word] if self.word else [p for p in (self.schema, self.table, self.column) if p]
        shown = self.word or ".".join(p if _PLAIN.match(p) else quote(p) for p in parts)
        return f"{self.kind}:{shown}"


LAKE = Object("lake")


def word(text: str, *, upper: bool = False, what: str = "a tag or an entity") -> str:
    """The name of a tag, a role or a policy, or with `upper` of an entity, in the form that all its spellings share.

    Raises:
        InvalidRequest: it holds more than letters, digits and `_.:-`.
    """
    text = text.strip()
    if not _WORD.fullmatch(text):
        raise errors.InvalidRequest(
            f"{text!r} cannot be the name of {what}.",
            code="bad_name",
            next_step="Use letters, digits and _ . : - and at most 128 of them.",
        )
    return text.upper() if upper else text.casefold()


def _unreadable(text: str, form: str) -> errors.InvalidRequest:
    return errors.InvalidRequest(f"{text!r} is not an object.", code="bad_name", next_step=f"Write {form}.")
