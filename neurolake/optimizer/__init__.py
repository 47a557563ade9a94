"""Rules that rewrite a statement where DuckDB's own optimiser does not, each proven to change only the work.

A statement without the words that rules look for costs a few microseconds. A rule replaces a stretch of the user's text
and leaves the rest byte for byte; what it made counts only if it parses to exactly the tree it announced. In doubt the
user's text runs.

>>> context = Context(describe=lambda relation: {"d": "DATE"})
>>> done = optimise("SELECT * FROM t WHERE strftime(d, '%Y') = '1995'", context)
>>> done.fired
('strftime_range',)
>>> done.text
"SELECT * FROM t WHERE (d >= DATE '1995-01-01' AND d < DATE '1996-01-01')"
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import TYPE_CHECKING, NamedTuple

from neurolake.optimizer.rule import Context, Rule

if TYPE_CHECKING:
    from neurolake.optimizer.statement import Edit

__all__ = ["RULES", "Context", "Optimised", "Rule", "optimise"]

_TEXT_CAST = r"::\s*(?:varchar|text|string|b?p?char)\b|\bcast\b"
_TODAY = r"(?:current_date|today\s*\(\s*\))"

RULES: tuple[Rule, ...] = (
    Rule("case_condition", ("case", "if"), (r"\bcase\b|\bi?if\s*\(", r"\bwhere\b|\bon\b")),
    Rule("integer_text", ("::", "cast"), (_TEXT_CAST, r"'-?\d+'")),
    Rule("or_to_in", ("or",), (r"\bor\b(?:.*?\bor\b){6}",)),
    Rule("strftime_range", ("strftime",), ()),
    Rule("text_prefix", ("::", "cast"), (_TEXT_CAST, r"'\d{4}")),
    Rule(
        "day_shift",
        ("interval", "+", "-"),
        (
            r"[\w\")]\s*[+-]\s*(?:interval\b|\d+\s*(?:[<>=)]|between\b|in\b))"
            r"|\binterval\b[^+()]{1,30}\+\s*[\w\"]|[<>=]\s*[a-z_\"][\w.\"]*\s*[+-]\s*\d",
        ),
    ),
    Rule(
        "date_diff",
        ("diff", "-"),
        (rf"\bdate_?diff\b|\b{_TODAY}\s*\)?\s*-|-\s*\(?\s*{_TODAY}|\bdate\s*'[^']*'\s*-|-\s*\(?\s*date\s*'",),
    ),
    Rule(
        "calendar_range",
        ("trunc", "::", "cast", "year", "last_day"),
        (
            r"\bdate_?trunc\b|::\s*date\b|\bas\s+date\b|\byear\b|\blast_day\b",
            r"\bin\s*\(|\bbetween\b|\bextract\b|\blast_day\b|\b100\b",
        ),
    ),
    Rule("make_date", ("make_date",), ()),
    Rule("long_list", (",",), (r"\bin\s*\((?:[^(),]*,){31}",)),
    Rule("distinct_group", ("distinct",), (r"\bselect\s+distinct\b", r"\bgroup\s+by\b")),
    Rule("subquery_order", ("order",), (r"\border\s+by\s[^()]*\)", r"\(\s*(?:select|from|with)\b")),
)
"""In the order they are tried."""

_ANY_WORD = re.compile("|".join(re.escape(word) for word in sorted({word for rule in RULES for word in rule.words})))


class Optimised(NamedTuple):
    """The text that runs, and the rules that made it; without rules it is the text that came."""

    text: str
    fired: tuple[str, ...]


def optimise(text: str, context: Context, *, off: Collection[str] = frozenset()) -> Optimised:
    """Rewrite a statement.

    Args:
        text: one SELECT as DuckDB would run it.
        context: what may be asked about its relations.
        off: names of rules that are not to fire.
    """
    lowered = text.lower()
    if _ANY_WORD.search(lowered) is None:
        return Optimised(text, ())
    wanted = [rule for rule in RULES if rule.may_match(lowered) and rule.name not in off]
    if not wanted:
        return Optimised(text, ())
    try:
        done = _rewritten(text, context, wanted)
        return Optimised(text, ()) if done.fired and _calls_own(text, done.text, context) else done
    except RecursionError:  # a statement nested deeper than Python's stack: it runs as written
        return Optimised(text, ())


def _calls_own(before: str, after: str, context: Context) -> bool:
    """Whether the statement, as written or as rewritten, may call a user's function where a rule reads a built-in."""
    own = context.own_functions()
    if not own:
        return False
    from neurolake.optimizer.calls import misread

    return misread(before, own, context) or misread(after, own, context)


def _rewritten(text: str, context: Context, wanted: list[Rule]) -> Optimised:
    from neurolake.optimizer.statement import Statement

    fired: list[str] = []
    statement = Statement.read(text, context)
    for rule in wanted:
        if statement is None:
            break
        edits = _apart(rule.find(statement))
        if not edits:
            continue
        before = statement.full_text
        changed = statement.apply(edits)
        if changed is None:
            statement = Statement.read(before, context)
        else:
            statement = changed
            fired.append(rule.name)
    if statement is None or not fired:
        return Optimised(text, ())
    return Optimised(statement.full_text, tuple(fired))


def _apart(edits: list[Edit]) -> list[Edit]:
    """Edits that do not overlap, first come first served."""
    kept: list[Edit] = []
    for edit in edits:
        if all(edit.end <= other.start or edit.start >= other.end for other in kept):
            kept.append(edit)
    return kept
