"""What other dialects may say here: constructs and functions whose meaning in DuckDB has been checked.

sqlglot translates names and arguments; it does not promise meaning. A quotient of two integers, a cast of 2.5 to an
integer, or LIKE with a backslash come out as valid SQL with another answer. So nothing passes that is not named here,
and every entry has its values in tests/unit/test_dialects.py. `refusal` says why a node does not pass, `meaning`
rewrites the nodes whose plain translation would differ.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp

from neurolake.identifiers import fold
from neurolake.sql.meanings import UNITS, is_whole, kind_of, unit_of

Check = Callable[[exp.Expression, str], str | None]
"""Why a node of an allowed kind is refused all the same; None if it passes."""

_ALL = frozenset(("snowflake", "bigquery", "postgres", "spark", "trino"))

STRUCTURE: frozenset[type[exp.Expression]] = frozenset((
    exp.Add, exp.Alias, exp.All, exp.And, exp.Any, exp.Between, exp.Boolean, exp.CTE, exp.Case, exp.Column,
    exp.ColumnConstraint,
    exp.ColumnDef, exp.Create, exp.Cube, exp.DPipe, exp.DataType, exp.DataTypeParam, exp.Delete, exp.Distinct, exp.Div,
    exp.Drop, exp.EQ, exp.Escape, exp.Except, exp.Exists, exp.Fetch, exp.Filter, exp.From, exp.GT, exp.GTE, exp.Group,
    exp.GroupingSets, exp.Having, exp.ILike, exp.Identifier, exp.If, exp.IgnoreNulls, exp.In, exp.Insert, exp.IntDiv,
    exp.Intersect, exp.Interval, exp.Is, exp.Join, exp.LT, exp.LTE, exp.Like, exp.Limit, exp.LimitOptions, exp.Literal,
    exp.Mod, exp.Mul, exp.NEQ, exp.Neg, exp.Not, exp.NotNullColumnConstraint, exp.Null, exp.NullSafeEQ,
    exp.NullSafeNEQ, exp.Offset, exp.Or, exp.Order, exp.Ordered, exp.Parameter, exp.Paren, exp.Placeholder,
    exp.PrimaryKeyColumnConstraint, exp.Qualify, exp.RawString, exp.Rollup, exp.Schema, exp.Select, exp.Star, exp.Sub,
    exp.Subquery, exp.Table, exp.TableAlias, exp.Tuple, exp.Union, exp.Update, exp.Values, exp.Var, exp.Where,
    exp.Window, exp.WindowSpec, exp.With,
))  # fmt: skip
"""Kinds of node that mean the same in every dialect, or are made to by `meaning`."""

_ARGUMENTS: dict[type[exp.Expression], frozenset[str]] = {
    kind: frozenset(names.split())
    for kind, names in {
        exp.Select: "expressions from_ joins where group having qualify order limit offset distinct with_ windows",
        exp.Table: "this db catalog alias joins",
        exp.Subquery: "this alias with_ order limit offset joins",
        exp.Union: "this expression distinct with_ order limit offset",
        exp.Except: "this expression distinct with_ order limit offset",
        exp.Intersect: "this expression distinct with_ order limit offset",
        exp.Join: "this side kind on using method",
        exp.Group: "expressions all rollup cube grouping_sets",
        exp.Star: "except_",
        exp.With: "expressions recursive",
        exp.Between: "this low high symmetric",
        exp.Insert: "this expression with_ exists",
        exp.Update: "this expressions where from_ with_",
        exp.Delete: "this where with_",
        exp.Create: "this kind expression exists replace with_",
        exp.Drop: "this kind exists tables",
        exp.In: "this expressions query",
    }.items()
}
"""Clauses that may be given; any other is refused by its name."""


def _positive(*names: str) -> Check:
    """These arguments must be whole numbers above zero: for others the dialects disagree."""

    def check(node: exp.Expression, dialect: str) -> str | None:
        for name in names:
            value = node.args.get(name)
            if value is not None and not (is_whole(value) and int(value.this) > 0):
                return "an argument that is not a whole number above zero"
        return None

    return check


def _only(*names: str) -> Check:
    """No other arguments than these."""

    def check(node: exp.Expression, dialect: str) -> str | None:
        extra = [key for key, value in node.args.items() if value and key not in names]
        return f"the argument {extra[0]}" if extra else None

    return check


def _known_unit(node: exp.Expression, dialect: str) -> str | None:
    return None if unit_of(node) in UNITS else f"the unit {node.args['unit'].sql(dialect=dialect).upper()}"


def _extract(node: exp.Expression, dialect: str) -> str | None:
    part = node.this.name.upper()
    # Seconds have fractions in Postgres; days of the week and weeks are counted differently nearly everywhere.
    return None if part in UNITS - {"SECOND"} else f"the part {part}"


def _like(node: exp.Expression, dialect: str) -> str | None:
    return "ANY or ALL" if isinstance(node.expression, exp.Any | exp.All) else None


def _plain_format(node: exp.Expression, dialect: str) -> str | None:
    pattern = node.args.get("format")
    if not isinstance(pattern, exp.Literal):
        return "a format that is not a constant"
    rest = pattern.this.removesuffix("strict")  # sqlglot's own mark on Spark's formats
    for field in ("%Y", "%m", "%d", "%H", "%M", "%S"):
        rest = rest.replace(field, "")
    return None if all(not c.isalnum() and c != "%" for c in rest) else f"the format {pattern.this!r}"


def _days_between(node: exp.Expression, dialect: str) -> str | None:
    if dialect == "trino":
        both = kind_of(node.this) == "date" == kind_of(node.expression)
        return None if both and unit_of(node) == "DAY" else "elapsed units: cast both arguments to DATE and use 'day'"
    if dialect == "spark" and node.args.get("unit") is not None:
        return "elapsed units: use datediff(end, start)"
    return _known_unit(node, dialect)


def _plain_replace(node: exp.Expression, dialect: str) -> str | None:
    searched = node.args.get("expression")
    return None if isinstance(searched, exp.Literal) and searched.this else "a search text that is not a constant"


def _plain_trim(node: exp.Expression, dialect: str) -> str | None:
    if node.args.get("expression") is None and dialect in ("bigquery", "trino"):
        return "no list of characters: it removes every kind of white space there, only spaces here"
    return "a collation" if node.args.get("collation") else None


def _one_digit_rule(node: exp.Expression, dialect: str) -> str | None:
    if dialect == "postgres" and node.args.get("decimals") is None and kind_of(node.this) != "decimal":
        return "one argument: Postgres rounds a half of a double to even; give the number of digits"
    return _only("this", "decimals", "casts_non_integer_decimals")(node, dialect)


def _whole_power(node: exp.Expression, dialect: str) -> str | None:
    return None if is_whole(node.expression) else "an exponent that is not a constant whole number"


def _single(node: exp.Expression, dialect: str) -> str | None:
    arguments = node.this.expressions if isinstance(node.this, exp.Distinct) else [node.this, *node.expressions]
    return "several columns" if len(arguments) > 1 else None


def _grouped_text(node: exp.Expression, dialect: str) -> str | None:
    return _only("this", "separator")(node, dialect)


def _for(*dialects: str) -> frozenset[str]:
    return frozenset(dialects)


FUNCTIONS: dict[type[exp.Expression], tuple[frozenset[str], Check | None]] = {
    # Aggregates
    exp.Count: (_ALL, _single), exp.Sum: (_ALL, None), exp.Min: (_ALL, _only("this")), exp.Max: (_ALL, _only("this")),
    exp.Avg: (_ALL, None), exp.Stddev: (_ALL, None), exp.StddevSamp: (_ALL, None), exp.StddevPop: (_ALL, None),
    exp.Variance: (_ALL, None), exp.VariancePop: (_ALL, None), exp.AnyValue: (_ALL, _only("this")),
    exp.CountIf: (_ALL - _for("postgres"), None), exp.LogicalAnd: (_ALL - _for("snowflake"), None),
    exp.LogicalOr: (_ALL - _for("snowflake"), None), exp.GroupConcat: (_for("postgres", "bigquery"), _grouped_text),
    exp.ArrayAgg: (_for("postgres", "trino"), _only("this")),
    # Windows
    exp.RowNumber: (_ALL, None), exp.Rank: (_ALL, None), exp.DenseRank: (_ALL, None), exp.PercentRank: (_ALL, None),
    exp.CumeDist: (_ALL, None), exp.Ntile: (_ALL, None), exp.Lag: (_ALL, None), exp.Lead: (_ALL, None),
    exp.FirstValue: (_ALL, _only("this")), exp.LastValue: (_ALL, _only("this")),
    # Values
    exp.Coalesce: (_ALL, None), exp.Nullif: (_ALL, None), exp.Greatest: (_ALL, None), exp.Least: (_ALL, None),
    exp.Nvl2: (_for("snowflake", "spark"), None), exp.EqualNull: (_for("snowflake"), None),
    exp.DecodeCase: (_for("snowflake"), None), exp.Cast: (_ALL, None), exp.TryCast: (_ALL - _for("postgres"), None),
    # Numbers
    exp.Abs: (_ALL, None), exp.Ceil: (_ALL, _only("this")), exp.Floor: (_ALL, _only("this")), exp.Sign: (_ALL, None),
    exp.Round: (_ALL, _one_digit_rule), exp.Pow: (_ALL, _whole_power), exp.Sqrt: (_ALL, None), exp.Ln: (_ALL, None),
    exp.SafeDivide: (_for("bigquery"), None),
    # Text
    exp.Upper: (_ALL, None), exp.Lower: (_ALL, None), exp.Reverse: (_ALL, None),
    exp.Length: (_ALL, _only("this", "binary")),
    exp.Concat: (_ALL, None), exp.ConcatWs: (_for("postgres", "spark", "trino"), None),
    exp.Replace: (_ALL, _plain_replace), exp.Trim: (_ALL, _plain_trim), exp.Repeat: (_ALL, _positive("times")),
    exp.Substring: (_ALL, _positive("start", "length")), exp.Left: (_ALL, _positive("expression")),
    exp.Right: (_ALL, _positive("expression")), exp.StrPosition: (_ALL, _only("this", "substr", "clamp_position")),
    exp.StartsWith: (_ALL, None), exp.EndsWith: (_ALL - _for("postgres", "trino"), None),
    exp.Contains: (_for("snowflake", "spark"), None),
    exp.SplitPart: (_for("postgres", "snowflake", "spark"), _positive("part_index")),
    exp.RegexpLike: (_for("bigquery"), _only("this", "expression")),
    # Days and times
    exp.CurrentDate: (_ALL, _only()), exp.CurrentTimestamp: (_ALL, _only()),
    exp.Year: (_ALL, None), exp.Quarter: (_ALL, None), exp.Month: (_ALL, None), exp.Day: (_ALL, None),
    exp.Extract: (_ALL, _extract), exp.DateTrunc: (_ALL, _known_unit),
    exp.TimestampTrunc: (_ALL, _known_unit), exp.DateDiff: (_ALL, _days_between),
    exp.DateAdd: (_ALL, _known_unit), exp.DateSub: (_for("bigquery"), _known_unit),
    exp.DatetimeAdd: (_for("bigquery"), _known_unit), exp.TsOrDsAdd: (_for("spark"), _known_unit),
    exp.TsOrDsToDate: (_for("spark", "bigquery"), _only("this")), exp.TimeStrToTime: (_for("spark"), _only("this")),
    exp.TimeToStr: (_for("bigquery", "spark", "trino", "postgres"), _plain_format),
}  # fmt: skip
"""Functions by the node sqlglot reads them as: the dialects in which they are proven, and on what condition."""


def _extra_clause(node: exp.Expression) -> str | None:
    names = (str(name) for name, value in node.args.items() if value and name not in _ARGUMENTS[type(node)])
    extra = next(names, None)
    return None if extra is None else extra.rstrip("_").upper().replace("_", " ")


def is_own(node: exp.Expression) -> bool:
    """A relation of the engine's own schema: what its brackets hold is the engine's to read."""
    return isinstance(node, exp.Table) and fold(str(node.text("db"))) == "neurolake"


def refusal(node: exp.Expression, dialect: str) -> str | None:
    """Why this node may not stand in a statement of that dialect; None if it may. An empty text: the node itself."""
    kind = type(node)
    if kind in FUNCTIONS:
        dialects, check = FUNCTIONS[kind]
        if dialect not in dialects:
            return ""
        return check(node, dialect) if check is not None else None
    if kind not in STRUCTURE:
        return ""
    if kind in _ARGUMENTS and (extra := _extra_clause(node)) is not None:
        return extra
    check = _CHECKS.get(kind)
    return check(node, dialect) if check is not None else None


def _table(node: exp.Expression, dialect: str) -> str | None:
    return None if isinstance(node.this, exp.Identifier) or is_own(node) else "a table function"


def _from(node: exp.Expression, dialect: str) -> str | None:
    return "no brackets around its query" if isinstance(node.this, exp.Select) else None


def _quantified(node: exp.Expression, dialect: str) -> str | None:
    query = node.this.unnest() if isinstance(node.this, exp.Paren | exp.Subquery) else node.this
    return None if isinstance(query, exp.Query) else "something other than a query"


def _limit(node: exp.Expression, dialect: str) -> str | None:
    options = node.args.get("limit_options")
    given = [key for key, value in options.args.items() if value and key != "rows"] if options else []
    return "PERCENT or WITH TIES" if given else None


def _parameter(node: exp.Expression, dialect: str) -> str | None:
    numbered = isinstance(node.this, exp.Literal)
    return None if (dialect == "postgres" and numbered) or (dialect == "bigquery" and not numbered) else ""


def _whole_division(node: exp.Expression, dialect: str) -> str | None:
    return None if dialect == "bigquery" else ""


def _made(node: exp.Expression, dialect: str) -> str | None:
    kind = str(node.args.get("kind") or "").upper()
    return None if kind in ("TABLE", "VIEW") else kind


_CHECKS: dict[type[exp.Expression], Check] = {
    exp.All: _quantified, exp.Any: _quantified,
    exp.Table: _table, exp.From: _from, exp.Fetch: _limit, exp.Limit: _limit, exp.Parameter: _parameter,
    exp.IntDiv: _whole_division,
    exp.Create: _made, exp.Drop: _made, exp.Like: _like, exp.ILike: _like,
}  # fmt: skip
