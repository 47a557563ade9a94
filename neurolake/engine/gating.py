"""A text taken through the gate: DuckDB's tree of it is walked, its relations replaced, what is printed walked again.

Of many statements only the literals differ. The gate asks nothing of what a literal says, so a statement of a form that
was gated before takes up the text that was printed then, with its own literals. Which relations the caller may read,
and through which views, is asked anew each time; and DuckDB's tree of exactly the text that runs must have the form
that was walked, and the literals that were put there.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

from neurolake._duckdb import Binding, Cursor, Instance, parsing_instance
from neurolake.governance import gate, gate_columns
from neurolake.governance.gate import Path
from neurolake.governance.gate_forms import (
    Form,
    Literal,
    Spelling,
    Template,
    form_of,
    order_of,
    spelling_of,
    template_of,
)

if TYPE_CHECKING:
    import pyarrow as pa

    from neurolake.engine import Engine
    from neurolake.governance.access import TableDecision

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

    def temporary(self, path: Path, /) -> str | None:
        """The temporary table or view of the session that a path means, if it is one."""

    def __call__(self, path: Path, /) -> Path:
        """What is read in place of one; raises AccessDenied where there is nothing."""


class Gated(NamedTuple):
    """A statement that has passed: the text that runs, its tree, what it calls its common tables, and its form."""

    text: str
    tree: Any
    ctes: frozenset[str]
    known: Known | None = None


class Marks(NamedTuple):
    """A schema as the binder gave it, what was decided about the relations behind it, and the schema with its marks."""

    schema: pa.Schema | None
    shown: Mapping[Path, TableDecision]
    marked: pa.Schema | None

    def under(self, shown: Mapping[Path, TableDecision]) -> bool:
        """Whether these are the very same decisions; any change of a policy, grant or finding makes new ones."""
        return self.shown.keys() == shown.keys() and all(self.shown[path] is one for path, one in shown.items())


@dataclass(slots=True)
class Known:
    """What is kept of a statement that has passed: what it read, its text, and the form of that, which was walked.

    `binding` is what the binder said of it, where that cannot depend on what its literals say; a statement of the same
    form over the same views need not be bound for it again. `marks` are those of its columns.
    """

    relations: Mapping[Path, Path]
    named: frozenset[str] | None
    template: Template
    shape: str
    gated: Gated
    settled: bool
    binding: Binding | None = None
    marks: Marks | None = None


Key = tuple[object, ...]
_Kept = TypeVar("_Kept")


class Parser:
    """DuckDB's parser, asked on an instance that holds nothing and is opened when it is first asked.

    It has neither an optimiser nor threads to wait for, so that a question costs two thirds of what it costs elsewhere.
    """

    def __init__(self, memory_bytes_max: int) -> None:
        self._memory_bytes_max = memory_bytes_max
        self._lock = threading.Lock()
        self._instance: Instance | None = None
        self._questions: dict[str, Any] = {}

    def row(self, sql: str, value: str) -> tuple[Any, ...]:
        """The one row that answers a question about a text or a tree."""
        if self._instance is None:
            with self._lock:
                self._instance = self._instance or parsing_instance(self._memory_bytes_max)
        found: tuple[Any, ...] = self._instance.acquire_and(partial(self._asked, sql, value))[0]
        return found

    def _asked(self, sql: str, value: str, cursor: Cursor) -> list[tuple[Any, ...]]:
        question = self._questions.get(sql)
        if question is None:
            question = self._questions[sql] = cursor.prepared(sql)
        return cursor.answer(question, [value])

    def close(self) -> None:
        """Close the instance."""
        if self._instance is not None:
            self._instance.close()


class Forms:
    """The forms that were met, and who is asked. One is learnt when it is met for the second time. Thread-safe.

    Attributes:
        parser: who is asked.
        known: by form; None where it was only met.
        spelled: by what a text is without its literals, the form that it has and where each literal of that stands in
            the text; None where that is not plain.
        conditions: row filters as they stand in views, by their own text and a user's attributes.
    """

    def __init__(self, parser: Parser) -> None:
        self.parser = parser
        self.known: OrderedDict[Key, Known | None] = OrderedDict()
        self.spelled: OrderedDict[Key, tuple[Known, tuple[int, ...] | None]] = OrderedDict()
        self.conditions: OrderedDict[Key, str] = OrderedDict()

    def met(self, key: Key) -> bool:
        """Whether a form was met before; it is noted."""
        before = key in self.known
        self.keep(self.known, key, None)
        return before

    def keep(self, kept: OrderedDict[Key, _Kept], key: Key, value: _Kept) -> None:
        """Keep what was found out, and forget the oldest."""
        kept[key] = value
        while len(kept) > FORMS_MAX:
            kept.popitem(last=False)


def mapped(engine: Engine, text: str, relations: Resolver, schema: str) -> Gated:
    """The text with every relation replaced.

    Raises:
        AccessDenied: it holds what governed roles may not use or read.
        SyntaxProblem: it does not parse.
    """
    around = relations.named
    try:
        place = (schema, *relations.reader)
        spelling = spelling_of(text) if len(text) <= TREE_CHARACTERS_MAX else None
        if spelling is not None and (again := _spelled_again(engine, spelling, relations, place)) is not None:
            return again
        answer = serialised(engine, text)
        form = form_of(answer)
        key = (form.shape, *place)
        known = engine.forms.known.get(key)
        if known is not None and (again := _again(engine, known, form.literals, relations)) is not None:
            if spelling is not None:
                _learn_spelling(engine, spelling, form, known, place)
            return again
        return _anew(engine, answer, form, relations, schema, key)
    finally:
        relations.named = around


def _spelled_again(engine: Engine, spelling: Spelling, relations: Resolver, place: Key) -> Gated | None:
    """A text that differs from another in plain literals alone: what it means need not be asked again.

    Should that be mistaken, the statement would mean another than it says; what it may read, it cannot change.
    """
    known, order = engine.forms.spelled.get((spelling.skeleton, *place), (None, None))
    if known is None or order is None:
        return None
    return _again(engine, known, tuple(spelling.literals[at] for at in order), relations)


def _learn_spelling(engine: Engine, spelling: Spelling, form: Form, known: Known, place: Key) -> None:
    key = (spelling.skeleton, *place)
    if engine.forms.spelled.get(key, (None, None))[0] is not known:
        order = order_of(spelling, form, lambda text: form_of(serialised(engine, text)))
        engine.forms.keep(engine.forms.spelled, key, (known, order))


def _again(engine: Engine, known: Known, literals: tuple[Literal, ...], relations: Resolver) -> Gated | None:
    """A statement of a known form; None where it must be walked."""
    relations.named = known.named
    if any(relations(path) != view for path, view in known.relations.items()):
        return None
    text = known.template.filled(literals)
    if text is None or form_of(serialised(engine, text)) != Form(known.shape, literals):
        return None
    return known.gated._replace(text=text, known=known)


def _anew(engine: Engine, answer: str, form: Form, relations: Resolver, schema: str, key: tuple[object, ...]) -> Gated:
    tree = json.loads(answer)
    relations.named = gate_columns.named(tree)
    renamed = '"SUBQUERY"' in answer and keep_names(engine, tree)
    found = gate.map_statement(tree, relations, schema)
    gated, answer = _walked(engine, tree, found)
    if renamed or relations.lent or len(answer) > TREE_CHARACTERS_MAX or not engine.forms.met(key):
        return gated
    walked = form_of(answer)
    template = template_of(answer, partial(_printed, engine))
    if walked.literals == form.literals and template is not None and template.filled(form.literals) == gated.text:
        lasting = all(relations.temporary(path) is None for path in found.relations)  # such a name may mean another
        settled = lasting and gate_columns.settled(gated.tree)
        known = Known(found.relations, relations.named, template, walked.shape, gated, settled)
        engine.forms.keep(engine.forms.known, key, known)
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
    return str(engine.forms.parser.row("SELECT system.main.json_serialize_sql(?)", text)[0])


def reprinted(engine: Engine, tree: Any) -> tuple[str, str]:
    """The text of a tree, printed by DuckDB, and the tree that its parser makes of exactly that text, as JSON."""
    sql = "SELECT t, system.main.json_serialize_sql(t) FROM (SELECT system.main.json_deserialize_sql(?) AS t)"
    text, answer = engine.forms.parser.row(sql, _plain(tree))
    return str(text), str(answer)


def _printed(engine: Engine, tree: Any) -> str:
    return str(engine.forms.parser.row("SELECT system.main.json_deserialize_sql(?)", _plain(tree))[0])


def _plain(tree: Any) -> str:
    return json.dumps({key: value for key, value in tree.items() if key != "error"})
