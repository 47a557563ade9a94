-- fires
SELECT DISTINCT s, b, count(*) FROM days GROUP BY s, b;
SELECT s, b, count(*) FROM days GROUP BY s, b;
SELECT DISTINCT x.s AS t, sum(x.a) + 1 FROM days x GROUP BY x.s;
SELECT x.s AS t, sum(x.a) + 1 FROM days x GROUP BY x.s;
SELECT count(*) FROM (SELECT DISTINCT (a), b, f FROM days GROUP BY b, a, f);
SELECT count(*) FROM (SELECT (a), b, f FROM days GROUP BY b, a, f);
-- stays
SELECT DISTINCT s, count(*) FROM days GROUP BY s, b;
SELECT DISTINCT s, b, count(*) FROM days GROUP BY ROLLUP (s, b);
SELECT DISTINCT ON (s) s, count(*) FROM days GROUP BY s;
SELECT DISTINCT a, count(*) FROM days GROUP BY a LIMIT 3;
SELECT DISTINCT s, unnest(list(b)) FROM days GROUP BY s;
SELECT DISTINCT b AS a, a AS b, count(*) FROM days GROUP BY a, b;
SELECT DISTINCT s FROM days GROUP BY s || 'x', s;
SELECT DISTINCT s, count(*) FROM days GROUP BY ALL;
