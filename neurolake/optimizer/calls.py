"""What a statement calls, when functions of the user's may hide built-in ones.

Rules read calls as sqlglot names them, and operators, EXTRACT and INTERVAL are functions to DuckDB, too. So it is
DuckDB's own tree that says what is called. A call that sqlglot knows no meaning of is opaque to every rule, and no
concern of ours whatever it calls.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from typing import Any

from sqlglot import exp

from neurolake.identifiers import fold
from neurolake.optimizer.days import TODAY
from neurolake.optimizer.rule import Context
from neurolake.optimizer.statement import Statement


def misread(text: str, own: Collection[str], context: Context) -> bool:
    """Whether a statement calls one of the user's functions where a rule may take it for a built-in one.

    Args:
        text: one SELECT.
        own: the folded names of the user's functions.
        context: gives DuckDB's tree of the text; where it cannot, the answer is yes.
    """
    tree = context.tree(text)
    if not tree or tree["error"]:
        return True
    called = Counter(name for name in map(fold, _called(tree)) if name in own)
    if not called:
        return False
    statement = Statement.read(text, context)
    if statement is None:
        return True
    opaque = Counter(fold(node.name) for node in statement.tree.find_all(exp.Anonymous))
    return any(opaque[name] < count for name, count in called.items())


def _called(tree: Any) -> Iterator[str]:
    """The names of what is called; of the words that stand for a call without brackets rules know today alone."""
    pending = [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, dict):
            if "function_name" in node:
                yield node["function_name"]
            elif [fold(name) for name in node.get("column_names", ())] == [TODAY]:
                yield TODAY
            pending += node.values()
        elif isinstance(node, list):
            pending += node
