"""The gate lets through what its lists hold, replaces every relation, and denies the rest."""

from __future__ import annotations

import json
from typing import Any

import duckdb
import pytest

from neurolake import errors
from neurolake.governance import gate
from neurolake.governance.gate_errors import told

CONNECTION = duckdb.connect()


def serialise(sql: str) -> Any:
    return json.loads(CONNECTION.execute("SELECT json_serialize_sql(?)", [sql]).fetchone()[0])


def printed(tree: Any) -> str:
    kept = {key: value for key, value in tree.items() if key != "error"}
    return str(CONNECTION.execute("SELECT json_deserialize_sql(?)", [json.dumps(kept)]).fetchone()[0])


def through(sql: str) -> str:
    """A statement's text after both walks; relations are replaced by `g.v.<name>_view`."""
    tree = serialise(sql)
    mapped = gate.map_statement(tree, lambda path: ("g", "v", f"{path[-1]}_view"))
    text = printed(tree)
    gate.check_statement(serialise(text), set(mapped.relations.values()), mapped.ctes)
    return text


class TestRelations:
    @pytest.mark.parametrize(
        ("sql", "text"),
        [
            ("SELECT * FROM t", "SELECT * FROM g.v.t_view AS t"),
            ("FROM lake.main.t x", "SELECT * FROM g.v.t_view AS x"),
            ("SELECT t.a FROM main.t", "SELECT t.a FROM g.v.t_view AS t"),
            ("SELECT lake.main.t.a FROM t", "SELECT t.a FROM g.v.t_view AS t"),
            ("SELECT a.lower() FROM t", "SELECT lower(a) FROM g.v.t_view AS t"),
            ("SHOW t", "DESCRIBE (SELECT * FROM g.v.t_view AS t)"),
            ("SELECT current_schema()", "SELECT 'main' AS \"current_schema()\""),
        ],
    )
    def test_they_are_replaced(self, sql: str, text: str) -> None:
        assert through(sql) == text

    def test_common_tables_get_names_that_nothing_else_has(self) -> None:
        text = through("WITH t AS (SELECT * FROM t) SELECT t.a FROM t")
        assert text == (
            "WITH __neurolake_cte_0 AS (SELECT * FROM g.v.t_view AS t)SELECT t.a FROM __neurolake_cte_0 AS t"
        ) or text.replace(")SELECT", ") SELECT") == (
            "WITH __neurolake_cte_0 AS (SELECT * FROM g.v.t_view AS t) SELECT t.a FROM __neurolake_cte_0 AS t"
        )

    def test_the_last_look_allows_only_what_was_put_there(self) -> None:
        for sql in ("SELECT * FROM g.v.other", "SELECT * FROM t", "WITH x AS (SELECT 1) SELECT * FROM x"):
            with pytest.raises(errors.AccessDenied, match=r"gate_failed|relation|expression"):
                gate.check_statement(serialise(sql), {("g", "v", "t_view")}, set())


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("SELECT * FROM read_csv('x')", "function_denied"),
        ("SELECT getvariable('x')", "function_denied"),
        ("SELECT system.main.lower('x')", "function_denied"),
        ("SELECT a.b.c(1)", "function_denied"),
        ("SELECT nosuch(1)", "function_denied"),
        ("SELECT CAST(1 AS mood)", "type_denied"),
        ("SELECT sum(a) EXPORT_STATE FROM t", "gate_denied"),
        ("SELECT * FROM t AT (VERSION => 1)", "gate_denied"),
        ("SHOW DATABASES", "gate_denied"),
        ("WITH x AS (INSERT INTO t VALUES (1) RETURNING *) SELECT * FROM x", "gate_denied"),
        ("WITH x AS (COPY t TO 'x') SELECT 1", "gate_denied"),
        ("SELECT 1; SELECT 2", "gate_denied"),
        ("INSERT INTO t VALUES (1)", "gate_unreadable"),
        ("PIVOT t ON a USING sum(b)", "gate_unreadable"),
        ("SELECT FROM WHERE", "syntax"),
        ("SELECT " + "(" * 200 + "1" + " + 1)" * 200, "gate_denied"),
    ],
)
def test_what_is_denied(sql: str, code: str) -> None:
    with pytest.raises(errors.NeuroLakeError) as caught:
        through(sql)
    assert caught.value.code == code


def test_an_unknown_node_is_denied() -> None:
    tree = serialise("SELECT a FROM t")
    tree["statements"][0]["node"]["select_list"][0]["of_a_later_release"] = 1
    with pytest.raises(errors.AccessDenied):
        gate.map_statement(tree, lambda path: path)
    tree = serialise("SELECT a FROM t")
    tree["statements"][0]["node"]["from_table"]["type"] = "OF_A_LATER_RELEASE"
    with pytest.raises(errors.AccessDenied):
        gate.map_statement(tree, lambda path: path)


def test_names_that_disagree_are_denied() -> None:
    tree = serialise("SELECT lower(a) FROM t")
    tree["statements"][0]["node"]["select_list"][0]["qualified_name"]["path"] = ["getvariable"]
    with pytest.raises(errors.AccessDenied):
        gate.map_statement(tree, lambda path: path)


class TestErrors:
    def engine_says(self, kind: type[errors.NeuroLakeError], message: str) -> errors.NeuroLakeError:
        problem = kind(message)
        problem.from_engine = True
        return problem

    def test_values_are_not_told(self) -> None:
        for kind in (errors.ConversionFailed, errors.ConstraintViolated, errors.SourceFailed, errors.LimitReached):
            problem = self.engine_says(kind, 'Could not take "secret-value" in /a/path')
            assert "secret" not in str(told(problem, "SELECT 'secret-value'"))
            assert "/a/path" not in str(told(problem, ""))

    def test_a_callers_own_names_are(self) -> None:
        problem = self.engine_says(errors.InvalidRequest, 'Referenced column "idd" not found\nCandidates: "salary"')
        assert str(told(problem, "SELECT idd FROM t")) == (
            "The statement does not fit what it names: idd. [invalid_request]"
        )
        assert "idd" not in str(told(problem, "SELECT * FROM t"))

    def test_our_own_words_are(self) -> None:
        ours = errors.AccessDenied("No.")
        assert told(ours, "") is ours
