"""Conditions that compare something with constants, whichever way round they are written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sqlglot import exp

from neurolake.optimizer.place import Place, conditions
from neurolake.optimizer.statement import Statement

_OPERATORS = {exp.EQ: "=", exp.LT: "<", exp.LTE: "<=", exp.GT: ">", exp.GTE: ">="}
FLIPPED = {"=": "=", "<>": "<>", "<": ">", "<=": ">=", ">": "<", ">=": "<=", "in": "in", "between": "between"}
"""The operator that says the same with its sides exchanged, or of values that fall where the others rise."""

INTEGERS = frozenset(
    ["TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT"]
)
SIGNED = frozenset(["TINYINT", "SMALLINT", "INTEGER", "BIGINT"])


@dataclass(frozen=True, slots=True)
class Comparison:
    """`subject op values`: one value, two for `between`, one or more for `in`."""

    node: exp.Expression
    place: Place
    subject: exp.Expression
    op: str
    values: tuple[exp.Expression, ...]


def comparisons(statement: Statement, *, unequal: bool = False) -> Iterator[Comparison]:
    """Every comparison that is a whole condition; those of two sides once each way round.

    Args:
        unequal: `<>` as well, which says next to nothing about where a value lies.
    """
    operators = _OPERATORS | ({exp.NEQ: "<>"} if unequal else {})
    for node, place in conditions(statement, *operators, exp.Between, exp.In):
        if isinstance(node, exp.Between):
            if not node.args.get("symmetric"):
                yield Comparison(node, place, _bare(node.this), "between", (node.args["low"], node.args["high"]))
        elif isinstance(node, exp.In):
            if {key for key, value in node.args.items() if value} == {"this", "expressions"}:
                yield Comparison(node, place, _bare(node.this), "in", tuple(node.expressions))
        else:
            op = operators[type(node)]
            yield Comparison(node, place, _bare(node.this), op, (node.expression,))
            yield Comparison(node, place, _bare(node.expression), FLIPPED[op], (node.this,))


def _bare(node: exp.Expression) -> exp.Expression:
    while isinstance(node, exp.Paren):
        node = node.this
    return node


def text_of(value: exp.Expression) -> str | None:
    """A string constant's text."""
    return value.this if isinstance(value, exp.Literal) and value.is_string else None


def texts_of(values: tuple[exp.Expression, ...]) -> list[str] | None:
    """The texts of string constants; None if one is something else."""
    texts = [text for value in values if (text := text_of(value)) is not None]
    return texts if len(texts) == len(values) else None


def is_text_cast(node: exp.Expression) -> bool:
    """`x::VARCHAR` under any of the type's names."""
    return type(node) is exp.Cast and node.to.this == exp.DType.TEXT and not node.args.get("format")
