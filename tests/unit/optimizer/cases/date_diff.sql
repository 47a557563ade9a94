-- fires
SELECT d FROM days WHERE date_diff('day', d, DATE '1995-03-31') < 30;
SELECT d FROM days WHERE (date_diff('day', d, DATE '1995-03-31') < 30 AND (d >= DATE '1995-03-01' OR d < DATE '0001-01-01' OR d > DATE '9999-12-31'));
SELECT d FROM days WHERE date_diff('day', DATE '1995-03-01', d) BETWEEN 0 AND 9;
SELECT d FROM days WHERE (date_diff('day', DATE '1995-03-01', d) BETWEEN 0 AND 9 AND (d >= DATE '1995-03-01' AND d < DATE '1995-03-11' OR d < DATE '0001-01-01' OR d > DATE '9999-12-31'));
-- stays
SELECT d FROM days WHERE date_diff('month', d, DATE '1995-03-31') < 3;
SELECT d FROM days WHERE date_diff('day', d, t) < 30;
SELECT date_diff('day', d, DATE '1995-03-31') < 30 FROM days;
