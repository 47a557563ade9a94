-- fires
SELECT a FROM days WHERE a = 1 OR a = 2 OR a = 2 OR 4 = a OR a = 5 OR a = 6 OR (a = 7 OR a = 8);
SELECT a FROM days WHERE (a IN (1, 2, 2, 4, 5, 6, 7, 8));
SELECT a FROM days WHERE NOT (s = 'a' OR s = 'b' OR s = 'c' OR s = 'd' OR s = 'e' OR s = 'f' OR s = 'g' OR s = 'it''s');
SELECT a FROM days WHERE NOT ((s IN ('a', 'b', 'c', 'd', 'e', 'f', 'g', 'it''s')));
-- stays
SELECT a FROM days WHERE a = 1 OR a = 2 OR a = 3;
SELECT a FROM days WHERE a = 1 OR a = 2 OR a = 3 OR a = 4 OR a = 5 OR a = 6 OR a = 7 OR b = 8;
SELECT a FROM days WHERE a = 1 OR a = 2 OR a = 3 OR a = 4 OR a = 5 OR a = 6 OR a = 7 OR a = 1.5;
SELECT a FROM days WHERE f = 1 OR f = 2 OR f = 3 OR f = 4 OR f = 5 OR f = 6 OR f = 7 OR f = 8;
SELECT a = 1 OR a = 2 OR a = 3 OR a = 4 OR a = 5 OR a = 6 OR a = 7 OR a = 8 FROM days;
