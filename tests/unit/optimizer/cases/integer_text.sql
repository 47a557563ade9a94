-- fires
SELECT id FROM keys WHERE id::VARCHAR = '123';
SELECT id FROM keys WHERE id = 123;
SELECT id FROM keys WHERE NOT (CAST(id AS TEXT) IN ('-5', '0', '10'));
SELECT id FROM keys WHERE NOT (id IN (-5, 0, 10));
SELECT id, tiny FROM keys AS k WHERE '100000' <> k.tiny::VARCHAR AND k.id::STRING = '15';
SELECT id, tiny FROM keys AS k WHERE k.tiny <> 100000 AND k.id = 15;
-- stays
SELECT id FROM keys WHERE id::VARCHAR = '0123';
SELECT id FROM keys WHERE id::VARCHAR = '+5';
SELECT id FROM keys WHERE id::VARCHAR = '-0';
SELECT id FROM keys WHERE id::VARCHAR < '5';
SELECT id FROM keys WHERE id::VARCHAR IN ('5', 'x');
SELECT f FROM keys WHERE f::VARCHAR = '5';
SELECT name FROM keys WHERE name::VARCHAR = '5';
SELECT id::VARCHAR = '5' FROM keys;
SELECT id FROM keys WHERE id::VARCHAR = '99999999999999999999';
