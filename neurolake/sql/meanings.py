"""Constructs that DuckDB spells the same and means differently, rewritten so that they mean what they meant.

Each rewrite takes a node of the source dialect's tree. Where the meaning hangs on a type that the text does not show,
the rewrite asks `typeof` when the statement runs, or, if types cannot be told apart then, it is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from sqlglot import exp, parse_one

UNITS = frozenset(("YEAR", "QUARTER", "MONTH", "DAY", "HOUR", "MINUTE", "SECOND"))
_DAY_UNITS = frozenset(("YEAR", "QUARTER", "MONTH", "DAY"))

_T = exp.DType
_INTEGERS = frozenset((_T.TINYINT, _T.SMALLINT, _T.INT, _T.BIGINT))
_KINDS = {
    **dict.fromkeys(_INTEGERS, "integer"), _T.DOUBLE: "double", _T.FLOAT: "double", _T.DECIMAL: "decimal",
    _T.DATE: "date", _T.TIMESTAMP: "timestamp", _T.TIMESTAMPNTZ: "timestamp", _T.TIMESTAMPTZ: "timestamp",
    _T.TIMESTAMPLTZ: "timestamp", _T.DATETIME: "timestamp", _T.TEXT: "text", _T.VARCHAR: "text",
}  # fmt: skip
_OTHERS = frozenset((_T.TIME, _T.UUID))
_COMPARISONS = (exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.Between)
_WHOLE_TEXT = re.compile(r"\s*[+-]?\d+\s*", re.ASCII)
_DEFAULT_DECIMAL = {"snowflake": (38, 0), "bigquery": (38, 9), "trino": (38, 0), "spark": (10, 0)}


class Unsure(Exception):
    """The text does not show enough to keep the meaning; says what is missing."""


def is_whole(node: exp.Expression | None) -> bool:
    """A constant whole number without a sign."""
    return isinstance(node, exp.Literal) and not node.is_string and node.this.isdigit()


def unit_of(node: exp.Expression) -> str:
    """The unit of a date function, in capitals and the singular."""
    unit = node.args.get("unit")
    return "DAY" if unit is None else str(unit.name).upper().removesuffix("S")


def kind_of(node: exp.Expression | None) -> str | None:
    """The kind of value an expression has, as far as its text shows: a column's kind is not known."""
    if node is not None and "kind" in node.meta:  # what a rewritten node was before
        return str(node.meta["kind"])
    if isinstance(node, exp.Paren | exp.Neg | exp.Abs):
        return kind_of(node.this)
    if isinstance(node, exp.Literal):
        return "text" if node.is_string else "integer" if node.this.isdigit() else "decimal"
    if isinstance(node, exp.Cast):
        return _KINDS.get(node.to.this)
    if isinstance(node, exp.Count | exp.CountIf | exp.Length | exp.StrPosition | exp.RowNumber | exp.Rank):
        return "integer"
    if isinstance(node, exp.CurrentDate):
        return "date"
    if isinstance(node, exp.CurrentTimestamp):
        return "timestamp"
    if isinstance(node, exp.Window | exp.Filter):
        return kind_of(node.this)
    if isinstance(node, exp.Add | exp.Sub | exp.Mul | exp.Div):
        return _common(kind_of(node.this), kind_of(node.expression))
    return None


def _common(left: str | None, right: str | None) -> str | None:
    """Of an operation on numbers: double wins; a decimal with something unknown is not an integer, at least."""
    if "double" in (left, right):
        return "double"
    if "decimal" in (left, right):
        return "decimal" if None not in (left, right) else "fraction"
    return left if left == right == "integer" else None


def _shape(sql: str, **parts: exp.Expression) -> exp.Expression:
    """DuckDB text with trees in the place of the names that stand for them."""

    def fill(node: exp.Expression) -> exp.Expression:
        return parts[node.name].copy() if isinstance(node, exp.Column) and node.name in parts else node

    return parse_one(sql, read="duckdb").transform(fill)


def _inside(node: exp.Expression) -> exp.Expression:
    """An operand, in brackets unless it is a single word or call."""
    plain = isinstance(node, exp.Column | exp.Literal | exp.Func | exp.Paren | exp.Placeholder | exp.Parameter)
    return node if plain else exp.Paren(this=node)


def _division(node: exp.Expression, dialect: str) -> exp.Expression:
    left, right = _inside(node.this), _inside(node.expression)
    operator = "/"
    if dialect in ("postgres", "trino"):
        kinds = kind_of(left), kind_of(right)
        if kinds == ("integer", "integer"):
            operator = "//"
        elif "double" not in kinds and not (dialect == "postgres" and {"decimal", "fraction"} & set(kinds)):
            raise Unsure("of operands whose types do not show: cast one of them to DOUBLE, or both to integers")
    if isinstance(right, exp.Literal) and not right.is_string and float(right.this) != 0:
        return _shape(f"l {operator} r", l=left, r=right)
    # Every one of these dialects stops at a division by zero; DuckDB answers infinity.
    return _shape(f"l {operator} CASE WHEN r = 0 THEN error('Division by zero') ELSE r END", l=left, r=right)


def _safe_division(node: exp.Expression, dialect: str) -> exp.Expression:
    return _shape("l / NULLIF(r, 0)", l=_inside(node.this), r=_inside(node.expression))


def _root(node: exp.Expression, dialect: str) -> exp.Expression:
    if dialect in ("spark", "trino"):
        return node
    return _shape(
        "CASE WHEN x < 0 THEN error('Square root of a negative number') ELSE sqrt(x) END", x=_inside(node.this)
    )


def _logarithm(node: exp.Expression, dialect: str) -> exp.Expression:
    if dialect == "spark":
        return _shape("CASE WHEN x > 0 THEN ln(x) END", x=_inside(node.this))
    if dialect == "trino":
        return node
    return _shape(
        "CASE WHEN x <= 0 THEN error('Logarithm of a number not above zero') ELSE ln(x) END", x=_inside(node.this)
    )


def _pattern(node: exp.Expression, dialect: str) -> exp.Expression:
    """LIKE takes a backslash as its escape character in Postgres, BigQuery and Spark, and none in DuckDB."""
    if dialect not in ("postgres", "bigquery", "spark") or isinstance(node.parent, exp.Escape):
        return node
    pattern = node.expression
    if isinstance(pattern, exp.Literal) and "\\" not in pattern.this:
        return node
    return exp.Escape(this=node.copy(), expression=exp.Literal.string("\\"))


def _literal(node: exp.Expression, dialect: str) -> exp.Expression:
    """1.5 is a FLOAT64 in BigQuery, a DECIMAL elsewhere."""
    if dialect != "bigquery" or node.is_string or node.this.isdigit():
        return node
    return exp.Cast(this=node.copy(), to=exp.DataType(this=_T.DOUBLE))


def _cast(node: exp.Expression, dialect: str) -> exp.Expression:
    target = node.to.this
    # sqlglot reads Spark's CAST as TRY_CAST; since Spark 4 a failed cast stops the statement.
    attempt = isinstance(node, exp.TryCast) and (dialect != "spark" or bool(node.args.get("safe")))
    if node.args.get("format") or (target not in _KINDS and target not in _OTHERS):
        raise Unsure(f"to {node.to.sql(dialect=dialect)}")
    verb, operand = ("TRY_CAST" if attempt else "CAST"), node.this
    if target in _INTEGERS:
        return _integer_cast(verb, operand, node.to, dialect)
    if target in (_T.TEXT, _T.VARCHAR):
        return _text_cast(verb, operand, node.to, dialect)
    if target in (_T.TIMESTAMP, _T.TIMESTAMPNTZ, _T.DATETIME, _T.TIMESTAMPTZ, _T.TIMESTAMPLTZ):
        return _moment_cast(verb, operand, node.to, dialect)
    return _shape(f"{verb}(x AS {type_sql(node.to, dialect)})", x=operand)


def _integer_cast(verb: str, operand: exp.Expression, to: exp.Expression, dialect: str) -> exp.Expression:
    """Which way a half goes, and whether '12.7' is an integer, differs from dialect to dialect."""
    kind, sql = kind_of(operand), type_sql(to, dialect)
    whole_text = isinstance(operand, exp.Literal) and operand.is_string and _WHOLE_TEXT.fullmatch(operand.this)
    if kind == "integer" or whole_text:
        return _shape(f"{verb}(x AS {sql})", x=operand)
    rounding = {"spark": "trunc", "postgres": "round_even"}.get(dialect, "round")
    digits = ", 0" if rounding == "round_even" else ""
    branches = f"WHEN typeof(x) IN ('DOUBLE', 'FLOAT') THEN {verb}({rounding}(TRY_CAST(x AS DOUBLE){digits}) AS {sql}) "
    if dialect == "spark":
        branches += f"WHEN typeof(x) LIKE 'DECIMAL%' THEN {verb}(trunc(TRY_CAST(x AS DECIMAL(38, 10))) AS {sql}) "
    if dialect != "snowflake":
        failed = "NULL" if verb == "TRY_CAST" else "error('Text that is no whole number cannot be cast to an integer')"
        no_number = r"NOT regexp_full_match(CAST(x AS VARCHAR), '\s*[+-]?\d+\s*')"
        branches += f"WHEN typeof(x) = 'VARCHAR' AND {no_number} THEN {failed} "
    return _shape(f"CASE {branches}ELSE {verb}(x AS {sql}) END", x=operand)


def _text_cast(verb: str, operand: exp.Expression, to: exp.Expression, dialect: str) -> exp.Expression:
    if to.expressions:
        raise Unsure("to text of a limited length, which DuckDB would not cut: use LEFT")
    if kind_of(operand) in ("text", "integer", "date"):
        return _shape(f"{verb}(x AS VARCHAR)", x=operand)
    same = ["VARCHAR", "BIGINT", "INTEGER", "SMALLINT", "TINYINT", "HUGEINT", "DATE", "BOOLEAN", "UUID"]
    if dialect in ("postgres", "spark"):
        same.append("TIMESTAMP")
    known = ", ".join(f"'{name}'" for name in same)
    # typeof says "NULL" of a bare NULL.
    return _shape(
        f"""CASE WHEN typeof(x) IN ({known}, '"NULL"') OR typeof(x) LIKE 'DECIMAL%' THEN {verb}(x AS VARCHAR) """
        "ELSE error('The text of a ' || typeof(x) || ' differs between dialects: format it') END",
        x=operand,
    )


def _moment_cast(verb: str, operand: exp.Expression, to: exp.Expression, dialect: str) -> exp.Expression:
    zoned = type_sql(to, dialect) == "TIMESTAMPTZ"
    text = operand.this if isinstance(operand, exp.Literal) and operand.is_string else None
    if dialect == "trino" and text is None and [p.name for p in to.expressions] != ["6"]:
        raise Unsure("to TIMESTAMP, which keeps milliseconds there: cast to TIMESTAMP(6)")
    if dialect == "bigquery" and zoned:
        if text is None:
            raise Unsure("to TIMESTAMP, which reads a text without a zone as UTC there: name the zone in a constant")
        # Without a zone of its own the text is UTC there, and in the session's zone here.
        operand = exp.Literal.string(text if re.search(r"(Z|[+-]\d\d(:?\d\d)?)$", text[10:]) else f"{text}+00")
    return _shape(f"{verb}(x AS {type_sql(to, dialect)})", x=operand)


def type_sql(to: exp.Expression, dialect: str) -> str:
    """DuckDB's type for a type of the dialect.

    Raises:
        Unsure: there is none that behaves alike.
    """
    name, parameters = to.this, [parameter.name for parameter in to.expressions]
    if name == _T.DECIMAL and not parameters:
        if dialect not in _DEFAULT_DECIMAL:
            raise Unsure("to NUMERIC without a precision, which DuckDB does not have: say NUMERIC(p, s)")
        parameters = [str(number) for number in _DEFAULT_DECIMAL[dialect]]
    if name in _INTEGERS:
        # An INT of Snowflake has 38 digits; BIGINT is the widest that stays an integer to every client.
        return "BIGINT" if dialect == "snowflake" else str(name.value)
    if name in (_T.TIMESTAMP, _T.TIMESTAMPNTZ, _T.DATETIME):
        return "TIMESTAMP"
    if name in (_T.TIMESTAMPTZ, _T.TIMESTAMPLTZ):
        return "TIMESTAMPTZ"
    if name in (_T.TEXT, _T.VARCHAR):
        return "VARCHAR"
    if name in _KINDS or name in _OTHERS or name == _T.BOOLEAN:
        return f"{name.value}({', '.join(parameters)})" if name == _T.DECIMAL else str(name.value)
    raise Unsure(f"to {to.sql(dialect=dialect)}")


def _shifted(node: exp.Expression, dialect: str) -> exp.Expression:
    """A day plus an interval is a TIMESTAMP in DuckDB; where it stays a DATE, it is cast back."""
    dates = isinstance(node, exp.DateAdd | exp.DateSub | exp.TsOrDsAdd) and (
        dialect == "bigquery" or isinstance(node, exp.TsOrDsAdd)
    )
    operand, unit = _inside(node.this), unit_of(node)
    amount = node.expression
    sign = "-" if isinstance(node, exp.DateSub) else "+"
    if isinstance(node, exp.TsOrDsAdd):
        operand = exp.Cast(this=operand.copy(), to=exp.DataType(this=_T.DATE))
    if isinstance(amount, exp.Literal) and amount.is_string:
        amount = exp.Literal.number(amount.this)
    count = "n" if is_whole(amount) else "CAST(n AS INTEGER)"
    moved = _shape(f"x {sign} to_{unit.lower()}s({count})", x=operand, n=amount)
    return _as_day(moved, node, operand, unit, dialect, always=dates)


def _with_interval(node: exp.Expression, dialect: str) -> exp.Expression:
    interval = node.expression if isinstance(node.expression, exp.Interval) else None
    # BigQuery and Postgres answer with a timestamp too.
    if interval is None or dialect in ("bigquery", "postgres"):
        return node
    return _as_day(node.copy(), node, node.this, unit_of(interval), dialect, always=False)


def _truncated(node: exp.Expression, dialect: str) -> exp.Expression:
    plain = _shape(f"date_trunc('{unit_of(node).lower()}', x)", x=node.this)
    if isinstance(node, exp.TimestampTrunc) and dialect in ("bigquery", "postgres", "spark"):
        return plain
    return _as_day(plain, node, node.this, unit_of(node), dialect, always=isinstance(node, exp.DateTrunc))


def _as_day(
    made: exp.Expression, node: exp.Expression, operand: exp.Expression, unit: str, dialect: str, *, always: bool
) -> exp.Expression:
    kind = kind_of(operand)
    if always or (kind == "date" and unit in _DAY_UNITS):
        return exp.Cast(this=made, to=exp.DataType(this=_T.DATE))
    if kind in ("date", "timestamp") or isinstance(node.parent, _COMPARISONS):
        return made
    raise Unsure("of a value that may be a DATE or a TIMESTAMP: cast it to the one it is")


_MEANINGS: dict[type[exp.Expression], Callable[[Any, str], exp.Expression]] = {
    exp.Div: _division, exp.SafeDivide: _safe_division, exp.Sqrt: _root, exp.Ln: _logarithm, exp.Like: _pattern,
    exp.ILike: _pattern, exp.Literal: _literal, exp.Cast: _cast, exp.TryCast: _cast, exp.DateAdd: _shifted,
    exp.DateSub: _shifted, exp.DatetimeAdd: _shifted, exp.TsOrDsAdd: _shifted, exp.Add: _with_interval,
    exp.Sub: _with_interval, exp.DateTrunc: _truncated, exp.TimestampTrunc: _truncated,
}  # fmt: skip


def with_meaning(node: exp.Expression, dialect: str) -> exp.Expression:
    """What takes a node's place in DuckDB's tree: mostly the node itself.

    Raises:
        Unsure: the text does not show enough to keep its meaning.
    """
    make = _MEANINGS.get(type(node))
    if make is None or isinstance(node.parent, exp.Interval | exp.DataTypeParam):
        return node
    made = make(node, dialect)
    if made is not node and (kind := kind_of(node)) is not None:
        made.meta["kind"] = kind
    return made
