"""Rules that rewrite a statement where DuckDB's own optimiser does not, each proven to change only the work.

A statement no rule's trigger words occur in costs one regular expression. A rule replaces a stretch of the user's text
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

RULES: tuple[Rule, ...] = (
    Rule("case_condition", (r"\bcase\b", r"\bwhere\b")),
    Rule("or_to_in", (r"\bor\b(?:.*?\bor\b){6}",)),
    Rule("strftime_range", (r"\bstrftime\b",), frozenset(("strftime",))),
    Rule("text_prefix", (r"\blike\b", r"::|\bcast\b")),
    Rule("day_shift", (r"\binterval\b",)),
    Rule("date_diff", (r"\bdate_?diff\b",), frozenset(("date_diff", "datediff"))),
    Rule("subquery_order", (r"\(\s*(?:select|from)\b.*\border\s+by\b",)),
)
"""In the order they are tried."""

_ANY = re.compile("|".join(rule.triggers[0] for rule in RULES), re.IGNORECASE | re.DOTALL)


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
    if _ANY.search(text) is None:
        return Optimised(text, ())
    wanted = [rule for rule in RULES if rule.name not in off and rule.may_match(text, context.macros)]
    try:
        return _rewritten(text, context, wanted)
    except RecursionError:  # a statement nested deeper than Python's stack: it runs as written
        return Optimised(text, ())


def _rewritten(text: str, context: Context, wanted: list[Rule]) -> Optimised:
    from neurolake.optimizer.statement import Statement

    fired: list[str] = []
    statement = Statement.read(text, context) if wanted else None
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
