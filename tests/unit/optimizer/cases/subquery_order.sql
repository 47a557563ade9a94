-- fires
SELECT count(*) FROM (SELECT a FROM days ORDER BY a) AS x;
SELECT count(*) FROM (SELECT a FROM days ) AS x;
SELECT s, min(a), max(b) AS m FROM (SELECT s, a, b FROM days WHERE a > 0 ORDER BY b DESC, a) GROUP BY s;
SELECT s, min(a), max(b) AS m FROM (SELECT s, a, b FROM days WHERE a > 0 ) GROUP BY s;
-- stays
SELECT count(*) FROM (SELECT a FROM days ORDER BY a LIMIT 3) AS x;
SELECT a FROM (SELECT a FROM days ORDER BY a) AS x;
SELECT first(a) FROM (SELECT a FROM days ORDER BY a) AS x;
SELECT list(a) FROM (SELECT a FROM days ORDER BY a) AS x;
SELECT sum(f) FROM (SELECT f FROM days ORDER BY f) AS x;
SELECT count(*) FROM (SELECT DISTINCT ON (s) s, a FROM days ORDER BY a) AS x;
