-- fires
SELECT d FROM days WHERE date_diff('day', d, DATE '1995-03-31') < 30;
SELECT d FROM days WHERE (date_diff('day', d, DATE '1995-03-31') < 30 AND (d >= DATE '1995-03-01' OR d < DATE '0001-01-01' OR d > DATE '9999-12-31'));
SELECT d FROM days WHERE date_diff('day', DATE '1995-03-01', d) BETWEEN 0 AND 9;
SELECT d FROM days WHERE (date_diff('day', DATE '1995-03-01', d) BETWEEN 0 AND 9 AND (d >= DATE '1995-03-01' AND d < DATE '1995-03-11' OR d < DATE '0001-01-01' OR d > DATE '9999-12-31'));
SELECT t FROM days WHERE datediff('month', t, TIMESTAMP '1995-03-31 10:00:00') IN (0, 2);
SELECT t FROM days WHERE (datediff('month', t, TIMESTAMP '1995-03-31 10:00:00') IN (0, 2) AND (t >= TIMESTAMP '1995-01-01 00:00:00' AND t < TIMESTAMP '1995-02-01 00:00:00' OR t >= TIMESTAMP '1995-03-01 00:00:00' AND t < TIMESTAMP '1995-04-01 00:00:00' OR t < TIMESTAMP '0001-01-01 00:00:00' OR t > TIMESTAMP '9999-12-31 00:00:00'));
SELECT t FROM days WHERE NOT date_diff('hour', DATE '1995-03-01', t) <= -48;
SELECT t FROM days WHERE NOT (date_diff('hour', DATE '1995-03-01', t) <= -48 AND (t < TIMESTAMP '1995-02-27 02:00:00' OR t < TIMESTAMP '0001-01-01 00:00:00' OR t > TIMESTAMP '9999-12-31 00:00:00'));
SELECT d FROM days WHERE DATE '1995-03-31' - d < 30;
SELECT d FROM days WHERE (DATE '1995-03-31' - d < 30 AND (d >= DATE '1995-03-01' OR d < DATE '0001-01-01' OR d > DATE '9999-12-31'));
SELECT d FROM days WHERE date_diff('day', d, current_date) >= 11000;
SELECT d FROM days WHERE (date_diff('day', d, current_date) >= 11000 AND (d < (current_date - 10999) OR d < DATE '0001-01-01' OR d > DATE '9999-12-31'));
-- stays
SELECT d FROM days WHERE date_diff('week', d, DATE '1995-03-31') < 3;
SELECT d FROM days WHERE date_diff('day', d, t) < 30;
SELECT date_diff('day', d, DATE '1995-03-31') < 30 FROM days;
SELECT d FROM days WHERE date_diff('day', z, DATE '1995-03-31') < 30;
SELECT d FROM days WHERE date_diff('day', d, DATE '1995-03-31') < a;
SELECT d FROM days WHERE date_diff('year', d, DATE '1995-03-31') < 3000;
