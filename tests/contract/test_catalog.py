"""`lake.catalog`, embedded and remote: what there is, what is said about it, and what a stock client sees of that."""

from __future__ import annotations

from pathlib import Path

import pytest

from contract.clients import OfLake
from contract.conftest import Opened
from neurolake import Lake, errors
from neurolake.catalog.client import Catalog

pytestmark = pytest.mark.parametrize("opened", ["embedded", "remote"], indirect=True)


@pytest.fixture
def lake(client: OfLake, data: Path) -> Lake:
    """A table with an odd name, a view in a schema of its own, and a source."""
    (data / "rates.csv").write_text("currency,rate\nEUR,1.1\n")
    client.register("rates", data / "rates.csv")
    client.load('"Odd "" name"', client.execute("SELECT 1 AS b, 'x' AS \"A\""), "create")
    client.execute("CREATE SCHEMA sales")
    client.execute('CREATE VIEW sales.totals AS SELECT sum(b) AS total FROM "Odd "" name"')
    return client.lake


@pytest.fixture
def catalog(lake: Lake) -> Catalog:
    return lake.catalog


def test_tables_of_each_kind(catalog: Catalog) -> None:
    assert [tuple(row.values()) for row in catalog.tables().to_pylist()] == [
        ("main", 'Odd " name', 2, "table"),
        ("main", "rates", 2, "source"),
        ("sales", "totals", 1, "view"),
    ]


def test_columns_of_one_table_and_of_all(catalog: Catalog) -> None:
    assert catalog.columns('"ODD "" NAME"')["column_name"].to_pylist() == ["b", "A"]
    assert catalog.columns("lake.Sales.TOTALS")["data_type"].to_pylist() == ["HUGEINT"]
    assert catalog.columns("rates")["column_name"].to_pylist() == ["currency", "rate"]
    assert catalog.columns().num_rows == 5


def test_no_such_table(catalog: Catalog) -> None:
    with pytest.raises(errors.NotFound, match="nothing here"):
        catalog.columns('sales."nothing here"')
    with pytest.raises(errors.InvalidRequest):
        catalog.columns("a.b.c.d")


def test_sources(catalog: Catalog, data: Path) -> None:
    (source,) = catalog.sources().to_pylist()
    assert (source["table_name"], source["format"], source["location"]) == ("rates", "csv", str(data / "rates.csv"))


def test_tags_and_descriptions_are_every_clients(opened: Opened, catalog: Catalog) -> None:
    catalog.tag("column:rates.rate", "money")
    catalog.tag("rates", "public")
    catalog.describe("column:rates.rate", "of the central bank, at noon")
    other = opened.connect()
    said = "SELECT tags, description FROM neurolake.columns WHERE column_name = 'rate'"
    assert other.rows(said) == [(["money"], "of the central bank, at noon")]
    assert sorted(catalog.tags()["tag"].to_pylist()) == ["money", "public"]
    catalog.untag("rates", "public")
    catalog.describe("column:rates.rate", "")
    assert other.rows(said) == [(["money"], None)]
    other.close()
