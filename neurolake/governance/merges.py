"""MERGE, taken apart: DuckDB's parser reads no MERGE as a tree, so its clauses are told apart here.

Each piece of text between two of MERGE's own keywords is put into an UPDATE or INSERT, which DuckDB's parser reads: so
a piece that was cut wrongly can fail, and means nothing else. What runs is composed anew: a MERGE whose source is one
gated SELECT, which finds the rows, says what becomes of each, and computes what is written.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from neurolake.governance import clauses
from neurolake.governance.access import TableDecision
from neurolake.governance.gate import Node, Path, denied
from neurolake.governance.writes import (
    NOWHERE,
    ROW,
    ROWS,
    TARGET,
    Write,
    alias_of,
    body_of,
    check_columns,
    check_rows,
    column,
    select_of,
    wrapped,
)
from neurolake.sql.text import columns as listed
from neurolake.sql.text import quote

TOKEN: Final = re.compile(
    r"""[eE]'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*'|"(?:[^"]|"")*"|(\$\w*\$).*?\1|--[^\n]*|/\*.*?\*/|\?\d*|\w+|\s+|.""",
    re.DOTALL,
)
_HEAD: Final = re.compile(r"\s*MERGE\s+INTO\s", re.IGNORECASE)
_WHEN: Final = re.compile(
    r"\s*(?P<no>NOT\s+)?MATCHED(?:\s+BY\s+(?P<by>TARGET|SOURCE))?(?:\s+AND\s(?P<condition>.*))?\s*\Z",
    re.IGNORECASE | re.DOTALL,
)

Serialise = Callable[[str], Any]

_NULL: Final = {
    "class": "CONSTANT", "type": "VALUE_CONSTANT", "alias": "", "literal": {"kind": "NULL_LITERAL"}, **NOWHERE,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Branch:
    """One WHEN: what it does, the columns it names, and where the values for them stand in the SELECT.

    `by_source`: it is about rows of the target that the source has no match for.
    """

    matched: bool
    by_source: bool
    action: str
    columns: tuple[str, ...]
    first: int
    width: int


@dataclass(frozen=True, slots=True)
class Merge:
    """A MERGE taken apart. `select` is the tree for the gate, `alias` what the caller calls the target."""

    target: Path
    alias: str
    select: Node
    branches: tuple[Branch, ...]
    returning: Sequence[Node]
    parameters: Sequence[Node]


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
    returning, last = list[Node](), list[Node]()
    if len(whens) % 2 and len(whens) > 2:
        said, more = body_of(serialise(wrapped(f"DELETE FROM {head} RETURNING {whens.pop()}")))
        returning, last = said["returning_list"], list(more)
    if len(whens) % 2 or not whens:
        raise ValueError
    base, parameters = body_of(serialise(wrapped(f"UPDATE {head} SET a = 1 FROM {source} WHERE {condition}")))
    alias = alias_of(base["table"])
    check_rows(base["table"], base["from_table"], base["set_info"]["condition"])
    sides = {False: _Side([], []), True: _Side([], [])}
    branches: list[Branch] = []
    for number, (when, then) in enumerate(zip(whens[::2], whens[1::2], strict=True)):
        matched, by_source, more, known = _when(head, source, when, serialise)
        action, names, values, others = _then(head, source, then, serialise)
        if action == "INSERT" and (matched or by_source):
            raise ValueError
        check_rows(base["table"], more, values)
        chosen = _all([_is_null(column(alias, ROW), matched or by_source), *more])
        side = sides[by_source]
        side.checks.append({"when_expr": chosen, "then_expr": _number(number)})
        branches.append(Branch(matched, by_source, action, names, len(side.items), len(values)))
        side.items.extend(_case([{"when_expr": copy.deepcopy(chosen), "then_expr": value}]) for value in values)
        sides[not by_source].items.extend(_NULL for _ in values)
        parameters = [*parameters, *known, *others]
    select = _joined(base, sides[False], "LEFT")
    if sides[True].checks:
        select = _united(serialise, select, _joined(copy.deepcopy(base), sides[True], "ANTI"))
    named = list({entry["key"]: entry for entry in [*parameters, *last]}.values())
    statement = {"error": False, "statements": [{"node": select, "named_param_map": named}]}
    return Merge(
        tuple(base["table"]["qualified_name"]["path"]), alias, statement, tuple(branches), returning, named
    )  # fmt: skip


class _Side(NamedTuple):
    """One of the two queries: for the rows of the source, or for those of the target that it has no match for."""

    checks: list[Node]
    items: list[Node]


def _joined(base: Node, side: _Side, kind: str) -> Node:
    """The rows of the source with what they match in the target, or those of the target that nothing matches."""
    items = [_case(side.checks) if side.checks else _NULL, *side.items]
    select = select_of(base["table"], [], items, None)
    left, right = base["from_table"], select["from_table"]
    if kind == "ANTI":
        left, right = right, left
    select["from_table"] = {**_join(left, right, kind), "condition": base["set_info"]["condition"]}
    return select


def _united(serialise: Serialise, first: Node, second: Node) -> Node:
    node: Node = serialise("SELECT 1 UNION ALL SELECT 2")["statements"][0]["node"]
    parts = [first, second]
    for key in ("left", "right"):
        if key in node:
            node[key] = parts[key == "right"] if node[key] is not None else None
    if node.get("children"):
        node["children"] = parts
    return node


def _pieces(text: str) -> Iterator[str]:
    """The target, the source, the condition, then of each WHEN its condition and what it does."""
    match = _HEAD.match(text)
    if match is None:
        raise ValueError
    wanted, piece, depth, place = ["USING"], "", 0, 0
    for token in TOKEN.finditer(text, match.end()):
        word = token[0]
        if word.startswith("?"):  # a parameter by its place in the whole is one by its number in a piece
            place += 1
            word = f"${word[1:] or place}"
        depth += (word in "([{") - (word in ")]}")
        if word.startswith(("--", "/*")):
            piece += " "
        elif depth == 0 and word.upper() in wanted and not (word.upper() == "WHEN" and _open_case(piece)):
            yield piece
            piece = ""
            wanted = {
                "USING": ["ON"],
                "ON": ["WHEN"],
                "WHEN": ["THEN"],
                "THEN": ["WHEN", "RETURNING"],
                "RETURNING": [],
            }[word.upper()]
        else:
            piece += word
    yield piece


def _open_case(piece: str) -> bool:
    """Whether a CASE stands open in a piece: its WHEN and THEN are not MERGE's."""
    words = re.findall(r"\w+", re.sub(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"", " ", piece.upper()))
    return words.count("CASE") > words.count("END")


def _when(head: str, source: str, text: str, serialise: Serialise) -> tuple[bool, bool, list[Node], list[Node]]:
    """Whether it is about rows that match, whether about those without a match in the source, and what it asks more."""
    match = _WHEN.match(text)
    if match is None or (match["by"] and not match["no"]):
        raise ValueError
    matched, by_source = match["no"] is None, (match["by"] or "").upper() == "SOURCE"
    if match["condition"] is None:
        return matched, by_source, [], []
    read = f"UPDATE {head} SET a = 1 FROM {source} WHERE {match['condition']}"
    node, parameters = body_of(serialise(wrapped(read)))
    return matched, by_source, [node["set_info"]["condition"]], list(parameters)


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
    return {"class": "CASE", "type": "CASE_EXPR", "alias": "", "case_checks": checks, "else_expr": _NULL, **NOWHERE}


def _join(left: Node, right: Node, kind: str) -> Node:
    return {
        "type": "JOIN", "alias": "", "sample": None, "left": left, "right": right, "condition": None,
        "join_type": kind, "ref_type": "REGULAR", "using_columns": [], "delim_flipped": False,
        "duplicate_eliminated_columns": [], "is_implicit": False, "ranking_expression": None, "nearest_count": 1,
        "nearest_order_type": "ASCENDING", "nearest_approx": False, **NOWHERE,
    }  # fmt: skip


def composed(
    merge: Merge,
    target: str,
    select: str,
    decision: TableDecision,
    types: Mapping[str, str],
    show: clauses.Show,
) -> str:
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
        there = "" if branch.matched or branch.by_source else "NOT "
        whens.append(f"WHEN {there}MATCHED AND {ROWS}.w = {number} THEN {what}")
    on = f"{TARGET}.rowid = {ROWS}.{ROW}"
    returning = clauses.returning(merge.returning, merge.alias, decision, types, show, "MERGE")
    return f"MERGE INTO {target} AS {TARGET} USING ({select}) AS {ROWS}({names}) ON {on} {' '.join(whens)}{returning}"
