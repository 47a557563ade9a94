"""A text taken through the gate: DuckDB's tree of it is walked, its relations replaced, what is printed walked again.

Of many statements only the literals differ. The gate asks nothing of what a literal says, so a statement of a form that
was gated before takes up the text that was printed then, with its own literals. Which relations the caller may read,
and through which views, is asked anew each time; and DuckDB's tree of exactly the text that runs must have the form
that was walked.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from neurolake._duckdb import Binding
from neurolake.governance import gate, gate_columns
from neurolake.governance.gate import Path
from neurolake.governance.gate_forms import Form, Template, form_of, template_of

if TYPE_CHECKING:
    from neurolake.engine import Engine

FORMS_MAX = 500
"""How many forms are kept; of most only that they were met."""
TREE_CHARACTERS_MAX = 20_000
"""Statements with a larger tree are walked each time."""


class Resolver(Protocol):
    """Gives what is read in place of each relation.

    Attributes:
        named: the words by which the statement may mean a column; None where it may mean any.
        reader: who reads, and where.
        lent: the relations that are the statement's own.
    """

    named: frozenset[str] | None
    reader: tuple[object, ...]
    lent: dict[str, Any]

    def __call__(self, path: Path, /) -> Path:
        """What is read in place of one; raises AccessDenied where there is nothing."""


class Gated(NamedTuple):
    """A statement that has passed: the text that runs, its tree, what it calls its common tables, and its form."""

    text: str
    tree: Any
    ctes: frozenset[str]
    known: Known | None = None


@dataclass(slots=True)
class Known:
    """What is kept of a statement that has passed: what it read, its text, and the form of that, which was walked.

    `binding` is what the binder said of it, where that cannot depend on what its literals say; a statement of the same
    form over the same views need not be bound for it again.
    """

    relations: Mapping[Path, Path]
    named: frozenset[str] | None
    template: Template
    shape: str
    gated: Gated
    settled: bool
    binding: Binding | None = None


class Forms:
    """The forms that were met. One is learnt when it is met for the second time. Safe to share between threads."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[object, ...], Known | None] = OrderedDict()

    def get(self, key: tuple[object, ...]) -> Known | None:
        """What is known of a form."""
        return self._known.get(key)

    def met(self, key: tuple[object, ...]) -> bool:
        """Whether a form was met before; it is noted."""
        before = key in self._known
        self._known[key] = None
        while len(self._known) > FORMS_MAX:
            self._known.popitem(last=False)
        return before

    def learn(self, key: tuple[object, ...], known: Known) -> None:
        """Keep what was found out about a form."""
        self._known[key] = known


def mapped(engine: Engine, text: str, relations: Resolver, schema: str) -> Gated:
    """The text with every relation replaced.

    Raises:
        AccessDenied: it holds what governed roles may not use or read.
        SyntaxProblem: it does not parse.
    """
    answer = serialised(engine, text)
    form = form_of(answer)
    key = (form.shape, schema, *relations.reader)
    around = relations.named
    try:
        if (known := engine.forms.get(key)) is not None:
            relations.named = known.named
            if (again := _again(engine, known, form, relations)) is not None:
                return again
        return _anew(engine, answer, form, relations, schema, key)
    finally:
        relations.named = around


def _again(engine: Engine, known: Known, form: Form, relations: Resolver) -> Gated | None:
    """A statement of a known form; None where it must be walked."""
    if any(relations(path) != view for path, view in known.relations.items()):
        return None
    text = known.template.filled(form.literals)
    if text is None or form_of(serialised(engine, text)) != Form(known.shape, form.literals):
        return None
    return known.gated._replace(text=text, known=known)


def _anew(engine: Engine, answer: str, form: Form, relations: Resolver, schema: str, key: tuple[object, ...]) -> Gated:
    tree = json.loads(answer)
    relations.named = gate_columns.named(tree)
    renamed = keep_names(engine, tree)
    found = gate.map_statement(tree, relations, schema)
    gated, answer = _walked(engine, tree, found)
    if renamed or relations.lent or len(answer) > TREE_CHARACTERS_MAX or not engine.forms.met(key):
        return gated
    walked = form_of(answer)
    template = template_of(answer, partial(_printed, engine))
    if walked.literals == form.literals and template is not None and template.filled(form.literals) == gated.text:
        settled = gate_columns.settled(gated.tree)
        engine.forms.learn(key, Known(found.relations, relations.named, template, walked.shape, gated, settled))
    return gated


def mapped_tree(engine: Engine, tree: Any, relations: Callable[[Path], Path], schema: str) -> Gated:
    """The same of a tree."""
    keep_names(engine, tree)
    return _walked(engine, tree, gate.map_statement(tree, relations, schema))[0]


def _walked(engine: Engine, tree: Any, found: gate.Mapped) -> tuple[Gated, str]:
    """What is printed of a mapped tree, once the tree of exactly that text was walked too, and that tree as JSON."""
    text, answer = reprinted(engine, tree)
    tree = json.loads(answer)
    gate.check_statement(tree, set(found.relations.values()), found.ctes)
    return Gated(text, tree, frozenset(found.ctes)), answer


def keep_names(engine: Engine, tree: Any) -> bool:
    """Columns that are named after the text of a query keep the name that the caller's own text gives them.

    Whether there are any.
    """
    items = list(gate.named_by_text(tree))
    for item in items:
        alone = json.loads(serialised(engine, "SELECT 1"))
        alone["statements"][0]["node"]["select_list"] = [item]
        item["alias"] = reprinted(engine, alone)[0].removeprefix("SELECT ")
    return bool(items)


def serialised(engine: Engine, text: str) -> str:
    """DuckDB's own tree of a text, as JSON."""
    sql = "SELECT system.main.json_serialize_sql(?)"
    return str(engine.instance.acquire_and(lambda cursor: cursor.rows(sql, [text]))[0][0])


def reprinted(engine: Engine, tree: Any) -> tuple[str, str]:
    """The text of a tree, printed by DuckDB, and the tree that its parser makes of exactly that text, as JSON."""
    sql = "SELECT t, system.main.json_serialize_sql(t) FROM (SELECT system.main.json_deserialize_sql(?) AS t)"
    rows = engine.instance.acquire_and(lambda cursor: cursor.rows(sql, [_plain(tree)]))
    return str(rows[0][0]), str(rows[0][1])


def _printed(engine: Engine, tree: Any) -> str:
    sql = "SELECT system.main.json_deserialize_sql(?)"
    return str(engine.instance.acquire_and(lambda cursor: cursor.rows(sql, [_plain(tree)]))[0][0])


def _plain(tree: Any) -> str:
    return json.dumps({key: value for key, value in tree.items() if key != "error"})
