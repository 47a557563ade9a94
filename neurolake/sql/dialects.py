"""SQL of other dialects, translated to DuckDB's where that keeps its meaning, refused by name where it does not.

>>> transpile("SELECT IFF(a > 1, 'x', 'y') FROM t ORDER BY a DESC", "snowflake")
"SELECT CASE WHEN a > 1 THEN 'x' ELSE 'y' END FROM t ORDER BY a DESC NULLS FIRST"
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from neurolake import errors

if TYPE_CHECKING:
    from sqlglot import exp

DIALECTS = ("bigquery", "postgres", "snowflake", "spark", "trino")
"""What `transpile` reads, besides DuckDB's own."""

_SHOWN = {"bigquery": "BigQuery", "postgres": "Postgres", "snowflake": "Snowflake", "spark": "Spark", "trino": "Trino"}
_TITLES = {
    "Lateral": "LATERAL", "Explode": "FLATTEN or EXPLODE", "Bracket": "a subscript", "JSONExtract": "a path into JSON",
    "TableSample": "a sample", "TryCast": "TRY_CAST", "DPipe": "||", "Div": "/", "Add": "+", "Sub": "-",
    "Parameter": "a parameter of this form", "Unnest": "UNNEST", "Alter": "ALTER", "Merge": "MERGE", "Copy": "COPY",
    "Pivot": "PIVOT", "Command": "this statement", "TimestampTrunc": "DATE_TRUNC", "TimeToStr": "formatting a date",
    "DataType": "this type", "IntDiv": "division of integers", "Mod": "MOD", "Select": "SELECT", "Table": "FROM",
}  # fmt: skip
_GAP = r"(?:\s|--[^\n]*\n|/\*.*?\*/)*"
# The engine's own statements read the same in every dialect.
_OWN = re.compile(
    rf"{_GAP}(?:CALL|SET|RESET|USE|PRAGMA|SHOW|DESCRIBE|BEGIN|START|COMMIT|ROLLBACK|ABORT|END|CHECKPOINT)\b",
    re.IGNORECASE | re.DOTALL,
)
_OWN_CALL = re.compile(r"\bneurolake\s*\.\s*(?=\w+\s*\()", re.IGNORECASE)
_MARK = "own_function_"
_EXPLAIN = re.compile(rf"{_GAP}EXPLAIN\s+(?:ANALYZE\b{_GAP})?", re.IGNORECASE | re.DOTALL)
_PLACE = re.compile(r"\bfrom (\d+):(\d+)|\bline (\d+), col(?:umn)?:? (\d+)", re.IGNORECASE)
_EXCERPT_CHARS_MAX = 120

_PARAMETER = "neurolake_parameter_"
_NUMBERED = re.compile(rf'["`]?{_PARAMETER}(\d+)__["`]?', re.IGNORECASE)


def literals(text: str, dialect: str) -> list[tuple[int, int, str, bool]] | None:
    """The literals of a text in a dialect: (start, end, what it says, whether it is a number); None where none can be
    told, as in a text that is never closed.

    >>> literals('SELECT "a", 17', "bigquery")
    [(7, 10, 'a', False), (12, 14, '17', True)]
    """
    import sqlglot
    from sqlglot.errors import TokenError
    from sqlglot.tokens import TokenType

    try:
        tokens = sqlglot.tokenize(text, read=dialect)
    except TokenError:
        return None
    return [
        (token.start, token.end + 1, token.text, token.token_type is TokenType.NUMBER)
        for token in tokens
        if token.token_type is TokenType.NUMBER or token.token_type.name.endswith("STRING")
    ]


def transpile(text: str, dialect: str) -> str:
    """Translate one statement, or several.

    Args:
        text: SQL in the dialect. What the engine itself reads (CALL, SET, BEGIN, …) passes unchanged.
        dialect: one of `DIALECTS`.

    Raises:
        SyntaxProblem: the text is none of that dialect; the message has line, column and an excerpt.
        NotSupported: it holds a construct that has no proven equivalent (`dialect_unsupported`), named with its place.
        InvalidRequest: there is no such dialect.
    """
    if dialect == "duckdb" or not text.strip():
        return text
    if dialect not in DIALECTS:
        raise errors.InvalidRequest(
            f"There is no dialect {dialect!r}.", code="bad_dialect", next_step=f"Use duckdb, {', '.join(DIALECTS)}."
        )
    if _OWN.match(text):
        return text
    if prefix := _EXPLAIN.match(text):
        return prefix.group() + transpile(text[prefix.end() :], dialect)
    # The engine's own table functions may be called as a function of the dialect is: sqlglot must not know them.
    marked = _OWN_CALL.sub(rf"\g<0>{_MARK}", _numbered(text, dialect))
    done = "; ".join(_translated(tree, marked, dialect) for tree in _parsed(marked, dialect))
    return _NUMBERED.sub(r"$\1", done.replace(_MARK, ""))


def _numbered(text: str, dialect: str) -> str:
    """Each `?` as a name of its own, which becomes `$1`, `$2` …: a translation may move a parameter, or repeat it."""
    import sqlglot
    from sqlglot.errors import SqlglotError
    from sqlglot.tokens import TokenType

    if "?" not in text:
        return text
    try:
        tokens = sqlglot.tokenize(text, read=dialect)
    except SqlglotError:
        return text  # parsing says what is wrong with it
    marks = [token.start for token in tokens if token.token_type is TokenType.PLACEHOLDER and token.text == "?"]
    for number in range(len(marks), 0, -1):
        start = marks[number - 1]
        text = f"{text[:start]}{_PARAMETER}{number}__{text[start + 1 :]}"
    return text


def _parsed(text: str, dialect: str) -> list[exp.Expression]:
    import sqlglot
    from sqlglot.errors import ParseError, SqlglotError

    try:
        trees = sqlglot.parse(text, read=dialect)
    except ParseError as problem:
        found = problem.errors[0] if problem.errors else {}
        line, end = int(found.get("line") or 1), int(found.get("col") or 1)
        column = max(end - len(found.get("highlight") or "x") + 1, 1)
        what = str(found.get("description") or "The text does not parse").rstrip(".")
        raise _syntax_problem(what, text, line, column, dialect) from None
    except SqlglotError as problem:
        place = _PLACE.search(str(problem))
        line, column = (int(n) for n in place.groups() if n) if place else _unended(text)
        raise _syntax_problem("A quotation or comment does not end", text, line, column, dialect) from None
    except RecursionError:
        raise errors.LimitReached(
            "The statement is nested too deeply to translate.", code="statement_too_deep",
            next_step="Write it flatter, or in DuckDB's SQL.",
        ) from None  # fmt: skip
    return [tree for tree in trees if tree is not None]


def _unended(text: str) -> tuple[int, int]:
    """Where the last quotation mark stands: the likeliest beginning of what does not end."""
    return _line_and_column(text, max(text.rfind("'"), text.rfind('"'), text.rfind("`"), text.rfind("/*"), 0))


def _syntax_problem(what: str, text: str, line: int, column: int, dialect: str) -> errors.SyntaxProblem:
    return errors.SyntaxProblem(
        f"{what}, at line {line}, column {column}:\n{_excerpt(text, line, column)}\n",
        next_step=f"The session's dialect is {_SHOWN[dialect]}; SET dialect = 'duckdb' changes it.",
    )


def _excerpt(text: str, line: int, column: int) -> str:
    """The line with a caret under its column.

    >>> print(_excerpt("SELECT a\\nFROM FROM t", 2, 6))
    FROM FROM t
         ^
    """
    lines = text.split("\n")
    shown = lines[line - 1] if line <= len(lines) else ""
    start = max(column - _EXCERPT_CHARS_MAX // 2, 0) if len(shown) > _EXCERPT_CHARS_MAX else 0
    shown = shown[start : start + _EXCERPT_CHARS_MAX].replace("\t", " ")
    return f"{shown}\n{' ' * (column - 1 - start)}^"


def _line_and_column(text: str, start: int) -> tuple[int, int]:
    return text.count("\n", 0, start) + 1, start - text.rfind("\n", 0, start)


def _translated(tree: exp.Expression, text: str, dialect: str) -> str:
    from sqlglot import exp
    from sqlglot.errors import ErrorLevel, SqlglotError

    from neurolake.sql.proven import is_own, refusal

    for hint in list(tree.find_all(exp.Hint)):
        hint.pop()
    if not isinstance(tree, exp.Query | exp.Insert | exp.Update | exp.Delete | exp.Create | exp.Drop):
        raise _refused(tree, "", text, dialect)
    for node in tree.walk(prune=is_own):
        if (reason := refusal(node, dialect)) is not None:
            raise _refused(node, reason, text, dialect)
    tree = _with_meanings(tree, text, dialect)
    try:
        return str(
            tree.sql(dialect="duckdb", unsupported_level=ErrorLevel.RAISE, comments=False, normalize_functions=False)
        )
    except SqlglotError as problem:
        raise _refused(tree, str(problem), text, dialect) from None


def _with_meanings(tree: exp.Expression, text: str, dialect: str) -> exp.Expression:
    """Every node rewritten that would mean something else, those inside before those around them."""
    from sqlglot import exp

    from neurolake.sql.meanings import Unsure, type_sql, with_meaning

    for node in reversed(list(tree.bfs())):
        try:
            if isinstance(node, exp.ColumnDef) and node.args.get("kind") is not None:
                node.set("kind", exp.DataType.build(type_sql(node.args["kind"], dialect), dialect="duckdb"))
            elif (made := with_meaning(node, dialect)) is not node:
                node.replace(made)
        except Unsure as doubt:
            raise _refused(node, str(doubt), text, dialect) from None
    return tree


def _refused(node: exp.Expression, reason: str, text: str, dialect: str) -> errors.NotSupported:
    places = [leaf.meta["start"] for leaf in node.walk() if "start" in leaf.meta]
    line, column = _line_and_column(text, min(places, default=0))
    name = _name(node, text)
    about = f" with {reason}" if reason and not reason.startswith(("to ", "of ")) else f" {reason}" if reason else ""
    return errors.NotSupported(
        f"{_SHOWN[dialect]}: {name}{about}, at line {line}, column {column}, has no proven equivalent here.",
        code="dialect_unsupported",
        next_step="Write it otherwise, or in DuckDB's SQL after SET dialect = 'duckdb'; docs/dialects.md has the list.",
    )


def _name(node: Any, text: str) -> str:
    """What the user calls a construct: a function by the name in the text, others by their keyword."""
    from sqlglot import exp

    kind = type(node).__name__
    if isinstance(node, exp.Func) and "start" in node.meta:
        return text[node.meta["start"] : node.meta["end"] + 1].upper()
    if isinstance(node, exp.Anonymous):
        return str(node.name).upper()
    places = [leaf.meta["start"] for leaf in node.walk() if "start" in leaf.meta]
    if isinstance(node, exp.Func) and (called := re.search(r"(\w+)\s*\(\s*$", text[: min(places, default=0)])):
        return called[1].upper()
    if isinstance(node, exp.Cast):
        return "CAST"
    if isinstance(node, exp.Create | exp.Drop | exp.Command):
        return str(node.text("this") if isinstance(node, exp.Command) else kind).upper()
    return _TITLES.get(kind, re.sub(r"(?<=[a-z])(?=[A-Z])", " ", kind).upper())
