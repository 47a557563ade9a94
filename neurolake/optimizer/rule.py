"""What a rule is, and what it may ask about the statement's relations."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from neurolake.optimizer.statement import Edit, Statement

Find = Callable[["Statement"], "list[Edit]"]
"""Reads a statement and says what it would change; an empty list means that the rule does not fire."""


@dataclass(frozen=True, slots=True)
class Context:
    """What the optimiser may know about the catalog.

    Args:
        describe: the column names and DuckDB types of a relation, given as the SQL that stands for it after FROM
            (`orders`, `lake.main.orders`, `read_parquet('x/*.parquet')`, `(SELECT …)`); None if it cannot be told.
            Asked only once a rule's pattern has matched, and once a relation and statement.
        own_functions: the folded names of all functions that users have made: one of them may hide a built-in function
            or operator of its name. Asked only once a rule would change the statement.
        tree: DuckDB's own tree of a statement, which tells what the statement calls, operators included. Asked only
            where there are such functions.
    """

    describe: Callable[[str], Mapping[str, str] | None]
    own_functions: Callable[[], Collection[str]] = tuple
    tree: Callable[[str], Any] = lambda text: None


@dataclass(frozen=True)
class Rule:
    """One rewrite, in the module of the same name.

    Args:
        name: what EXPLAIN shows and `optimizer_rules_off` takes.
        words: stretches of lower-case text, one of which must occur: a look that costs next to nothing.
        triggers: regular expressions that must all be found in a text before it is worth parsing for this rule.
    """

    name: str
    words: tuple[str, ...]
    triggers: tuple[str, ...]

    @cached_property
    def _searches(self) -> tuple[Callable[[str], re.Match[str] | None], ...]:
        return tuple(re.compile(trigger, re.DOTALL).search for trigger in self.triggers)

    @cached_property
    def find(self) -> Find:
        """The rule itself. Loaded when first wanted: most statements need neither a rule nor sqlglot."""
        find: Find = import_module(f"neurolake.optimizer.{self.name}").find
        return find

    def may_match(self, lowered: str) -> bool:
        """Whether a statement, given in lower case, is worth parsing for this rule."""
        return any(word in lowered for word in self.words) and all(search(lowered) for search in self._searches)
