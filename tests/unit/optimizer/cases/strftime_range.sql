-- fires
SELECT count(*), min(d) FROM days WHERE strftime(d, '%Y-%m') = '1995-03';
SELECT count(*), min(d) FROM days WHERE (d >= DATE '1995-03-01' AND d < DATE '1995-04-01');
SELECT d FROM days AS x WHERE a > 1 AND strftime(x.d, '%Y') IN ('1995', '1996');
SELECT d FROM days AS x WHERE a > 1 AND (x.d >= DATE '1995-01-01' AND x.d < DATE '1996-01-01' OR x.d >= DATE '1996-01-01' AND x.d < DATE '1997-01-01');
-- stays
SELECT d FROM days WHERE strftime(z, '%Y') = '1995';
SELECT strftime(d, '%Y') = '1995' FROM days;
SELECT d FROM days WHERE strftime(d, '%H') = '03';
SELECT d FROM days WHERE strftime(d, '%Y-%m') = '1995-13';
SELECT d FROM days WHERE strftime(d, '%m-%Y') < '03-1995';
