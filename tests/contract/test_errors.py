"""Errors: a stable code, what to do next, the query's id, and nothing of the server's inside."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from contract.clients import Client

CASES = [
    ("SELEC 1", "syntax"),
    ("SELECT 1 +", "syntax"),
    ("SELECT 'open", "syntax"),
    ("SELECT * FROM nowhere", "not_found"),
    ("SELECT * FROM nowhere.t", "not_found"),
    ("SELECT * FROM other.main.t", "not_found"),
    ("SELECT no_such_function(1)", "not_found"),
    ("SELECT no_such_column FROM range(1)", "binding"),
    ("SELECT sum('a' || range) FROM range(3)", "binding"),
    ("SELECT a FROM (SELECT 1 AS b)", "binding"),
    ("SELECT 'x'::INTEGER", "conversion"),
    ("SELECT 300::TINYINT", "conversion"),
    ("SELECT (range + 9223372036854775800)::BIGINT * 2 FROM range(3)", "conversion"),
    ("SELECT '2024-13-01'::DATE", "conversion"),
    ("SELECT CASE WHEN range = 90000 THEN 'x' ELSE '1' END::INT FROM range(100_000)", "conversion"),
    ("SELECT error('my own words')", "invalid_request"),
    ("INSERT INTO nowhere VALUES (1)", "not_found"),
    ("DROP TABLE nowhere", "not_found"),
    ("ALTER TABLE nowhere ADD COLUMN a INT", "not_found"),
    ("SELECT * FROM read_parquet('/nowhere/at/all.parquet')", "source_empty"),
    ("SELECT * FROM read_csv('/nowhere/at/all.csv')", "source_empty"),
    ("COPY (SELECT 1) TO '/nowhere/at/all.csv'", "source_failed"),
    ("LOAD no_such_extension", "source_failed"),
    ("SELECT * FROM (SELECT 1 AS a) WHERE a = (SELECT range FROM range(2))", "invalid_request"),
    ("USE nowhere", "not_found"),
    ("EXECUTE nothing_prepared", "binding"),
    ("SELECT unnest(1)", "binding"),
    ("SELECT count(*) OVER (ORDER BY 1) FROM range(3) GROUP BY ()  HAVING nope", "binding"),
]


@pytest.mark.parametrize(("sql", "code"), CASES, ids=[sql for sql, _ in CASES])
class TestEveryError:
    def test_it_has_a_code_and_an_id_and_no_traceback(self, client: Client, sql: str, code: str) -> None:
        failure = client.failure(sql)
        assert failure.code == code
        assert re.fullmatch("[0-9a-f]{20}", failure.query_id or "")
        for inside in ("Traceback", ".py", "Stack Trace", "_duckdb", 'File "', "0x7f", "libduckdb"):
            assert inside not in failure.text
        client.undo_failed()
        assert client.value("SELECT 1") == 1


class TestMessages:
    def test_what_others_depend_on_is_there_all_the_same(self, client: Client) -> None:
        client.execute("CREATE TABLE parents (a INT PRIMARY KEY)")
        client.execute("CREATE TABLE children (b INT REFERENCES parents (a))")
        client.commit()
        failure = client.failure("DROP TABLE parents")
        assert (failure.code, "children" in failure.text) == ("dependency", True)
        client.undo_failed()
        client.execute("DROP TABLE children")
        client.commit()

    def test_the_place_in_the_text(self, client: Client) -> None:
        failure = client.failure("SELECT 1,\n  2 FRM t")
        assert "FRM" in failure.text or "t" in failure.text
        assert "LINE" in failure.text

    def test_a_near_name(self, client: Client) -> None:
        client.execute("CREATE TABLE customers (a INT)")
        client.commit()
        assert "customers" in client.failure("FROM custmers").text

    def test_the_users_own_words(self, client: Client) -> None:
        assert "my own words" in client.failure("SELECT error('my own words')").text

    def test_a_very_long_message_still_ends_with_its_code(self, client: Client) -> None:
        failure = client.failure(f"SELECT error('{'é' * 20_000}')")
        assert failure.code == "invalid_request"
        assert failure.query_id

    def test_text_that_is_no_ascii(self, client: Client) -> None:
        assert "Größe 🦆" in client.failure("SELECT error('Größe 🦆')").text

    def test_a_percent_sign_and_a_newline(self, client: Client) -> None:
        text = client.failure("SELECT error('100% of %s\nnext {0} line')").text
        assert "100% of %s" in text
        assert "next {0} line" in text

    def test_an_error_in_the_midst_of_a_stream(self, client: Client) -> None:
        sql = "SELECT CASE WHEN range = 9_000_000 THEN error('late trouble') ELSE range END AS n FROM range(10_000_000)"
        failure = client.failure(sql)
        assert (failure.code, "late trouble" in failure.text) == ("invalid_request", True)
        client.undo_failed()
        assert client.value("SELECT 1") == 1

    def test_files_of_this_machine_are_named_only_as_the_user_did(self, client: Client, data: Path) -> None:
        failure = client.failure(f"SELECT * FROM read_parquet('{data}/none.parquet')")
        assert f"{data}/none.parquet" in failure.text
