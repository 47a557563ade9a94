"""The gate: what a governed statement may be made of, read from DuckDB's own tree of it.

`map_statement` walks the tree that DuckDB's parser makes of a statement, denies whatever stands in no list here, and
replaces every relation by what the caller may read in its place. `check_statement` walks the tree of exactly the text
that runs, with only those replacements allowed. Nothing here trusts a reading of SQL other than the engine's own.

Scopes of names are no part of the proof. What the gate takes for a common table expression gets a name that nothing
else has: were the gate wrong, the name would be found nowhere. And governed statements run on connections whose search
path holds nothing, so that a name without a path means the engine's own or nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from neurolake import errors
from neurolake.governance.gate_functions import OPERATORS, SCALARS, TABLE_FUNCTIONS, TYPES
from neurolake.identifiers import fold
from neurolake.sql.text import DEFAULT_SCHEMA

Path = tuple[str, ...]
Node = dict[str, Any]

CTE_PREFIX: Final = "__neurolake_cte_"
DEPTH_MAX: Final = 150
"""How deep a statement may nest; the engine's own limit is far above what people write."""

_COMMON: Final = frozenset(("class", "type", "alias", "query_location", "query_location_length"))
_CALLED: Final = frozenset(("function_name", "schema", "catalog", "qualified_name", "arguments"))
_COMPARISONS: Final = frozenset(
    f"COMPARE_{kind}"
    for kind in ("EQUAL", "NOTEQUAL", "LESSTHAN", "GREATERTHAN", "LESSTHANOREQUALTO", "GREATERTHANOREQUALTO",
                 "DISTINCT_FROM", "NOT_DISTINCT_FROM")
)  # fmt: skip
_OPERATIONS: Final = frozenset(
    ("ARRAY_CONSTRUCTOR", "ARRAY_EXTRACT", "ARRAY_SLICE", "STRUCT_EXTRACT", "COMPARE_IN", "COMPARE_NOT_IN",
     "GROUPING_FUNCTION", "OPERATOR_COALESCE", "OPERATOR_IS_NULL", "OPERATOR_IS_NOT_NULL", "OPERATOR_NOT",
     "OPERATOR_NULLIF", "OPERATOR_TRY", "OPERATOR_UNPACK")
)  # fmt: skip
_WINDOWS: Final = frozenset(
    f"WINDOW_{kind}"
    for kind in ("AGGREGATE", "ROW_NUMBER", "FIRST_VALUE", "LAST_VALUE", "NTH_VALUE", "LAG", "LEAD", "RANK",
                 "RANK_DENSE", "PERCENT_RANK", "CUME_DIST", "NTILE", "FILL")
)  # fmt: skip

_EXPRESSIONS: Final[Mapping[str, tuple[frozenset[str], frozenset[str]]]] = {
    kind: (types if isinstance(types, frozenset) else frozenset((types,)), _COMMON | frozenset(keys))
    for kind, types, keys in (
        ("BETWEEN", "COMPARE_BETWEEN", ("input", "lower", "upper")),
        ("CASE", "CASE_EXPR", ("case_checks", "else_expr")),
        ("CAST", "OPERATOR_CAST", ("child", "try_cast", "type_expr")),
        ("COLLATE", "COLLATE", ("child", "collation")),
        ("COLUMN_REF", "COLUMN_REF", ("column_names",)),
        ("COMPARISON", _COMPARISONS, ("left", "right")),
        ("CONJUNCTION", frozenset(("CONJUNCTION_AND", "CONJUNCTION_OR")), ("children",)),
        ("CONSTANT", "VALUE_CONSTANT", ("literal",)),
        ("DEFAULT", "VALUE_DEFAULT", ()),
        ("FUNCTION", "FUNCTION",
         (*_CALLED, "filter", "order_bys", "distinct", "is_operator", "export_state")),
        ("LAMBDA", "LAMBDA", ("lhs", "expr", "syntax_type")),
        ("OPERATOR", _OPERATIONS, ("children",)),
        ("PARAMETER", "VALUE_PARAMETER", ("identifier",)),
        ("POSITIONAL_REFERENCE", "POSITIONAL_REFERENCE", ("index",)),
        ("STAR", "STAR",
         ("relation_name", "exclude_list", "replace_list", "columns", "expr", "qualified_exclude_list", "rename_list")),
        ("SUBQUERY", "SUBQUERY", ("subquery_type", "subquery", "child", "comparison_type")),
        ("TYPE", "TYPE", ("catalog", "schema", "type_name", "children", "qualified_name")),
        ("WINDOW", _WINDOWS,
         (*_CALLED, "partitions", "orders", "start", "end", "start_expr", "end_expr", "offset_expr", "default_expr",
          "ignore_nulls", "filter_expr", "exclude_clause", "distinct", "arg_orders", "has_ignore_nulls")),
    )
}  # fmt: skip

_REF: Final = ("type", "alias", "sample", "query_location", "query_location_length")
_ORDER: Final = ("type", "null_order", "expression")
_QUERY: Final = ("type", "modifiers", "cte_map")
_NODES: Final[Mapping[str, frozenset[str]]] = {
    kind: frozenset(keys)
    for kind, keys in {
        "SELECT_NODE": (*_QUERY, "select_list", "from_table", "where_clause", "group_expressions", "group_sets",
                        "aggregate_handling", "having", "sample", "qualify"),
        "SET_OPERATION_NODE": (*_QUERY, "setop_type", "left", "right", "setop_all", "children"),
        "RECURSIVE_CTE_NODE": (*_QUERY, "cte_name", "union_all", "left", "right", "aliases", "key_targets",
                               "payload_aggregates"),
        "DISTINCT_MODIFIER": ("type", "distinct_on_targets"),
        "ORDER_MODIFIER": ("type", "orders"),
        "LIMIT_MODIFIER": ("type", "limit", "offset", "limit_type"),
        "ORDER_DEFAULT": _ORDER, "ASCENDING": _ORDER, "DESCENDING": _ORDER,
        "BASE_TABLE": (*_REF, "schema_name", "table_name", "column_name_alias", "catalog_name", "at_clause",
                       "qualified_name"),
        "EMPTY": _REF,
        "EXPRESSION_LIST": (*_REF, "expected_names", "expected_types", "values"),
        "JOIN": (*_REF, "left", "right", "condition", "join_type", "ref_type", "using_columns", "delim_flipped",
                 "duplicate_eliminated_columns", "is_implicit", "ranking_expression", "nearest_count",
                 "nearest_order_type", "nearest_approx"),
        "SUBQUERY": (*_REF, "subquery", "column_name_alias"),
        "TABLE_FUNCTION": (*_REF, "function", "column_name_alias", "with_ordinality"),
        "PIVOT": (*_REF, "source", "aggregates", "unpivot_names", "pivots", "groups", "column_name_alias",
                  "include_nulls"),
        "SHOW_REF": (*_REF, "table_name", "query", "show_type", "catalog_name", "schema_name", "qualified_name"),
    }.items()
}  # fmt: skip

_RECORDS: Final = frozenset(
    frozenset(keys.split())
    for keys in (
        "node named_param_map", "key value", "path", "name expression", "when_expr then_expr", "map", "kind text",
        "kind", "catalog schema table column", "id type_info", "type is_null value", "type is_null",
        "sample_size is_percentage method seed repeatable sample_rate",
        "aliases materialized key_targets payload_aggregates query_node",
        "pivot_expressions unpivot_names entries pivot_enum", "values star_expr alias",
    )
)  # fmt: skip
"""Dicts without a type of their own, by their keys."""

_NAMES_OF_THE_LAKE: Final = {
    "current_schema": "main", "current_database": "lake", "current_catalog": "lake",
}  # fmt: skip
"""Functions that would show where governed statements really run, and what they answer instead."""


def denied(what: str, *, code: str = "", next_step: str = "") -> errors.AccessDenied:
    """The gate's answer to what stands in no list of its."""
    return errors.AccessDenied(
        f"A governed role may not use {what}.",
        code=code or "gate_denied",
        next_step=next_step or "docs/security.md lists what governed roles may use.",
    )


@dataclass(slots=True)
class Mapped:
    """What the first walk has found: every relation as written, and what took its place."""

    relations: dict[Path, Path] = field(default_factory=dict)
    ctes: set[str] = field(default_factory=set)


def map_statement(answer: Node, resolve: Callable[[Path], Path], schema: str = DEFAULT_SCHEMA) -> Mapped:
    """Check the parsed statement against every list, and replace its relations in place.

    Args:
        answer: what json_serialize_sql gave.
        resolve: gives what is read in place of a relation; raises where there is nothing.
        schema: what a name without one belongs to.

    Raises:
        AccessDenied: it holds what governed roles may not use.
        SyntaxProblem: it does not parse.
    """
    walk = _Mapping(resolve, schema)
    walk.statement(answer)
    return walk.mapped


def check_statement(answer: Node, allowed: Collection[Path], ctes: Collection[str]) -> None:
    """The last look, at the tree of exactly the text that runs.

    Raises:
        AccessDenied: it holds anything but what the first walk has let through.
    """
    _Checking(frozenset(allowed), frozenset(ctes)).statement(answer)


def named_by_text(value: Any) -> Iterator[Node]:
    """The select items without a name that hold a query: DuckDB names them after their text, relations included."""
    if isinstance(value, list):
        for item in value:
            yield from named_by_text(item)
    elif isinstance(value, dict):
        for item in value.get("select_list") or ():
            if item["class"] != "STAR" and not item["alias"] and _holds_query(item):
                yield item
        for item in value.values():
            yield from named_by_text(item)


def _holds_query(value: Any) -> bool:
    if isinstance(value, list):
        return any(map(_holds_query, value))
    return isinstance(value, dict) and (value.get("class") == "SUBQUERY" or any(map(_holds_query, value.values())))


class _Walk:
    """One walk over a tree: every dict in it must be of a known shape."""

    def __init__(self) -> None:
        self._depth = 0

    def relation(self, node: Node, scope: Mapping[str, str]) -> None:
        """A relation by its name."""
        raise NotImplementedError

    def column(self, node: Node) -> None:
        """A column by its name."""

    def named(self, entry: Node, node: Node | None, scope: Mapping[str, str]) -> dict[str, str]:
        """A common table expression comes into scope."""
        raise NotImplementedError

    def statement(self, answer: Node) -> None:
        """The whole answer of json_serialize_sql."""
        if answer.get("error") is not False:
            raise _unserialised(answer)
        found = answer.get("statements")
        if not isinstance(found, list) or len(found) != 1:
            raise denied("several statements at once")
        try:
            self.walk(found[0], {})
        except (KeyError, TypeError, AttributeError, IndexError):
            raise denied("a statement of this form") from None
        except RecursionError:
            raise denied("a statement that nests so deep") from None

    def walk(self, value: Any, scope: Mapping[str, str]) -> None:
        """Whatever stands at one place of the tree."""
        if isinstance(value, list):
            for item in value:
                self.walk(item, scope)
        elif isinstance(value, dict):
            self._depth += 1
            if self._depth > DEPTH_MAX:
                raise denied("a statement that nests so deep")
            self._dict(value, scope)
            self._depth -= 1

    def _dict(self, node: Node, scope: Mapping[str, str]) -> None:
        if "class" in node:
            self._expression(node, scope)
        elif isinstance(kind := node.get("type"), str):
            keys = _NODES.get(kind)
            if keys is None or not keys >= node.keys():
                raise denied(_shown(kind))
            _HANDLERS.get(kind, _Walk._children)(self, node, scope)
        else:
            if frozenset(node) not in _RECORDS:
                raise denied("a statement of this form")
            self._children(node, scope)

    def _children(self, node: Node, scope: Mapping[str, str]) -> None:
        for value in node.values():
            if isinstance(value, dict | list):
                self.walk(value, scope)

    # Expressions

    def _expression(self, node: Node, scope: Mapping[str, str]) -> None:
        types, keys = _EXPRESSIONS.get(node["class"], (frozenset(), frozenset()))
        if node["type"] not in types or not keys >= node.keys():
            raise denied(_shown(str(node["type"])))
        match node["class"]:
            case "FUNCTION":
                self._function(node, scope)
            case "WINDOW":
                if len(_path(node, "function_name")) != 1 or not _callable(node["function_name"]):
                    raise denied(f"the function {node['function_name']}", code="function_denied")
            case "TYPE":
                if len(_path(node, "type_name")) != 1 or fold(node["type_name"]) not in TYPES:
                    raise denied(f"the type {node['type_name']}", code="type_denied")
            case "COLUMN_REF":
                self.column(node)
        self._children(node, scope)

    def _function(self, node: Node, scope: Mapping[str, str]) -> None:
        path = _path(node, "function_name")
        if node["export_state"]:
            raise denied("EXPORT_STATE")
        if len(path) == 2:  # a.lower() means lower(a), unless a is a schema: which it is not to a governed role
            _as_plain_call(node, path)
        elif len(path) != 1:
            raise denied("functions by a qualified name", code="function_denied")
        name = fold(node["function_name"])
        if name in _NAMES_OF_THE_LAKE and not node["arguments"]:
            _as_constant(node, _NAMES_OF_THE_LAKE[name])
        elif not _callable(name):
            raise denied(f"the function {node['function_name']}", code="function_denied")

    # Relations

    def _base_table(self, node: Node, scope: Mapping[str, str]) -> None:
        if node["at_clause"] is not None:
            raise denied("AT, for a version of a table")
        _path(node, "table_name", "schema_name", "catalog_name")
        self.relation(node, scope)
        self._children(node, scope)

    def _table_function(self, node: Node, scope: Mapping[str, str]) -> None:
        call = node["function"]
        if call["class"] != "FUNCTION" or not _EXPRESSIONS["FUNCTION"][1] >= call.keys():
            raise denied("a table function of this form", code="function_denied")
        path = _path(call, "function_name")
        if len(path) != 1 or fold(path[0]) not in TABLE_FUNCTIONS:
            raise denied(f"the table function {'.'.join(path)}", code="function_denied")
        self._children(call, scope)
        self.walk(node["sample"], scope)

    def _show(self, node: Node, scope: Mapping[str, str]) -> None:
        if node["show_type"] == "SHOW" and node["query"] is None:
            _as_describe(node)
        if node["show_type"] not in ("DESCRIBE", "SUMMARY") or node["query"] is None or node["qualified_name"]["path"]:
            raise denied("this form of SHOW")
        self._children(node, scope)

    def _pivot(self, node: Node, scope: Mapping[str, str]) -> None:
        if any(pivot["pivot_enum"] for pivot in node["pivots"]):
            raise denied("a PIVOT whose values are not listed", code="pivot_denied")
        self._children(node, scope)

    # Queries and their scopes

    def _query(self, node: Node, scope: Mapping[str, str]) -> None:
        for entry in node["cte_map"]["map"]:
            body = entry["value"]["query_node"]
            recursive = body if body["type"] == "RECURSIVE_CTE_NODE" else None
            inner = self.named(entry, recursive, scope)
            self.walk(entry["value"], inner if recursive else scope)
            scope = inner
        for key, value in node.items():
            if key != "cte_map" and isinstance(value, dict | list):
                self.walk(value, scope)


_HANDLERS: Final[Mapping[str, Callable[[_Walk, Node, Mapping[str, str]], None]]] = {
    "BASE_TABLE": _Walk._base_table,
    "TABLE_FUNCTION": _Walk._table_function,
    "SHOW_REF": _Walk._show,
    "PIVOT": _Walk._pivot,
    "SELECT_NODE": _Walk._query,
    "SET_OPERATION_NODE": _Walk._query,
    "RECURSIVE_CTE_NODE": _Walk._query,
}


class _Mapping(_Walk):
    """The first walk: relations are replaced, common table expressions renamed."""

    def __init__(self, resolve: Callable[[Path], Path], schema: str) -> None:
        super().__init__()
        self.mapped = Mapped()
        self._resolve = resolve
        self._schema = schema
        self._columns: list[Node] = []

    def statement(self, answer: Node) -> None:
        super().statement(answer)
        known = {_two_parts(path, self._schema) for path in self.mapped.relations}
        for column in self._columns:
            column["column_names"] = _unqualified(column["column_names"], known)

    def relation(self, node: Node, scope: Mapping[str, str]) -> None:
        path = tuple(node["qualified_name"]["path"])
        head, name = path[:-1], fold(path[-1])
        if name in scope and (not head or [fold(part) for part in head] == ["recurring"]):
            new: Path = (*head, scope[name])
        else:
            new = self._resolve(path)
            self.mapped.relations[path] = new
        node["alias"] = node["alias"] or path[-1]
        _set_path(node, new)

    def column(self, node: Node) -> None:
        self._columns.append(node)

    def named(self, entry: Node, node: Node | None, scope: Mapping[str, str]) -> dict[str, str]:
        old = entry["key"]
        new = f"{CTE_PREFIX}{len(self.mapped.ctes)}"
        self.mapped.ctes.add(new)
        entry["key"] = new
        if node is not None:
            if fold(node["cte_name"]) != fold(old):
                raise denied("a recursive query of this form")
            node["cte_name"] = new
        return {**scope, fold(old): new}


class _Checking(_Walk):
    """The second walk: only what the first one has put there is allowed."""

    def __init__(self, allowed: frozenset[Path], ctes: frozenset[str]) -> None:
        super().__init__()
        self._allowed = allowed
        self._ctes = ctes

    def relation(self, node: Node, scope: Mapping[str, str]) -> None:
        path = tuple(node["qualified_name"]["path"])
        recurring = len(path) == 2 and fold(path[0]) == "recurring"
        if path not in self._allowed and not ((len(path) == 1 or recurring) and path[-1] in self._ctes):
            raise denied("this relation", code="gate_failed")

    def named(self, entry: Node, node: Node | None, scope: Mapping[str, str]) -> dict[str, str]:
        if entry["key"] not in self._ctes or (node is not None and node["cte_name"] != entry["key"]):
            raise denied("this common table expression", code="gate_failed")
        return {}


def _path(node: Node, last: str, schema: str = "schema", catalog: str = "catalog") -> Path:
    """The name of a relation, function or type; every place that holds it must say the same."""
    path = tuple(node["qualified_name"]["path"])
    said = tuple(part for part in (node[catalog], node[schema], node[last]) if part)
    if not path or path[-1] != node[last] or (said != path and said != path[-len(said) :]):
        raise denied("a name of this form")
    return path


def _set_path(node: Node, path: Path) -> None:
    node["qualified_name"]["path"] = list(path)
    node["table_name"] = path[-1]
    node["schema_name"] = path[-2] if len(path) > 1 else ""
    node["catalog_name"] = path[-3] if len(path) > 2 else ""


def _callable(name: str) -> bool:
    return fold(name) in SCALARS or name in OPERATORS


def _as_plain_call(node: Node, path: Path) -> None:
    column = {
        "class": "COLUMN_REF", "type": "COLUMN_REF", "alias": "", "column_names": [path[0]],
        "query_location": node["query_location"], "query_location_length": 0,
    }  # fmt: skip
    node["arguments"].insert(0, {"name": "", "expression": column})
    node["qualified_name"]["path"] = [path[1]]
    node["schema"] = node["catalog"] = ""


def _as_constant(node: Node, value: str) -> None:
    node["alias"] = node["alias"] or f"{node['function_name']}()"
    for key in [key for key in node if key not in _COMMON]:
        del node[key]
    node.update({"class": "CONSTANT", "type": "VALUE_CONSTANT", "literal": {"kind": "STRING", "text": value}})


def _as_describe(node: Node) -> None:
    """`SHOW t` is DESCRIBE of the rows of t."""
    path = _path(node, "table_name", "schema_name", "catalog_name")
    place = {"query_location": node["query_location"], "query_location_length": 0}
    star = {
        "class": "STAR", "type": "STAR", "alias": "", "relation_name": "", "exclude_list": [], "replace_list": [],
        "columns": False, "expr": None, "qualified_exclude_list": [], "rename_list": [], **place,
    }  # fmt: skip
    table = {
        "type": "BASE_TABLE", "alias": "", "sample": None, "column_name_alias": [], "at_clause": None,
        "qualified_name": {"path": []}, **place,
    }  # fmt: skip
    _set_path(table, path)
    node["query"] = {
        "type": "SELECT_NODE", "modifiers": [], "cte_map": {"map": []}, "select_list": [star], "from_table": table,
        "where_clause": None, "group_expressions": [], "group_sets": [], "aggregate_handling": "STANDARD_HANDLING",
        "having": None, "sample": None, "qualify": None,
    }  # fmt: skip
    node.update(table_name="", schema_name="", catalog_name="", qualified_name={"path": []}, show_type="DESCRIBE")


def _two_parts(path: Path, schema: str) -> Path:
    folded = tuple(fold(part) for part in path)
    return folded[-2:] if len(folded) > 1 else (fold(schema), *folded)


def _unqualified(names: list[str], relations: Collection[Path]) -> list[str]:
    """`lake.main.orders.id` names a column through its schema, which what stands for the relation does not have."""
    for start in (0, 1):
        if len(names) > start + 2 and tuple(fold(name) for name in names[start : start + 2]) in relations:
            return names[start + 1 :]
    return names


def _shown(kind: str) -> str:
    return kind.removesuffix("_NODE").removesuffix("_REF").replace("_", " ")


def _unserialised(answer: Node) -> errors.NeuroLakeError:
    message = str(answer.get("error_message", ""))
    if answer.get("error_type") == "parser" or "syntax error" in message.casefold():
        return errors.SyntaxProblem(message.split("\n", 1)[0])
    return denied(
        "a statement that the gate cannot read",
        code="gate_unreadable",
        next_step="Write it as a plain SELECT; list the values of a PIVOT: ON region IN ('north', 'south').",
    )
