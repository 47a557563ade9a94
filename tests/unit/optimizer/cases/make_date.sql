-- fires
SELECT y, m FROM parts WHERE make_date(y, m, 1) = DATE '1995-03-01';
SELECT y, m FROM parts WHERE (make_date(y, m, 1) = DATE '1995-03-01' AND (y = 1995 AND m = 3 OR y < 1 OR y > 9999 OR m < 1 OR m > 12));
SELECT y, m FROM parts WHERE NOT make_date(y, 3, 1) > '1995-02-01';
SELECT y, m FROM parts WHERE NOT (make_date(y, 3, 1) > '1995-02-01' AND (y >= 1995 OR y < 1 OR y > 9999));
SELECT p.a FROM parts p WHERE make_date(p.y, p.m, 28) BETWEEN DATE '1995-03-01' AND DATE '1996-01-01';
SELECT p.a FROM parts p WHERE (make_date(p.y, p.m, 28) BETWEEN DATE '1995-03-01' AND DATE '1996-01-01' AND (p.y >= 1995 AND p.y <= 1996 OR p.y < 1 OR p.y > 9999 OR p.m < 1 OR p.m > 12));
-- stays
SELECT y, m FROM parts WHERE make_date(y, m, 1) IN (DATE '1995-03-01');
SELECT y, m FROM parts WHERE make_date(y, 1, 30) = DATE '1995-03-01';
SELECT y, m FROM parts WHERE make_date(1995, m, 1) = DATE '1995-03-01';
SELECT y, m FROM parts WHERE make_date(y + 1, m, 1) = DATE '1995-03-01';
SELECT y, m FROM parts WHERE make_date(y, m, 1) = current_date;
SELECT make_date(y, m, 1) = DATE '1995-03-01' FROM parts;
