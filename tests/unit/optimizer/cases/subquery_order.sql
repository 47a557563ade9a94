-- fires
SELECT count(*) FROM (SELECT a FROM days ORDER BY a) AS x;
SELECT count(*) FROM (SELECT a FROM days ) AS x;
SELECT s, min(a), max(b) AS m FROM (SELECT s, a, b FROM days WHERE a > 0 ORDER BY b DESC, a) GROUP BY s;
SELECT s, min(a), max(b) AS m FROM (SELECT s, a, b FROM days WHERE a > 0 ) GROUP BY s;
SELECT count(x.z) FROM (SELECT a AS z, b FROM days d ORDER BY d.b NULLS FIRST) AS x WHERE x.b > 0;
SELECT count(x.z) FROM (SELECT a AS z, b FROM days d ) AS x WHERE x.b > 0;
-- stays
SELECT count(*) FROM (SELECT a FROM days ORDER BY a LIMIT 3) AS x;
SELECT a FROM (SELECT a FROM days ORDER BY a) AS x;
SELECT first(a) FROM (SELECT a FROM days ORDER BY a) AS x;
SELECT list(a) FROM (SELECT a FROM days ORDER BY a) AS x;
SELECT sum(f) FROM (SELECT f FROM days ORDER BY f) AS x;
SELECT count(*) FROM (SELECT DISTINCT ON (s) s, a FROM days ORDER BY a) AS x;
SELECT count(*) FROM (SELECT a FROM days ORDER BY a + 1) AS x;
SELECT count(*) FROM (SELECT a + 1 AS q FROM days ORDER BY q) AS x;
SELECT first(n) FROM (SELECT s, count(*) AS n FROM (SELECT s FROM days ORDER BY a) GROUP BY s);
SELECT max(a, 3) FROM (SELECT a FROM days ORDER BY b);
SELECT count(*), row_number() OVER () FROM (SELECT a FROM days ORDER BY a) AS x;
