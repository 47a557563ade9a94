"""A statement as text and tree at once, so that a rule changes the one and proves it with the other.

Nothing is ever printed from a tree: sqlglot's DuckDB text is close, but not the user's. A rule replaces a stretch
of the source, and the result counts only if parsing it gives the old tree with exactly that node changed.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from sqlglot import exp
from sqlglot.dialects.duckdb import DuckDB
from sqlglot.errors import SqlglotError
from sqlglot.tokens import TokenType

from neurolake.identifiers import fold

if TYPE_CHECKING:
    from neurolake.optimizer.rule import Context

TEXT_CHARS_MAX = 200_000
"""Longer statements (their long IN lists not counted) run as written: parsing them costs more than rules win."""

LIST_LENGTH_MIN = 32
"""IN lists of at least this many constants are put aside before parsing."""

_NUMBER = r"\s*-?\d{1,18}\s*"
_STRING = r"\s*'[^']*(?:''[^']*)*'\s*"
_LONG_LISTS = re.compile(
    rf"\(({_NUMBER}(?:,{_NUMBER}){{{LIST_LENGTH_MIN - 1},}}|{_STRING}(?:,{_STRING}){{{LIST_LENGTH_MIN - 1},}})\)"
)

_OPENING = {TokenType.L_PAREN, TokenType.L_BRACKET, TokenType.L_BRACE, TokenType.CASE}
_CLOSING = {TokenType.R_PAREN, TokenType.R_BRACKET, TokenType.R_BRACE, TokenType.END}
_BOUNDARIES = {
    getattr(TokenType, name)
    for name in [
        "WHERE", "AND", "OR", "NOT", "ON", "WHEN", "THEN", "ELSE", "COMMA", "SEMICOLON", "GROUP_BY", "ORDER_BY",
        "HAVING", "QUALIFY", "WINDOW", "LIMIT", "OFFSET", "UNION", "EXCEPT", "INTERSECT", "JOIN", "LEFT", "RIGHT",
        "FULL", "INNER", "CROSS", "NATURAL", "ASOF", "SEMI", "ANTI", "SELECT", "FROM", "USING",
    ]
}  # fmt: skip
# `left` and `right` are functions as well as kinds of join.
_JOINS_OR_FUNCTIONS = {TokenType.LEFT, TokenType.RIGHT}

_PARSE_FAILURES = (SqlglotError, AttributeError, IndexError, KeyError, RecursionError, TypeError, ValueError)
"""What sqlglot raises over text it does not know; each means the same to us: leave the statement alone."""


@dataclass(frozen=True, slots=True)
class Edit:
    """One change: `text` in place of the source between `start` and `end`; in the tree, `becomes` for `target`."""

    start: int
    end: int
    text: str
    target: exp.Expression
    becomes: exp.Expression | None


def parse(text: str) -> exp.Expression | None:
    """The tree of one DuckDB statement; None if sqlglot does not know the text, or knows it only by its first word."""
    try:
        trees = DuckDB().parse(text)
    except _PARSE_FAILURES:
        return None
    tree = trees[0] if len(trees) == 1 else None
    return None if tree is None or tree.find(exp.Command) else tree


def parse_condition(text: str) -> exp.Expression | None:
    """The tree of a condition as it would stand after WHERE; None unless the text is one whole condition.

    >>> print(parse_condition("a = 1").sql()), parse_condition("a = 1 group by b")
    a = 1
    (None, None)
    """
    select = parse(f"SELECT 1 WHERE {text}")
    if not isinstance(select, exp.Select) or any(
        v for k, v in select.args.items() if k not in ("expressions", "where")
    ):
        return None
    return select.args["where"].this


@dataclass(eq=False)
class Statement:
    """A parsed statement and where its parts stand in the text.

    Args:
        text: the source, with long IN lists replaced by names of their own (`lists` has them).
        tree: its sqlglot tree; a rule reads it and never changes it.
        context: what may be asked about its relations.
        lists: the texts that names put aside stand for.
        described: answers of the context, by the relation's text.
        placed: its conditions and their places, once a rule has asked for them.
    """

    text: str
    tree: exp.Expression
    context: Context
    lists: dict[str, str] = field(default_factory=dict)
    described: dict[str, Mapping[str, str] | None] = field(default_factory=dict)
    placed: list[tuple[exp.Expression, Any]] | None = None
    _spans: dict[int, tuple[int, int] | None] = field(default_factory=dict)

    @classmethod
    def read(cls, text: str, context: Context, lists: Mapping[str, str] | None = None) -> Statement | None:
        """The statement, or None where rules have nothing to say: not a query, not understood, or too long."""
        held = dict(lists or {})
        short = _put_lists_aside(text, held)
        # To DuckDB an arrow binds looser than AND and OR, to sqlglot tighter: their trees would differ.
        if len(short) > TEXT_CHARS_MAX or "->" in short:
            return None
        tree = parse(short)
        # A sample takes other rows once fewer reach it, whatever the rule.
        if not isinstance(tree, exp.Query) or tree.find(exp.TableSample):
            return None
        return cls(short, tree, context, held)

    @property
    def full_text(self) -> str:
        """The source with its long lists back in place."""
        return self.expand(self.text)

    def expand(self, text: str) -> str:
        """A stretch of the source with its long lists back in place."""
        if not self.lists:
            return text
        return re.sub("|".join(map(re.escape, self.lists)), lambda name: self.lists[name.group()], text)

    def hold(self, text: str) -> str:
        """A name that stands for a stretch of text until the statement is whole again."""
        self.lists[name := _free_name(self.text, self.lists)] = text
        return name

    @cached_property
    def _tokens(self) -> list[Any]:
        return list(DuckDB().tokenize(self.text))

    @cached_property
    def _starts(self) -> list[int]:
        return [token.start for token in self._tokens]

    @cached_property
    def cte_names(self) -> frozenset[str]:
        """Names that WITH gives anywhere in the statement: they hide tables of that name."""
        return frozenset(fold(cte.alias) for cte in self.tree.find_all(exp.CTE))

    def apply(self, edits: list[Edit]) -> Statement | None:
        """The statement after these edits; None if parsing it does not give exactly the tree they announce.

        The tree is changed in place, so this statement is not to be used after None came back.
        """
        text = self.text
        for edit in sorted(edits, key=lambda edit: edit.start, reverse=True):
            text = text[: edit.start] + edit.text + text[edit.end :]
        changed = Statement.read(text, self.context, self.lists)
        if changed is None:
            return None
        announced = changed.tree if changed.text == text else parse(text)
        for edit in edits:
            if edit.becomes is None:
                edit.target.pop()
            else:
                edit.target.replace(edit.becomes)
        changed.described.update(self.described)
        return changed if announced == self.tree else None

    def replace(self, node: exp.Expression, text: str) -> Edit | None:
        """An edit that puts a condition in the place of another; None if its place cannot be told for certain."""
        span = self.span(node)
        becomes = parse_condition(text)
        if span is None or becomes is None:
            return None
        return Edit(*span, text, node, becomes)

    def source(self, node: exp.Expression) -> str | None:
        """The text of a condition, an expression or a parenthesised query, as the user wrote it."""
        span = self.span(node)
        return None if span is None else self.text[slice(*span)]

    def span(self, node: exp.Expression) -> tuple[int, int] | None:
        """Start and end of a node in the text: the innermost stretch around its words that parses to the node."""
        if id(node) not in self._spans:
            self._spans[id(node)] = self._found_span(node)
        return self._spans[id(node)]

    def _found_span(self, node: exp.Expression) -> tuple[int, int] | None:
        places = [leaf.meta["start"] for leaf in node.walk() if "start" in leaf.meta]
        if not places:
            return None
        first, last = bisect_left(self._starts, min(places)), bisect_left(self._starts, max(places))
        for low, high in self._enclosing(first, last):
            start, end = self._tokens[low].start, self._tokens[high].end + 1
            text = self.text[start:end]
            if (parse(text) if isinstance(node, exp.Query) else parse_condition(text)) == node:
                return start, end
        return None

    def call_source(self, function: exp.Expression) -> str | None:
        """The text of a call by its name's place and its brackets: `read_parquet('x', union_by_name = true)`."""
        if "start" not in function.meta:
            return None
        name = bisect_left(self._starts, function.meta["start"])
        if name + 1 >= len(self._tokens) or self._tokens[name + 1].token_type != TokenType.L_PAREN:
            return None
        last = self._edge(name + 1, 1, within_clause=False) + 1
        return None if last == len(self._tokens) else self.text[self._tokens[name].start : self._tokens[last].end + 1]

    def order_span(self, order: exp.Order) -> tuple[int, int] | None:
        """Start and end of a whole ORDER BY clause that ends its bracketed query and whose keys are plain words."""
        places = [leaf.meta["start"] for leaf in order.walk() if "start" in leaf.meta]
        if not places:
            return None
        index = bisect_left(self._starts, min(places))
        while index > 0 and self._tokens[index].token_type != TokenType.ORDER_BY:
            index -= 1
        last = self._edge(index, 1, within_clause=False)
        return self._tokens[index].start, self._tokens[last].end + 1

    def word_span(self, select: exp.Select, word: str) -> tuple[int, int] | None:
        """Start and end of the word right after SELECT, with the space behind it."""
        places = [leaf.meta["start"] for one in select.expressions for leaf in one.walk() if "start" in leaf.meta]
        first = bisect_left(self._starts, min(places, default=0))
        for index in range(first - 1, 0, -1):
            here, before = self._tokens[index], self._tokens[index - 1]
            if before.token_type == TokenType.SELECT:
                return (here.start, self._starts[index + 1]) if here.text.upper() == word else None
        return None

    def _enclosing(self, first: int, last: int) -> Iterator[tuple[int, int]]:
        """Stretches of tokens around first..last, innermost first: within their clause, their bracket, the next …"""
        while True:
            first, last = self._balanced(first, last)
            yield first, last
            yield self._edge(first, -1), self._edge(last, 1)
            first, last = self._edge(first, -1, within_clause=False), self._edge(last, 1, within_clause=False)
            yield first, last
            if first == 0 or last == len(self._tokens) - 1:
                return
            first, last = first - 1, last + 1

    def _balanced(self, first: int, last: int) -> tuple[int, int]:
        """The stretch, grown until every bracket in it has its partner in it."""
        depth = lowest = 0
        for token in self._tokens[first : last + 1]:
            depth += (token.token_type in _OPENING) - (token.token_type in _CLOSING)
            lowest = min(lowest, depth)
        for _ in range(-lowest):
            first = max(self._edge(first, -1, within_clause=False) - 1, 0)
        for _ in range(depth - lowest):
            last = min(self._edge(last, 1, within_clause=False) + 1, len(self._tokens) - 1)
        return first, last

    def _edge(self, index: int, step: int, within_clause: bool = True) -> int:
        """The furthest token from `index` in a direction before its bracket (and its clause) ends."""
        inward, outward = (_OPENING, _CLOSING) if step > 0 else (_CLOSING, _OPENING)
        depth = 0
        at = index
        while 0 <= at + step < len(self._tokens):
            kind = self._tokens[at + step].token_type
            if kind in outward:
                if depth == 0:
                    return at
                depth -= 1
            elif kind in inward:
                depth += 1
            elif depth == 0 and within_clause and self._ends_clause(at + step):
                return at
            at += step
        return at

    def _ends_clause(self, index: int) -> bool:
        kind = self._tokens[index].token_type
        if kind in _JOINS_OR_FUNCTIONS and index + 1 < len(self._tokens):
            return bool(self._tokens[index + 1].token_type != TokenType.L_PAREN)
        return bool(kind in _BOUNDARIES)


def _put_lists_aside(text: str, held: dict[str, str]) -> str:
    """Each long list of constants replaced by a name: `IN (1, 2, …)` becomes `IN (list_0_)`, and `held` has the rest.

    A list inside a string or a comment is put aside too, and comes back unchanged.
    """

    def hold(found: re.Match[str]) -> str:
        held[name := _free_name(text, held)] = found[1]
        return f"({name})"

    return _LONG_LISTS.sub(hold, text) if text.count(",") >= LIST_LENGTH_MIN - 1 else text


def _free_name(text: str, held: Mapping[str, str]) -> str:
    number = len(held)
    while (name := f"list_{number}_") in text or name in held:
        number += 1
    return name
