"""Names of registered sources in a user's text: wherever a relation may stand, and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import neurolake
from neurolake import errors
from neurolake.sql.names import resolve
from neurolake.sql.text import Name

ORDERS = """
SELECT range AS id, (range * 37 % 101) / 4 AS amount, ['DE', 'FR', 'IT'][range % 3 + 1] AS country,
       DATE '2024-01-01' + (range * 5)::INT AS day, range % 7 AS customer_id,
       [range, range + 1] AS tags, {'k': range, 'l': [range]} AS info, MAP {'m': range} AS m
FROM range(40)
"""
CUSTOMERS = (
    "SELECT range AS id, 'name ' || range AS name, CASE WHEN range % 2 = 0 THEN 'DE' END AS country FROM range(7)"
)

# Statements that DuckDB answers over views of the same names; a lake must answer alike over its sources.
CONSTRUCTS = [
    # where a relation may stand
    "FROM orders",
    "FROM orders SELECT id",
    "SELECT * FROM orders",
    "SELECT * FROM (orders)",
    "SELECT * FROM (orders) AS o(a, b) ORDER BY a LIMIT 1",
    "SELECT o.* FROM orders o",
    "SELECT o.* FROM orders AS o",
    "SELECT * FROM o: orders",
    "SELECT orders.* FROM orders",
    "SELECT orders FROM orders",
    "SELECT o FROM orders o",
    "SELECT main.orders.id FROM main.orders",
    "SELECT orders.info.k FROM orders",
    "SELECT orders.id, o.id FROM orders, orders AS o WHERE o.id = orders.id",
    "SELECT a, b FROM orders AS t(a, b)",
    "SELECT * EXCLUDE (tags, info, m) FROM orders",
    "SELECT * REPLACE (id * 2 AS id) FROM orders",
    "SELECT * RENAME (id AS n) FROM orders",
    "SELECT orders.* EXCLUDE (tags) FROM orders",
    "SELECT COLUMNS('i.*') FROM orders",
    "SELECT COLUMNS(lambda c: c LIKE 'i%') FROM orders",
    "SELECT max(COLUMNS(['id'])) FROM orders",
    "SELECT COLUMNS(* EXCLUDE (tags, info, m)) FROM orders",
    "SELECT * LIKE 'c%' FROM orders",
    # joins
    "SELECT * FROM orders, customers WHERE orders.customer_id = customers.id",
    "SELECT * FROM orders JOIN customers ON orders.customer_id = customers.id",
    "SELECT * FROM orders JOIN customers USING (id)",
    "SELECT * FROM orders INNER JOIN customers USING (id, country)",
    "SELECT * FROM orders LEFT JOIN customers USING (id)",
    "SELECT * FROM orders RIGHT OUTER JOIN customers USING (id)",
    "SELECT * FROM orders FULL JOIN customers USING (id)",
    "SELECT * FROM orders SEMI JOIN customers USING (id)",
    "SELECT * FROM orders ANTI JOIN customers USING (id)",
    "SELECT count(*) FROM orders CROSS JOIN customers",
    "SELECT * FROM orders NATURAL JOIN customers",
    "SELECT * FROM orders POSITIONAL JOIN customers",
    "SELECT o.id, c.id FROM orders o ASOF JOIN customers c ON o.id >= c.id",
    "SELECT o.id, c.id FROM orders o ASOF LEFT JOIN customers c ON o.country = c.country AND o.id >= c.id",
    "SELECT * FROM (orders JOIN customers USING (id))",
    "SELECT * FROM orders JOIN (customers JOIN orders AS p ON p.id = customers.id) ON orders.id = p.id",
    "SELECT * FROM orders o, LATERAL (SELECT max(id) FROM customers WHERE id <= o.id) t(m)",
    "SELECT * FROM orders o, (SELECT o.id + 1 AS n) t",
    "SELECT o.id, t FROM orders o, unnest(o.tags) AS u(t)",
    "SELECT id, unnest(tags) FROM orders",
    "SELECT id, unnest(info, recursive := true) FROM orders",
    "SELECT * FROM orders o JOIN orders p ON o.id = p.id JOIN orders q ON q.id = p.id",
    # CTEs
    "WITH x AS (FROM orders) SELECT * FROM x",
    "WITH orders AS (SELECT 1 AS a) SELECT * FROM orders",
    "WITH orders AS (SELECT id FROM orders WHERE id < 5) SELECT * FROM orders",
    "WITH orders AS MATERIALIZED (SELECT id FROM orders) SELECT count(*) FROM orders",
    "WITH orders AS NOT MATERIALIZED (SELECT id FROM orders) SELECT count(*) FROM orders",
    "WITH a AS (FROM orders), orders AS (SELECT id FROM a LIMIT 3) SELECT count(*) FROM orders",
    "WITH orders(a) AS (SELECT 5), b AS (SELECT a FROM orders) SELECT * FROM b",
    "WITH x AS (WITH orders AS (SELECT 1 AS a) FROM orders) SELECT * FROM x, (SELECT count(*) FROM orders)",
    "SELECT * FROM (WITH orders AS (SELECT 1 AS a) FROM orders), (SELECT count(*) AS n FROM orders)",
    "WITH RECURSIVE t(n) AS (SELECT min(id) FROM orders UNION ALL SELECT n + 1 FROM t WHERE n < 5) SELECT * FROM t",
    "WITH RECURSIVE orders(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM orders WHERE n < 5) SELECT * FROM orders",
    "WITH x AS (SELECT 1 AS a) SELECT * FROM orders, x ORDER BY id LIMIT 1",
    "WITH Orders AS (SELECT 2 AS a) SELECT * FROM ORDERS",
    'WITH "orders" AS (SELECT 3 AS a) SELECT * FROM orders',
    "WITH orders AS (SELECT 1 AS id) SELECT main.orders.id FROM main.orders ORDER BY id LIMIT 2",
    "WITH x AS (FROM orders) FROM x SELECT count(*)",
    "WITH b AS (SELECT 1 AS z), a AS (FROM b) FROM a",
    # subqueries
    "SELECT (SELECT count(*) FROM orders)",
    "SELECT id FROM orders WHERE id IN (SELECT id FROM customers)",
    "SELECT id FROM orders WHERE id NOT IN (FROM customers SELECT id)",
    "SELECT id FROM orders o WHERE EXISTS (FROM customers c WHERE c.id = o.id)",
    "SELECT id FROM orders WHERE id >= ALL (SELECT id FROM orders)",
    "SELECT id FROM orders WHERE id = ANY (SELECT id FROM customers)",
    "SELECT id, (SELECT name FROM customers WHERE customers.id = orders.customer_id) FROM orders",
    "SELECT id, (SELECT name FROM customers c WHERE c.id = main.orders.customer_id) AS n FROM main.orders",
    "SELECT ARRAY(SELECT id FROM customers ORDER BY id)",
    "SELECT * FROM (FROM orders SELECT id) t WHERE t.id < 3",
    "SELECT * FROM (VALUES (1)) orders(id)",
    "SELECT orders.id FROM (SELECT 1 AS id) AS orders",
    "SELECT (FROM orders SELECT max(id)) AS m",
    # sets
    "FROM orders UNION ALL FROM orders",
    "SELECT id FROM orders UNION SELECT id FROM customers",
    "SELECT id FROM orders INTERSECT SELECT id FROM customers",
    "SELECT id FROM orders EXCEPT ALL SELECT id FROM customers",
    "SELECT * FROM orders UNION ALL BY NAME SELECT * FROM customers",
    "(FROM orders LIMIT 1) UNION ALL (FROM orders LIMIT 1)",
    # clauses
    "SELECT country, sum(amount) FROM orders GROUP BY country",
    "SELECT country, sum(amount) FROM orders GROUP BY ALL",
    "SELECT country, year(day), count(*) FROM orders GROUP BY ROLLUP (country, year(day))",
    "SELECT country, count(*) FROM orders GROUP BY GROUPING SETS ((country), ())",
    "SELECT country, count(*) FROM orders GROUP BY CUBE (country)",
    "SELECT country, count(*) AS n FROM orders GROUP BY 1 HAVING n > 13",
    "SELECT DISTINCT country FROM orders",
    "SELECT DISTINCT ON (country) country, id FROM orders ORDER BY country, id",
    "SELECT id FROM orders ORDER BY ALL DESC NULLS LAST LIMIT 3 OFFSET 2",
    "SELECT id FROM orders ORDER BY id LIMIT 10%",
    "SELECT id FROM orders QUALIFY row_number() OVER (PARTITION BY country ORDER BY id) = 1",
    "SELECT id, sum(amount) OVER w FROM orders WINDOW w AS (PARTITION BY country ORDER BY id)",
    "SELECT id, lag(id) OVER (ORDER BY id ROWS BETWEEN 1 PRECEDING AND CURRENT ROW EXCLUDE TIES) FROM orders",
    "SELECT count(*) FILTER (WHERE country = 'DE') FROM orders",
    "SELECT list(id ORDER BY id DESC) FROM orders",
    "SELECT string_agg(country, ',' ORDER BY id) FROM orders",
    "SELECT quantile_cont(amount, [0.25, 0.5]) FROM orders",
    "SELECT arg_max(id, amount), first(id ORDER BY id) FROM orders",
    "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY amount) FROM orders",
    "SELECT id FROM orders WHERE day BETWEEN DATE '2024-02-01' AND '2024-03-01'::DATE",
    "SELECT id FROM orders WHERE day > TIMESTAMP '2024-02-01' - INTERVAL 1 MONTH",
    "SELECT count(*) FROM orders TABLESAMPLE reservoir(10 ROWS)",
    "SELECT count(*) FROM orders USING SAMPLE 10 ROWS",
    "SELECT count(*) FROM orders TABLESAMPLE 100%",
    "SELECT count(*) FROM orders TABLESAMPLE SYSTEM (100) REPEATABLE (42)",
    # expressions
    "SELECT list_transform(tags, lambda x: x + 1) FROM orders",
    "SELECT [x + 1 FOR x IN tags IF x > 2] FROM orders",
    "SELECT tags[1], tags[-1], tags[1:2], info.k, info['k'], m['m'] FROM orders",
    "SELECT {'a': id, 'b': country} FROM orders",
    "SELECT struct_pack(a := id) FROM orders",
    "SELECT CASE country WHEN 'DE' THEN 1 ELSE 0 END FROM orders",
    "SELECT id::VARCHAR || '-' || country FROM orders",
    "SELECT CAST(id AS DECIMAL(9, 2)), TRY_CAST(country AS INT) FROM orders",
    "SELECT country.lower().upper() FROM orders",
    "SELECT id // 3, id % 3, id ** 2, -id FROM orders",
    "SELECT country SIMILAR TO 'D.*', country ILIKE 'd%', country ~ '^D', country GLOB 'D*' FROM orders",
    "SELECT country COLLATE NOCASE = 'de' FROM orders",
    "SELECT day + 3, day - DATE '2024-01-01', day + INTERVAL '1 day' FROM orders",
    "SELECT extract(year FROM day), date_part('month', day), day.year() FROM orders",
    "SELECT id IS DISTINCT FROM 3, id IN (1, 2), id NOT BETWEEN 1 AND 3 FROM orders",
    "SELECT 1_000 + id, 1e3 + id, .5 + id FROM orders",
    "SELECT 'it''s', E'\\n', $$orders$$, $tag$from orders$tag$, 'FROM orders' FROM orders LIMIT 1",
    "SELECT coalesce(NULL, id), nullif(id, 3), ifnull(NULL, 1), greatest(id, 3) FROM orders",
    "SELECT id AS \"orders\", id AS orders2 FROM orders",
    "SELECT id orders FROM orders",
    "SELECT orders.id AS id, orders.tags[1] AS t, orders.info.k AS k FROM orders ORDER BY orders.id",
    "SELECT main.orders.info.k, main.orders.tags[1] AS t FROM main.orders WHERE main.orders.id = 3",
    "SELECT lake.main.orders.id FROM lake.main.orders",
    "SELECT \"main\".\"orders\".\"id\" FROM \"main\".\"orders\"",
    "SELECT id /* FROM orders */ FROM orders -- FROM customers",
    "SELECT id FROM /* here */ orders /* there */ WHERE /* x */ id = 1",
    "SELECT id\nFROM\n\torders\nWHERE\tid = 1",
    "SELECT id FROM ORDERS o WHERE O.ID = 1",
    "SELECT id FROM \"ORDERS\" WHERE id = 1",
    "SELECT id FROM main . orders WHERE id = 1",
    # pivots and friends
    "PIVOT orders ON country USING sum(amount)",
    "PIVOT orders ON country USING sum(amount) GROUP BY customer_id",
    "PIVOT orders ON country IN ('DE', 'FR') USING count(*) AS n GROUP BY customer_id",
    "PIVOT orders ON country USING sum(amount), max(id) GROUP BY customer_id",
    "PIVOT orders ON country USING count(*) GROUP BY customer_id ORDER BY customer_id LIMIT 3",
    "PIVOT (SELECT country, id FROM orders) ON country USING max(id)",
    "SELECT * FROM (PIVOT orders ON country USING count(*) GROUP BY customer_id) p WHERE p.DE > 1",
    "WITH p AS (PIVOT orders ON country USING count(*) GROUP BY customer_id) SELECT * FROM p",
    "SELECT * FROM orders PIVOT (sum(amount) FOR country IN ('DE', 'FR') GROUP BY customer_id)",
    "SELECT * FROM orders AS o PIVOT (sum(amount) FOR country IN ('DE', 'FR') GROUP BY customer_id) AS p",
    "UNPIVOT (SELECT id, customer_id FROM orders) ON id, customer_id INTO NAME k VALUE v",
    "UNPIVOT customers ON id INTO NAME k VALUE v",
    "SELECT * FROM (SELECT id, customer_id FROM orders) UNPIVOT (v FOR k IN (id, customer_id))",
    "SELECT * FROM customers UNPIVOT (v FOR k IN (id))",
    "UNPIVOT customers ON COLUMNS(* EXCLUDE (name, country)) INTO NAME k VALUE v ORDER BY v",
    "DESCRIBE orders",
    "DESCRIBE main.orders",
    "DESCRIBE SELECT id FROM orders",
    "DESCRIBE TABLE orders",
    "SHOW orders",
    "SUMMARIZE orders",
    "SUMMARIZE SELECT id FROM orders",
    "SELECT column_name FROM (DESCRIBE orders)",
    "SELECT column_name, approx_unique FROM (SUMMARIZE orders)",
    "FROM (SHOW orders)",
    # functions that name relations
    "SELECT * FROM query('SELECT 1 AS x')",
    "SELECT * FROM query_table('customers')",
    "SELECT * FROM query_table(['customers', 'customers'])",
    "SELECT * FROM query('FROM customers')",
    # odd but legal
    "FROM orders o SELECT o.id WHERE o.id < 3",
    "FROM orders WHERE id < 3",
    "FROM orders SELECT country, count(*) GROUP BY ALL",
    "FROM orders, customers SELECT count(*)",
    "SELECT count() FROM orders",
    "SELECT a: id, b: country FROM orders",
    "SELECT id FROM orders WHERE (id, country) IN ((1, 'FR'), (2, 'IT'))",
    "SELECT (id, country) FROM orders",
    "SELECT row(id, country) FROM orders",
    "SELECT id FROM orders WHERE starts_with(country, 'D') AND NOT id IS NULL",
    "SELECT * FROM orders WHERE id = (SELECT 3) OR id = $$4$$::INT",
    "SELECT * FROM generate_series(1, 3) g(orders), orders WHERE orders.id = g.orders",
    "SELECT * FROM (SELECT 1) AS main, main.orders WHERE id = 1",
    "SELECT unnest([1, 2]) AS orders FROM orders LIMIT 2",
    "VALUES ((SELECT max(id) FROM orders)), (1)",
    "SELECT max(id) FROM orders HAVING count(*) > 1",
    "SELECT id FROM orders ORDER BY (SELECT max(id) FROM customers), id",
    "SELECT id FROM orders LIMIT (SELECT count(*) FROM customers)",
    "SELECT (SELECT id FROM orders o2 WHERE o2.id = o1.id) FROM orders o1",
    "SELECT * FROM orders o1 WHERE amount > (SELECT avg(amount) FROM orders o2 WHERE o2.country = o1.country)",
    "SELECT try_cast('x' AS INT), id FROM orders WHERE id IN (SELECT unnest([1, 2]))",
    "SELECT id FROM orders WHERE tags @> [3]",
    "SELECT list_sort(list(DISTINCT country)) FROM orders",
    "SELECT histogram(country) FROM orders",
    "SELECT approx_count_distinct(id) FROM orders",
    "SELECT id FROM orders WHERE day::DATE = '2024-01-06'",
    "SELECT strftime(day, '%Y-%m') AS month, count(*) FROM orders GROUP BY month ORDER BY month",
    "SELECT make_date(2024, 1, id::INT + 1) FROM customers",
    "SELECT country, list_aggregate(list(amount), 'sum') FROM orders GROUP BY country",
    "SELECT * FROM orders WHERE id IN (1, 2, 3) AND country NOT IN (SELECT country FROM customers WHERE id > 99)",
    "SELECT o.id, o.rowid FROM (SELECT id, row_number() OVER () AS rowid FROM orders) o",
    "SELECT id FROM orders WHERE true",
    "SELECT count(*) FROM orders GROUP BY ()",
    "SELECT grouping(country), country FROM orders GROUP BY ROLLUP (country)",
    "SELECT any_value(country), mode(country), median(amount) FROM orders WHERE id = 1",
    "SELECT id FROM orders WHERE country = 'DE' COLLATE NOCASE",
    "SELECT 1 AS x, * FROM orders",
    "SELECT *, id AS again FROM orders",
    "SELECT TRY(id / 0) FROM orders",
    "SELECT [id]::INT[] FROM orders",
    "SELECT id FROM orders ORDER BY id LIMIT 3",
]  # fmt: skip


class Pair:
    """The same rows as sources of a lake and as views of a plain DuckDB."""

    def __init__(self, lake: neurolake.Lake, plain: duckdb.DuckDBPyConnection) -> None:
        self.lake = lake
        self.plain = plain

    def answers(self, sql: str) -> tuple[pa.Table, pa.Table]:
        """What the two answer."""
        return self.lake.sql(sql).arrow(), self.plain.sql(sql.replace("lake.main.", "main.")).to_arrow_table()


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("names")
    plain = duckdb.connect(":memory:")
    with neurolake.connect(":memory:") as lake:
        for name, rows in (("orders", ORDERS), ("customers", CUSTOMERS)):
            file = folder / f"{name}.parquet"
            pq.write_table(plain.sql(rows).to_arrow_table(), file)
            plain.sql(f"CREATE VIEW {name} AS FROM read_parquet('{file}')")
            lake.register(name, file)
        yield Pair(lake, plain)
    plain.close()


@pytest.mark.parametrize("sql", CONSTRUCTS)
def test_a_source_reads_as_a_view_of_that_name_does(pair: Pair, sql: str) -> None:
    ours, theirs = pair.answers(sql)
    assert ours.schema.names == theirs.schema.names
    assert ours.schema.types == theirs.schema.types
    assert sorted(map(repr, ours.to_pylist())) == sorted(map(repr, theirs.to_pylist()))


def test_a_source_in_a_statement_that_no_parser_of_ours_reads_takes_part_in_a_transaction(pair: Pair) -> None:
    with pair.lake.transaction():
        sql = "PIVOT orders ON country USING count(*) GROUP BY customer_id ORDER BY customer_id"
        assert len(pair.lake.sql(sql).fetchall()) == 7
        assert len(pair.lake.sql("SELECT * FROM query_table('orders')").fetchall()) == 40
    assert pair.lake.sql("SELECT count(*) FROM duckdb_views() WHERE temporary AND NOT internal").fetchall() == [(0,)]


def test_a_column_without_a_name_does_not_show_where_a_source_lies(pair: Pair) -> None:
    (name,) = pair.lake.sql("SELECT (SELECT max(id) FROM lake.main.orders)").columns
    assert "parquet" not in name


class TestResolve:
    """The text alone: which names are replaced, with every other character left in its place."""

    @staticmethod
    def lookup(name: Name) -> str | None:
        return "f()" if name.fold() in {Name("main", "orders"), Name("sales", "my orders")} else None

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("select * from orders", 'select * from f() AS "orders"'),
            ("select * from orders o", "select * from f() o"),
            ("select * from ORDERS", 'select * from f() AS "ORDERS"'),
            ('select * from "orders"', 'select * from f() AS "orders"'),
            ("select * from lake . main . orders as x", "select * from f() as x"),
            ('select * from sales."my orders"', 'select * from f() AS "my orders"'),
            ("select * from \"sales\".\"MY ORDERS\"", 'select * from f() AS "MY ORDERS"'),
            ("select 'orders', \"orders\" from t", "select 'orders', \"orders\" from t"),
            ("select 1 -- from orders", "select 1 -- from orders"),
            ("select /* from orders */ 1", "select /* from orders */ 1"),
            ("select $$from orders$$", "select $$from orders$$"),
            ("select * from orders()", "select * from orders()"),
            ("select orders(1)", "select orders(1)"),
            ("select * from other.main.orders", "select * from other.main.orders"),
            ("select * from other.orders", "select * from other.orders"),
            ("select * from my_orders, orders_2", "select * from my_orders, orders_2"),
            ("select ' it''s ' from orders -- '", "select ' it''s ' from f() AS \"orders\" -- '"),
            ("select 'é🦆', x from orders", "select 'é🦆', x from f() AS \"orders\""),
            ("select * from t as orders", "select * from t as orders"),
            ("with orders as (select 1) select * from orders", "with orders as (select 1) select * from orders"),
            ("with orders as (from orders) from orders", 'with orders as (from f() AS "orders") from orders'),
            ("select main.orders.a from main.orders", 'select "orders".a from f() AS "orders"'),
            ("select lake.main.orders.a.b from main.orders", 'select "orders".a.b from f() AS "orders"'),
            ("describe orders", "describe SELECT * FROM f()"),
            ("copy orders to 'x.csv'", "copy (SELECT * FROM f()) to 'x.csv'"),
        ],
    )  # fmt: skip
    def test_only_the_names_change(self, text: str, expected: str) -> None:
        assert resolve(text, self.lookup).text == expected

    def test_the_schema_of_a_name_without_one(self) -> None:
        assert resolve('from "my orders"', self.lookup, "sales").found == (Name("sales", "my orders"),)
        assert resolve("from orders", self.lookup, "sales").found == ()

    def test_hidden_names_stay(self) -> None:
        assert resolve("from orders", self.lookup, hidden=frozenset({"orders"})).found == ()
        assert resolve("from main.orders", self.lookup, hidden=frozenset({"orders"})).found == (Name("main", "orders"),)

    @pytest.mark.parametrize(
        "text", ["insert into orders values (1)", "delete from main.orders", "drop table orders", "truncate orders"]
    )
    def test_a_write_is_refused(self, text: str) -> None:
        with pytest.raises(errors.NotSupported) as caught:
            resolve(text, self.lookup)
        assert caught.value.code == "read_only_relation"

    def test_deep_nesting_does_not_break_it(self) -> None:
        text = "select " + "(" * 3000 + "1" + ")" * 3000 + " from orders"
        assert resolve(text, self.lookup).text
