"""MERGE, taken apart: DuckDB's parser reads no MERGE as a tree, so its clauses are told apart here.

Each piece of text between two of MERGE's own keywords is put into an UPDATE or INSERT, which DuckDB's parser reads: so
a piece that was cut wrongly can fail, and means nothing else. What runs is composed anew: a MERGE whose source is one
gated SELECT, which finds the rows, says what becomes of each, and computes what is written.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from neurolake.governance.access import TableDecision
from neurolake.governance.gate import Node, Path, denied
from neurolake.governance.writes import (
    NOWHERE,
    ROW,
    ROWS,
    TARGET,
    Write,
    body_of,
    check_columns,
    check_rows,
    column,
    select_of,
    wrapped,
)
from neurolake.sql.text import columns as listed
from neurolake.sql.text import quote

_TOKEN: Final = re.compile(
    r"""[eE]'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*'|"(?:[^"]|"")*"|(\$\w*\$).*?\1|--[^\n]*|/\*.*?\*/|\w+|\s+|.""",
    re.DOTALL,
)
_HEAD: Final = re.compile(r"\s*MERGE\s+INTO\s", re.IGNORECASE)
_WHEN: Final = re.compile(
    r"\s*(?P<no>NOT\s+)?MATCHED(?P<by>\s+BY\s+TARGET)?(?:\s+AND\s(?P<condition>.*))?\s*\Z", re.IGNORECASE | re.DOTALL
)

Serialise = Callable[[str], Any]


@dataclass(frozen=True, slots=True)
class Branch:
    """One WHEN: what it does, the columns it names, and where the values for them stand in the SELECT."""

    matched: bool
    action: str
    columns: tuple[str, ...]
    first: int
    width: int


@dataclass(frozen=True, slots=True)
class Merge:
    """A MERGE taken apart. `select` is the tree for the gate."""

    target: Path
    select: Node
    branches: tuple[Branch, ...]


def taken_apart(text: str, serialise: Serialise) -> Merge:
    """Read a MERGE.

    Raises:
        AccessDenied: it cannot be told apart.
    """
    try:
        return _taken_apart(text, serialise)
    except (KeyError, TypeError, ValueError, IndexError):
        raise denied("a MERGE that the gate cannot take apart", code="write_denied") from None


def _taken_apart(text: str, serialise: Serialise) -> Merge:
    head, source, condition, *whens = _pieces(text)
    if len(whens) % 2 or not whens:
        raise ValueError
    base, parameters = body_of(serialise(wrapped(f"UPDATE {head} SET a = 1 FROM {source} WHERE {condition}")))
    alias = base["table"]["alias"] or base["table"]["qualified_name"]["path"][-1]
    check_rows(base["table"], base["from_table"], base["set_info"]["condition"])
    here = column(alias, ROW)
    items: list[Node] = []
    checks: list[Node] = []
    branches: list[Branch] = []
    for number, (when, then) in enumerate(zip(whens[::2], whens[1::2], strict=True)):
        matched, more, known = _when(head, source, when, serialise)
        action, names, values, others = _then(head, source, then, serialise)
        check_rows(base["table"], more, values)
        chosen = _all([_is_null(here, matched), *more])
        checks.append({"when_expr": chosen, "then_expr": _number(number)})
        branches.append(Branch(matched, action, names, len(items), len(values)))
        items += [_case([{"when_expr": chosen, "then_expr": value}]) for value in values]
        parameters = [*parameters, *known, *others]
    select = select_of(base["table"], [], [_case(checks), *items], None)
    select["from_table"] = {
        **_left_join(base["from_table"], select["from_table"]), "condition": base["set_info"]["condition"],
    }  # fmt: skip
    named = list({entry["key"]: entry for entry in parameters}.values())
    statement = {"error": False, "statements": [{"node": select, "named_param_map": named}]}
    return Merge(tuple(base["table"]["qualified_name"]["path"]), statement, tuple(branches))


def _pieces(text: str) -> Iterator[str]:
    """The target, the source, the condition, then of each WHEN its condition and what it does."""
    match = _HEAD.match(text)
    if match is None:
        raise ValueError
    wanted, piece, depth = ["USING"], "", 0
    for token in _TOKEN.finditer(text, match.end()):
        word = token[0]
        depth += (word in "([{") - (word in ")]}")
        if word.startswith(("--", "/*")):
            piece += " "
        elif depth == 0 and word.upper() in wanted and not (word.upper() == "WHEN" and _open_case(piece)):
            yield piece
            piece = ""
            wanted = {"USING": ["ON"], "ON": ["WHEN"], "WHEN": ["THEN"], "THEN": ["WHEN"]}[word.upper()]
        else:
            piece += word
    yield piece


def _open_case(piece: str) -> bool:
    """Whether a CASE stands open in a piece: its WHEN and THEN are not MERGE's."""
    words = re.findall(r"\w+", re.sub(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"", " ", piece.upper()))
    return words.count("CASE") > words.count("END")


def _when(head: str, source: str, text: str, serialise: Serialise) -> tuple[bool, list[Node], list[Node]]:
    match = _WHEN.match(text)
    if match is None:
        raise ValueError
    matched = match["no"] is None
    if match["condition"] is None:
        return matched, [], []
    read = f"UPDATE {head} SET a = 1 FROM {source} WHERE {match['condition']}"
    node, parameters = body_of(serialise(wrapped(read)))
    return matched, [node["set_info"]["condition"]], list(parameters)


def _then(
    head: str, source: str, text: str, serialise: Serialise
) -> tuple[str, tuple[str, ...], list[Node], list[Node]]:
    words = text.split(None, 1)
    verb, rest = words[0].upper(), words[1] if len(words) > 1 else ""
    if verb == "DELETE" and not rest.strip():
        return "DELETE", (), [], []
    if verb == "DO" and rest.strip().upper() == "NOTHING":
        return "DO NOTHING", (), [], []
    if verb == "UPDATE" and rest.lstrip().upper().startswith("SET"):
        node, parameters = body_of(serialise(wrapped(f"UPDATE {head} {rest} FROM {source}")))
        change = node["set_info"]
        if change["condition"] is not None or node["returning_list"]:
            raise ValueError
        return "UPDATE", tuple(change["columns"]), change["expressions"], list(parameters)
    if verb == "INSERT":
        node, parameters = body_of(serialise(wrapped(f"INSERT INTO t {rest}")))
        select = node["select_statement"]["node"]
        (values,) = select["from_table"]["values"]
        if node["returning_list"] or node["on_conflict_info"] or node["column_order"] != "INSERT_BY_POSITION":
            raise ValueError
        return "INSERT", tuple(node["columns"]), values, list(parameters)
    raise ValueError


def _number(value: int) -> Node:
    literal = {"kind": "INTEGER", "text": str(value)}
    return {"class": "CONSTANT", "type": "VALUE_CONSTANT", "alias": "", "literal": literal, **NOWHERE}


def _is_null(here: Node, matched: bool) -> Node:
    kind = "OPERATOR_IS_NOT_NULL" if matched else "OPERATOR_IS_NULL"
    return {"class": "OPERATOR", "type": kind, "alias": "", "children": [here], **NOWHERE}


def _all(conditions: list[Node]) -> Node:
    if len(conditions) == 1:
        return conditions[0]
    return {"class": "CONJUNCTION", "type": "CONJUNCTION_AND", "alias": "", "children": conditions, **NOWHERE}


def _case(checks: list[Node]) -> Node:
    null = {"class": "CONSTANT", "type": "VALUE_CONSTANT", "alias": "", "literal": {"kind": "NULL_LITERAL"}, **NOWHERE}
    return {"class": "CASE", "type": "CASE_EXPR", "alias": "", "case_checks": checks, "else_expr": null, **NOWHERE}


def _left_join(left: Node, right: Node) -> Node:
    return {
        "type": "JOIN", "alias": "", "sample": None, "left": left, "right": right, "condition": None,
        "join_type": "LEFT", "ref_type": "REGULAR", "using_columns": [], "delim_flipped": False,
        "duplicate_eliminated_columns": [], "is_implicit": False, "ranking_expression": None, "nearest_count": 1,
        "nearest_order_type": "ASCENDING", "nearest_approx": False, **NOWHERE,
    }  # fmt: skip


def composed(merge: Merge, target: str, select: str, decision: TableDecision) -> str:
    """The statement that runs; arguments as those of `writes.composed`.

    Raises:
        AccessDenied: it writes what the role may not.
    """
    width = sum(branch.width for branch in merge.branches)
    names = listed([ROW, "w", *(f"v{place}" for place in range(width))])
    whens = []
    for number, branch in enumerate(merge.branches):
        verb = "INSERT" if branch.action == "INSERT" else "UPDATE"
        columns = check_columns(Write(verb, merge.target, None, branch.columns), decision) if branch.width else ()
        values = [f"{ROWS}.v{branch.first + place}" for place in range(branch.width)]
        if len(columns) != len(values):
            raise denied("a MERGE that gives another number of values than there are columns", code="write_denied")
        what = {
            "UPDATE": "UPDATE SET " + ", ".join(f"{quote(c)} = {v}" for c, v in zip(columns, values, strict=True)),
            "INSERT": f"INSERT ({listed(columns)}) VALUES ({', '.join(values)})",
        }.get(branch.action, branch.action)
        whens.append(f"WHEN {'' if branch.matched else 'NOT '}MATCHED AND {ROWS}.w = {number} THEN {what}")
    on = f"{TARGET}.rowid = {ROWS}.{ROW}"
    return f"MERGE INTO {target} AS {TARGET} USING ({select}) AS {ROWS}({names}) ON {on} {' '.join(whens)}"
