"""Two names are one for us exactly when they are one for DuckDB."""

from __future__ import annotations

import duckdb
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from neurolake.identifiers import fold, folded_sql
from neurolake.sql.text import Name, mentions, quote

LETTERS = "aAkKsSiIzZ_1 ßẞäÄéÉİıſ\u212a\u212bΣςσﬁﬀǅŉÀ\u0301漢"
NAMES = st.one_of(st.text(LETTERS, min_size=1, max_size=5), st.text(st.characters(codec="utf-8"), min_size=1))


def spellings(name: str) -> st.SearchStrategy[str]:
    """Names that some rule or other takes for the same."""
    rules = (str.upper, str.lower, str.casefold, str.title, str.swapcase, fold)
    return st.one_of(st.sampled_from([rule(name) for rule in rules]), NAMES)


@pytest.fixture(scope="module")
def db() -> duckdb.DuckDBPyConnection:
    return duckdb.connect()


def same_for_duckdb(db: duckdb.DuckDBPyConnection, one: str, other: str) -> bool:
    """As columns: whether the second finds the first."""
    try:
        db.execute(f"SELECT {quote(other)} FROM (SELECT 1 AS {quote(one)})")
    except duckdb.BinderException:
        return False
    return True


@example(("straße", "strasse"))
@example(("Ä", "ä"))
@example(("\u212aunden", "kunden"))
@example(("ſecret", "secret"))
@example(("İ", "i\u0307"))
@given(NAMES.filter(lambda name: "\0" not in name).flatmap(lambda name: st.tuples(st.just(name), spellings(name))))
def test_two_names_are_one_exactly_when_duckdb_says_so(db: duckdb.DuckDBPyConnection, pair: tuple[str, str]) -> None:
    one, other = pair
    if "\0" in other:
        return
    same = same_for_duckdb(db, one, other)
    assert (fold(one) == fold(other)) is same
    assert (Name("main", one).fold() == Name("main", other).fold()) is same
    assert db.execute(f"SELECT {folded_sql('?')}", [one]).fetchall() == [(fold(one),)]
    assert mentions(f"SELECT * FROM {quote(one)}", frozenset([fold(one)]))


@pytest.mark.parametrize("kind", ["TABLE", "VIEW", "SCHEMA"])
@pytest.mark.parametrize(
    ("one", "other"), [("straße", "STRASSE"), ("Ä", "ä"), ("\u212a", "k"), ("ſ", "s"), ("Kind", "kIND")]
)
def test_tables_views_and_schemas_are_told_apart_likewise(kind: str, one: str, other: str) -> None:
    rest = {"TABLE": "(a INT)", "VIEW": "AS SELECT 1 AS a", "SCHEMA": ""}[kind]
    with duckdb.connect() as db:
        db.execute(f"CREATE {kind} {quote(one)} {rest}")
        try:
            db.execute(f"CREATE {kind} {quote(other)} {rest}")
        except duckdb.CatalogException:
            assert fold(one) == fold(other)
        else:
            assert fold(one) != fold(other)
