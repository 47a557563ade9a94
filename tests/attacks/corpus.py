"""The attack corpus: statements of a governed user who wants what the role may not see, and others that must work.

They are about the lake that `lakes.py` builds. Placeholders `{c}` stand for each hidden column in turn.
"""

from __future__ import annotations

HIDDEN_COLUMNS = ("name", "email", "phone", "salary", "born", "zip", "ip", "note", "score", "code", "mood", "labels",
                  "home", "ssn", "dna")  # fmt: skip
"""Columns of `people` that are masked, not granted, or blocked."""

MASKED_OR_NOT = ("salary", "ssn", "note", "email")
"""One of each kind, for the statements that are tried with several columns."""

EACH_COLUMN = (
    "SELECT {c} FROM people",
    "SELECT p.{c} FROM people AS p",
    "SELECT lake.main.people.{c} FROM lake.main.people",
    "SELECT max({c}) FROM people",
    "SELECT list({c} ORDER BY {c}) FROM people",
    "SELECT id FROM people ORDER BY {c}, id",
    "SELECT {c}, count(*) FROM people GROUP BY {c} ORDER BY ALL",
    "SELECT hash({c}) FROM people ORDER BY 1",
)

SEVERAL_COLUMNS = (
    "SELECT count(*) FROM people WHERE {c}::VARCHAR LIKE '%ALPHA%'",
    "SELECT count(*) FROM people WHERE {c}::VARCHAR < 'M'",
    "SELECT id FROM people WHERE length({c}::VARCHAR) > 9",
    "SELECT CASE WHEN {c}::VARCHAR LIKE '%A%' THEN 1 ELSE error('no') END FROM people",
    "SELECT 1 / (CASE WHEN {c}::VARCHAR LIKE '%ALPHA%' THEN 0 ELSE 1 END) FROM people",
    "SELECT CAST({c}::VARCHAR AS INTEGER) FROM people",
    "SELECT sum(id) FILTER ({c}::VARCHAR LIKE '%ALPHA%') FROM people",
    "SELECT id, row_number() OVER (ORDER BY {c}, id) FROM people ORDER BY 1",
    "SELECT a.id, b.id FROM people a JOIN people b ON a.{c} > b.{c} ORDER BY ALL",
    "SELECT id FROM orders o WHERE EXISTS (SELECT 1 FROM people p WHERE p.{c}::VARCHAR LIKE '%ALPHA%') ORDER BY 1",
    "SELECT (SELECT max({c}) FROM people)",
    "WITH x AS (SELECT {c} AS y FROM people) SELECT y FROM x",
    "WITH x AS MATERIALIZED (SELECT * FROM people) SELECT {c} FROM x",
    "SELECT y FROM (SELECT {c} FROM people) t(y)",
    "SELECT t.y FROM orders o, LATERAL (SELECT {c} AS y FROM people p WHERE p.id = o.person) t ORDER BY ALL",
    "SELECT COLUMNS('{c}') FROM people",
    "SELECT * REPLACE (upper({c}::VARCHAR) AS id) FROM people",
    "SELECT string_agg({c}::VARCHAR, ',' ORDER BY id) FROM people",
    "SELECT histogram({c}::VARCHAR) FROM people",
    "SELECT arg_max(id, {c}) FROM people",
    "SELECT approx_count_distinct({c}) FROM people",
    "SELECT DISTINCT {c} FROM people ORDER BY 1",
    "SELECT {c} FROM people UNION ALL SELECT {c} FROM people ORDER BY 1",
    "SELECT {c} FROM people EXCEPT SELECT NULL",
    "SELECT id FROM people QUALIFY row_number() OVER (PARTITION BY {c} ORDER BY id) = 1 ORDER BY 1",
    "SELECT count(*) FROM people GROUP BY {c} HAVING max({c}) IS NOT NULL ORDER BY 1",
    "SELECT people.{c} FROM people WHERE {c} = ANY (SELECT {c} FROM people)",
    "SELECT TRY({c}::VARCHAR::DATE) FROM people",
    "SELECT {c}.lower() FROM people",
    "SELECT md5({c}::VARCHAR) FROM people ORDER BY 1",
    "SELECT struct_pack(x := {c}) FROM people",
    "SELECT [{c}] FROM people",
    "SELECT lag({c}) OVER (ORDER BY id) FROM people",
    "SELECT {c} FROM people TABLESAMPLE 100%",
    "SELECT min({c}) OVER () FROM people LIMIT 1",
)

WHOLE_ROWS = """
SELECT * FROM people ORDER BY id
FROM people
TABLE people
SELECT people FROM people
SELECT p FROM people p
SELECT people::VARCHAR FROM people
SELECT to_json(people) FROM people
SELECT row_to_json(p) FROM people p
SELECT p.* FROM people p
SELECT * EXCLUDE (id) FROM people
SELECT * LIKE '%s%' FROM people
SELECT COLUMNS(*) FROM people
SELECT COLUMNS(c -> c LIKE 's%') FROM people
SELECT min(COLUMNS(*)) FROM people
SELECT unnest(p) FROM people p
SELECT UNPACK(COLUMNS(*)) FROM people
SELECT hash(p) FROM people p ORDER BY 1
SELECT list(p ORDER BY p.id) FROM people p
SELECT first(p ORDER BY p.id) FROM people p
SELECT max(p) FROM people p
SELECT count(DISTINCT p) FROM people p
SELECT struct_values(p) FROM people p
SELECT struct_keys(p) FROM people p LIMIT 1
SELECT struct_extract(p, 'ssn') FROM people p
SELECT p['ssn'] FROM people p
SELECT (p).ssn FROM people p
SELECT map_from_entries([('k', p)]) FROM people p
SELECT json_extract(to_json(p), '$.ssn') FROM people p
SELECT * FROM people UNION ALL BY NAME SELECT * FROM people ORDER BY id
SELECT * FROM people NATURAL JOIN people ORDER BY id
SELECT * FROM people p JOIN people q USING (id) ORDER BY p.id
SELECT * FROM people p JOIN people q USING (ssn)
SELECT * FROM people p SEMI JOIN orders o ON o.person = p.id ORDER BY p.id
SELECT * FROM people p ASOF JOIN people q ON p.id >= q.id ORDER BY p.id
SELECT * FROM people p POSITIONAL JOIN people q
SELECT * FROM orders o LEFT JOIN people p ON p.id = o.person ORDER BY o.id
SELECT * FROM orders o RIGHT JOIN people p ON p.id = o.person ORDER BY ALL
SELECT * FROM people p FULL JOIN people q ON p.id = q.id + 1 ORDER BY ALL
SELECT * FROM people WHERE region = 'south'
SELECT count(*) FROM people
SELECT count(*) FROM people WHERE region <> 'north'
SELECT region, count(*) FROM people GROUP BY region ORDER BY 1
SELECT id FROM people WHERE CAST(region AS INTEGER) = 1
SELECT id FROM people WHERE 1 / (id - 11) > 0
SELECT id FROM people WHERE CAST(id AS UTINYINT) > 250
SELECT sum(1 / (id - 13)) FROM people
SELECT max(id) FROM people
SELECT id FROM people ORDER BY id DESC LIMIT 1
SELECT id FROM people WHERE error(region) IS NULL
SELECT CAST(error(region) AS INTEGER) FROM people
SELECT * FROM people p, (SELECT p.ssn) q
SELECT * FROM (PIVOT people ON region IN ('north', 'south') USING count(*), max(salary))
SELECT * FROM people PIVOT (max(salary) FOR region IN ('north', 'south') GROUP BY id) ORDER BY id
PIVOT people ON region USING max(salary)
PIVOT people ON region IN ('south') USING max(salary)
PIVOT people ON salary USING count(*) GROUP BY region
PIVOT people ON email USING count(*) GROUP BY region
PIVOT people ON ssn USING count(*)
PIVOT people ON note, zip USING count(*) GROUP BY region
PIVOT people ON mood USING count(*) GROUP BY region
PIVOT people ON people::VARCHAR USING count(*) GROUP BY region
PIVOT people ON region USING max(ssn)
PIVOT people ON region USING first(note ORDER BY id) GROUP BY id
PIVOT secrets ON s USING count(*)
PIVOT (SELECT * FROM secrets) ON s USING count(*)
PIVOT (SELECT p.id, s FROM people p, secrets) ON s USING count(*)
PIVOT people ON leak() USING count(*) GROUP BY region
PIVOT people ON (SELECT max(s) FROM secrets) USING count(*)
PIVOT people ON region || (SELECT max(s) FROM secrets) USING count(*) GROUP BY region
PIVOT people ON region) FROM secrets -- USING count(*)
PIVOT people ON 1) AS VARCHAR), s FROM secrets -- USING count(*)
PIVOT orders UNION ALL SELECT * FROM secrets ON person USING count(*)
PIVOT read_csv('/etc/passwd') ON column0 USING count(*)
PIVOT duckdb_tables() ON table_name USING count(*)
PIVOT orders ON getenv('HOME') USING count(*) GROUP BY id
PIVOT orders ON CAST('x' || id AS INTEGER) USING count(*) GROUP BY id
PIVOT people ON 1 / (id - 11) USING count(*) GROUP BY region
PIVOT neurolake.procedures ON privilege USING count(*)
EXPLAIN PIVOT people ON salary USING count(*)
SELECT * FROM people UNPIVOT (v FOR n IN (salary, id)) ORDER BY ALL
UNPIVOT people ON COLUMNS(* EXCLUDE (labels, home, born, score, salary, id)) INTO NAME n VALUE v
WITH RECURSIVE r AS (SELECT id, salary FROM people UNION SELECT id + 99, salary FROM r WHERE id < 50) FROM r ORDER BY 1
WITH people AS (SELECT * FROM people) SELECT * FROM people ORDER BY id
WITH people AS (SELECT 1 AS one) SELECT * FROM lake.main.people ORDER BY id
WITH people AS (SELECT 1 AS one) SELECT * FROM main.people ORDER BY id
WITH a AS (SELECT * FROM b), b AS (SELECT * FROM secrets) SELECT * FROM a
WITH secrets AS (SELECT 1) SELECT * FROM (WITH x AS (SELECT * FROM main.secrets) SELECT * FROM x)
SELECT * FROM (WITH secrets AS (SELECT 1) SELECT 2) t, secrets
SELECT (WITH secrets AS (SELECT 1) SELECT 2), * FROM secrets
WITH x AS (WITH secrets AS (SELECT 1) SELECT 2) SELECT * FROM secrets
WITH RECURSIVE secrets AS (SELECT * FROM secrets) SELECT * FROM secrets
WITH "Secrets" AS (SELECT 1) SELECT * FROM (SELECT 1) secrets, main.secrets s
WITH __neurolake_cte_0 AS (SELECT 1) SELECT * FROM __neurolake_cte_1
SELECT rowid, * FROM people
SELECT rowid FROM people
SELECT people.rowid FROM people
SELECT ctid FROM people
SELECT filename FROM customers
SELECT file_row_number FROM customers
SELECT * FROM customers ORDER BY id
SELECT email FROM customers ORDER BY id
SELECT customers FROM customers
SELECT * FROM people AT (VERSION => 1)
SELECT * FROM people AT (TIMESTAMP => now())
SELECT typeof(mood) FROM people LIMIT 1
SELECT enum_range(mood) FROM people LIMIT 1
SELECT enum_range(NULL::mood)
SELECT 'x'::lake.main.mood
DESCRIBE people
DESCRIBE SELECT * FROM people
SHOW people
SUMMARIZE people
SUMMARIZE SELECT * FROM people
SELECT * FROM (SUMMARIZE people)
SELECT * FROM (DESCRIBE secrets)
EXPLAIN SELECT * FROM people
EXPLAIN SELECT ssn FROM people
EXPLAIN SELECT * FROM secrets
EXPLAIN ANALYZE SELECT * FROM people
EXPLAIN (FORMAT json) SELECT * FROM people
"""

OTHER_RELATIONS = """
SELECT * FROM secrets
SELECT * FROM main.secrets
SELECT * FROM lake.main.secrets
SELECT * FROM "lake"."main"."secrets"
SELECT * FROM LAKE.MAIN.SECRETS
SELECT * FROM lake.secrets
SELECT * FROM memory.main.secrets
SELECT * FROM temp.main.secrets
SELECT * FROM temp.secrets
SELECT * FROM system.main.secrets
SELECT * FROM other.vault
SELECT * FROM lake.other.vault
SELECT * FROM v_people
SELECT * FROM main.v_people
SELECT (SELECT count(*) FROM secrets)
SELECT * FROM people, secrets
SELECT * FROM orders WHERE id IN (SELECT 1 FROM secrets)
SELECT * FROM orders UNION ALL SELECT 1, 2, 3 FROM secrets
VALUES ((SELECT max(s) FROM secrets))
SELECT * FROM 'secrets'
SELECT * FROM "people.csv"
SELECT * FROM '/etc/passwd'
SELECT * FROM 'lake.duckdb'
SELECT * FROM '**/*.csv'
SELECT * FROM "/etc/passwd"
SELECT * FROM sqlite_master
SELECT * FROM sqlite_schema
SELECT * FROM sqlite_temp_master
SELECT * FROM duckdb_tables
SELECT * FROM duckdb_columns
SELECT * FROM duckdb_views
SELECT * FROM duckdb_databases
SELECT * FROM duckdb_logs
SELECT * FROM duckdb_indexes
SELECT * FROM system.main.duckdb_tables
SELECT * FROM main.duckdb_tables
SELECT * FROM pragma_database_list
SELECT * FROM pg_tables
SELECT * FROM pg_catalog.pg_class
SELECT * FROM pg_catalog.pg_attribute
SELECT * FROM pg_class
SELECT * FROM lake.pg_catalog.pg_tables
SELECT * FROM system.pg_catalog.pg_class
SELECT * FROM system.information_schema.tables
SELECT * FROM lake.information_schema.columns ORDER BY ALL
SELECT * FROM information_schema.columns ORDER BY ALL
SELECT * FROM information_schema.tables ORDER BY ALL
SELECT * FROM information_schema.schemata ORDER BY ALL
SELECT * FROM information_schema.table_constraints
SELECT * FROM information_schema.key_column_usage
SELECT * FROM neurolake.settings
SELECT event FROM neurolake.audit WHERE user_name <> 'ann'
SELECT table_name, column_name FROM neurolake.columns ORDER BY ALL
SELECT table_name, location, options FROM neurolake.sources ORDER BY ALL
SELECT user_name FROM neurolake.users
SELECT * FROM neurolake.tokens
SELECT sql FROM neurolake.running WHERE user_name <> 'ann'
SELECT sql FROM neurolake.queries WHERE user_name <> 'ann'
SELECT * FROM neurolake.snapshots
SELECT * FROM neurolake.nothing
SELECT * FROM __neurolake.outbox
SELECT * FROM lake.__neurolake.outbox
SELECT * FROM "__neurolake"."outbox"
SELECT * FROM __neurolake_views_1.v.people
SELECT * FROM __neurolake_empty.v.people
SELECT * FROM __neurolake_views_1.information_schema.tables
SHOW TABLES
SHOW ALL TABLES
SHOW DATABASES
SHOW SCHEMAS
SHOW VARIABLES
SHOW TABLES FROM other
SHOW TABLES FROM __neurolake
DESCRIBE secrets
SUMMARIZE secrets
SHOW secrets
DESCRIBE "databases"
DESCRIBE
"""

FUNCTIONS = """
SELECT * FROM read_csv('/etc/passwd')
SELECT * FROM read_csv_auto('/etc/passwd')
SELECT * FROM read_text('/etc/passwd')
SELECT * FROM read_blob('/etc/passwd')
SELECT * FROM read_parquet('*.parquet')
SELECT * FROM parquet_scan('*.parquet')
SELECT * FROM parquet_metadata('*.parquet')
SELECT * FROM parquet_schema('*.parquet')
SELECT * FROM parquet_kv_metadata('*.parquet')
SELECT * FROM read_json('/etc/passwd')
SELECT * FROM read_ndjson_objects('/etc/passwd')
SELECT * FROM read_duckdb('lake.duckdb')
SELECT * FROM glob('/etc/*')
SELECT * FROM sniff_csv('/etc/passwd')
SELECT * FROM query('SELECT * FROM lake.main.secrets')
SELECT * FROM query_table('secrets')
SELECT * FROM query_table(['people', 'secrets'])
SELECT * FROM duckdb_tables()
SELECT * FROM duckdb_columns()
SELECT * FROM duckdb_constraints()
SELECT * FROM duckdb_views()
SELECT * FROM duckdb_variables()
SELECT * FROM duckdb_settings()
SELECT * FROM duckdb_secrets()
SELECT * FROM duckdb_temporary_files()
SELECT * FROM duckdb_external_file_cache()
SELECT * FROM duckdb_functions()
SELECT * FROM duckdb_table_sample('people')
SELECT * FROM pragma_table_info('secrets')
SELECT * FROM pragma_show('secrets')
SELECT * FROM pragma_storage_info('people')
SELECT * FROM pragma_metadata_info()
SELECT * FROM json_execute_serialized_sql(json_serialize_sql('SELECT * FROM lake.main.secrets'))
SELECT * FROM seq_scan('secrets')
SELECT * FROM arrow_scan(0, 0, 0)
SELECT * FROM python_map_function(0)
SELECT * FROM which_secret('s3://x', 's3')
SELECT * FROM histogram('people', salary)
SELECT * FROM histogram_values('people', salary)
SELECT * FROM summary((SELECT * FROM lake.main.secrets))
SELECT * FROM checkpoint()
SELECT * FROM force_checkpoint('lake')
SELECT * FROM duckdb_logs_parsed('QueryLog')
SELECT * FROM test_all_types()
SELECT * FROM repeat((SELECT max(s) FROM secrets), 2)
SELECT * FROM range((SELECT count(*) FROM secrets))
SELECT * FROM unnest((SELECT list(s) FROM secrets))
SELECT * FROM json_each((SELECT to_json(list(s)) FROM secrets))
SELECT getvariable('__neurolake_keys')
SELECT system.main.getvariable('__neurolake_keys')
SELECT getvariable('x')
SELECT getenv('HOME')
SELECT current_setting('temp_directory')
SELECT current_setting('allowed_directories')
SELECT current_query()
SELECT current_schemas(true)
SELECT in_search_path('lake', 'main')
SELECT current_schema(), current_database(), current_catalog()
SELECT nextval('numbers')
SELECT currval('numbers')
SELECT nextval('lake.main.numbers')
SELECT json_serialize_sql('SELECT 1')
SELECT json_deserialize_sql('{}')
SELECT json_serialize_plan('SELECT * FROM lake.main.secrets')
SELECT stats(salary) FROM people
SELECT stats(id) FROM people
SELECT vector_type(salary) FROM people
SELECT write_log('x')
SELECT sleep_ms(1)
SELECT pg_get_viewdef(1)
SELECT pg_catalog.pg_get_viewdef(1)
SELECT col_description(1, 1)
SELECT has_table_privilege('secrets', 'select')
SELECT txid_current()
SELECT alias(p) FROM people p
SELECT add_parquet_key('x')
SELECT system.main.lower('A')
SELECT main.lower('A')
SELECT leak()
SELECT main.leak()
SELECT lake.main.leak()
SELECT id.leak() FROM people
SELECT lower('A')
SELECT upper(region) FROM people ORDER BY id
SELECT md5('x')
SELECT concat('a', 'b')
SELECT * FROM all_people()
SELECT * FROM main.all_people()
SELECT * FROM lake.main.all_people()
SELECT * FROM range(3)
SELECT list_transform([1], lambda x: leak())
SELECT list_transform([1], lambda x: (SELECT max(s) FROM secrets))
SELECT list_aggregate([1], 'leak')
SELECT sum(id) EXPORT_STATE FROM people
SELECT finalize(NULL)
SELECT (SELECT s FROM secrets LIMIT 1)::INTEGER
SELECT 1 WHERE (SELECT count(*) FROM secrets) > 1
SELECT 1 LIMIT (SELECT count(*) FROM secrets)
SELECT 1 ORDER BY (SELECT max(s) FROM secrets)
SELECT count(*) FROM orders GROUP BY (SELECT max(s) FROM secrets)
SELECT sum(amount) OVER (ORDER BY (SELECT max(s) FROM secrets)) FROM orders
SELECT CASE WHEN (SELECT count(*) FROM secrets) > 0 THEN 1 END
SELECT 1 IN (SELECT length(s) FROM secrets)
"""

STATEMENTS = """
SELECT * FROM lake.main.visits
SELECT stats(seen_on) FROM visits
SELECT seen_on, seen_at, v FROM visits v ORDER BY seen_on
SELECT date_diff('day', DATE '1970-01-01', seen_on), epoch(seen_at) FROM visits
SELECT id FROM visits WHERE seen_on BETWEEN DATE '2001-04-01' AND DATE '2001-05-06'
SELECT count(*) FROM visits a JOIN visits b ON a.seen_on = b.seen_at::DATE
SELECT seen_on FROM visits WHERE CAST(seen_at AS VARCHAR)::INTEGER = 1
SUMMARIZE visits
EXPLAIN SELECT * FROM visits WHERE seen_on > DATE '2001-05-05'
CALL neurolake.explain_policy('SELECT seen_on FROM visits')
COPY people TO '/tmp/neurolake-attack.csv'
COPY (SELECT * FROM people) TO '/tmp/neurolake-attack.csv'
COPY secrets TO STDOUT
COPY orders FROM '/etc/passwd'
EXPORT DATABASE '/tmp/neurolake-attack'
IMPORT DATABASE '/tmp/neurolake-attack'
ATTACH 'lake.duckdb' AS stolen
ATTACH ':memory:' AS mine
DETACH lake
INSTALL httpfs
LOAD httpfs
FORCE INSTALL httpfs
CHECKPOINT
VACUUM
ANALYZE
PRAGMA table_info('secrets')
PRAGMA show_tables
PRAGMA database_list
PRAGMA storage_info('people')
PRAGMA enable_profiling
PRAGMA memory_limit = '1GB'
SET memory_limit = '1GB'
SET enable_external_access = true
SET lock_configuration = false
SET search_path = 'lake.main'
SET schema = 'lake.main'
SET VARIABLE __neurolake_keys = NULL
SET VARIABLE x = (SELECT max(s) FROM lake.main.secrets)
SET timezone = (SELECT max(s) FROM lake.main.secrets)
SET timezone = 'UTC'
SET GLOBAL timezone = 'UTC'
SET default_collation = 'nocase'
RESET search_path
RESET VARIABLE __neurolake_keys
USE lake.main
USE __neurolake_views_1
USE __neurolake.outbox
SET ROLE admin
SET ROLE other
SET ROLE = 'admin'
RESET ROLE
CALL neurolake.grant('read', 'secrets', 'analyst')
CALL neurolake.set_policy('p', 'analyst', 'column:people.salary', 'allow')
CALL neurolake.drop_policy('people_salary')
CALL neurolake.drop_row_filter('north')
CALL neurolake.create_user('eve', 'a password for eve', ['admin'])
CALL neurolake.grant_role('admin', 'ann')
CALL neurolake.set_attribute('ann', 'region', 'south')
CALL neurolake.set_password('admin', 'another password')
CALL neurolake.register('passwd', '/etc/passwd', format => 'csv')
CALL neurolake.unregister('customers')
CALL neurolake.declassify('column:people.salary', 'because')
CALL neurolake.set_pii('column:people.ssn', null, 'confirmed')
CALL neurolake.tag('people', 'public')
CALL neurolake.explain_policy('SELECT * FROM people', role => 'admin')
CALL neurolake.verify_audit()
CALL neurolake.nothing()
CALL pragma_table_info('secrets')
CALL duckdb_tables()
PREPARE x AS SELECT * FROM secrets
EXECUTE x
DEALLOCATE x
CREATE MACRO mine(x) AS (SELECT max(s) FROM secrets)
CREATE FUNCTION mine() AS 1
CREATE TEMP MACRO lower(x) AS 'pwned'
CREATE TYPE mine AS ENUM (SELECT s FROM secrets)
CREATE SEQUENCE mine
CREATE INDEX mine ON people (salary)
CREATE SCHEMA mine
CREATE SECRET mine (TYPE s3)
CREATE VIEW mine AS SELECT * FROM secrets
CREATE OR REPLACE VIEW people AS SELECT 1
CREATE TEMP VIEW mine AS SELECT * FROM lake.main.secrets
CREATE TABLE mine AS SELECT * FROM secrets
CREATE TEMP TABLE mine AS SELECT * FROM lake.main.secrets
CREATE TABLE neurolake.mine (a INTEGER)
CREATE TABLE mine (a INTEGER DEFAULT (leak()))
CREATE TRIGGER mine AFTER INSERT ON people FOR EACH ROW INSERT INTO orders SELECT 1, 1, 1
ALTER TABLE people RENAME TO mine
ALTER TABLE people ADD COLUMN mine INTEGER
ALTER TABLE people DROP COLUMN salary
COMMENT ON TABLE people IS 'x'
DROP TABLE people
DROP TABLE secrets
DROP VIEW v_people
DROP SCHEMA other CASCADE
TRUNCATE people
INSERT INTO people SELECT * FROM people
INSERT INTO people (id) VALUES (1)
INSERT INTO secrets VALUES ('x')
INSERT INTO orders SELECT id, id, salary FROM people
INSERT INTO orders SELECT 1, 1, 1 RETURNING (SELECT max(s) FROM lake.main.secrets)
INSERT INTO lake.__neurolake.outbox VALUES ('', '', '', '', '', 0)
UPDATE people SET salary = 1
UPDATE people SET id = 1 WHERE ssn LIKE '%ALPHA%'
UPDATE people SET region = ssn
UPDATE orders SET amount = 0 WHERE id = (SELECT count(*) FROM secrets)
UPDATE secrets SET s = 'x'
DELETE FROM people WHERE salary > 0
DELETE FROM people
DELETE FROM secrets
DELETE FROM orders USING secrets
DELETE FROM orders WHERE EXISTS (SELECT 1 FROM lake.main.secrets)
MERGE INTO orders USING secrets ON true WHEN MATCHED THEN DELETE
MERGE INTO people USING orders ON people.id = orders.person WHEN MATCHED THEN UPDATE SET salary = 1
WITH x AS (INSERT INTO orders SELECT 1, 1, 1 RETURNING *) SELECT * FROM x
WITH x AS (UPDATE people SET salary = 1 RETURNING *) SELECT * FROM x
WITH x AS (DELETE FROM secrets RETURNING *) SELECT * FROM x
WITH x AS (COPY secrets TO '/tmp/neurolake-attack.csv') SELECT 1
SELECT 1; SELECT * FROM secrets
SELECT 1; DROP TABLE people
SELECT 1 /* ; */ ; COPY secrets TO '/tmp/neurolake-attack.csv'
SELECT * FROM orders; SELECT ssn FROM people
SELECT * FROM people -- ; DROP TABLE people
EXPLAIN INSERT INTO people SELECT * FROM people
EXPLAIN COPY secrets TO '/tmp/neurolake-attack.csv'
BEGIN; SELECT * FROM secrets; COMMIT
GRANT SELECT ON secrets TO analyst
SELECT * FROM people FOR UPDATE
nonsense
SELECT
SELECT * FROM
;
"""

WRITES = """
INSERT INTO orders SELECT id, id, salary FROM people
INSERT INTO orders SELECT id, id, length(email) FROM people
INSERT INTO orders SELECT id, id, (SELECT count(*) FROM secrets) FROM people
INSERT INTO orders VALUES (1000, 1, (SELECT max(salary) FROM people))
INSERT INTO orders VALUES (1000, 1, 1) RETURNING *
INSERT INTO orders VALUES (1000, 1, 1) RETURNING (SELECT max(s) FROM lake.main.secrets)
INSERT INTO people (id, region) VALUES (1000, 'north') RETURNING *
INSERT INTO people (id, region) VALUES (1000, 'north') RETURNING salary, ssn
INSERT INTO people (id, region) VALUES (1000, 'north') RETURNING people
INSERT INTO people (id, region, dna) VALUES (1000, 'north', 'x')
INSERT INTO people SELECT * FROM people
INSERT INTO people BY NAME SELECT * FROM people
INSERT INTO people BY NAME SELECT 1 AS id, 'x' AS dna
INSERT INTO people VALUES (DEFAULT)
INSERT INTO people DEFAULT VALUES
INSERT OR IGNORE INTO people (id) VALUES (1)
INSERT OR REPLACE INTO people (id) VALUES (1)
INSERT INTO people (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET region = ssn
INSERT INTO people (id) VALUES (CAST((SELECT max(s) FROM secrets) AS INTEGER))
INSERT INTO lake.main.people (id) SELECT count(*) FROM lake.main.people
INSERT INTO neurolake.users VALUES ('eve')
INSERT INTO information_schema.tables VALUES ('x')
INSERT INTO customers VALUES (1, 'x', 'y')
INSERT INTO v_people (id) VALUES (1)
INSERT INTO secrets VALUES ('x')
INSERT INTO other.vault VALUES ('x')
INSERT INTO __neurolake.outbox VALUES ('', '', '', '', '', 0)
INSERT INTO "/tmp/x.csv" VALUES (1)
WITH x AS (SELECT * FROM secrets) INSERT INTO orders SELECT 1, 1, 1 FROM x
WITH people AS (SELECT 1 AS id) INSERT INTO orders SELECT id, id, id FROM people
WITH x AS (DELETE FROM people RETURNING *) INSERT INTO orders SELECT 1, 1, 1 FROM x
INSERT INTO orders VALUES (1, 1, 1)) SELECT * FROM secrets --
INSERT INTO orders VALUES (1, 1, 1)), y AS (SELECT * FROM secrets) SELECT * FROM y --
INSERT INTO orders VALUES (1, 1, 1) /* ) SELECT * FROM secrets -- */
INSERT INTO orders SELECT 1, 1, 1; DROP TABLE people
UPDATE people SET region = region || salary
UPDATE people SET region = ssn
UPDATE people SET region = (SELECT ssn)
UPDATE people SET region = (SELECT max(s) FROM secrets)
UPDATE people SET region = 'x' WHERE salary > 0
UPDATE people SET region = 'x' WHERE ssn LIKE '%ALPHA%'
UPDATE people SET region = 'x' WHERE people.ssn LIKE '%ALPHA%'
UPDATE people SET region = 'x' WHERE main.people.ssn LIKE '%ALPHA%'
UPDATE people SET region = 'x' WHERE lake.main.people.ssn LIKE '%ALPHA%'
UPDATE people SET region = 'x' WHERE __neurolake_target.ssn LIKE '%ALPHA%'
UPDATE people SET region = 'x' WHERE (SELECT __neurolake_target.ssn) LIKE '%ALPHA%'
UPDATE people AS __neurolake_target SET region = 'x' WHERE ssn LIKE '%ALPHA%'
UPDATE people p SET region = 'x' WHERE p.email LIKE '%ALPHA%'
UPDATE people SET region = 'x' WHERE EXISTS (SELECT 1 FROM orders o WHERE o.amount < salary)
UPDATE people SET region = 'x' FROM orders o WHERE o.amount < salary
UPDATE people SET region = 'x' FROM secrets
UPDATE people SET region = o.email FROM people o WHERE o.id = people.id
UPDATE people SET region = CASE WHEN email LIKE '%ALPHA%' THEN 'a' ELSE 'b' END
UPDATE people SET region = 'x' RETURNING *
UPDATE people SET region = 'x' RETURNING ssn
UPDATE people SET region = 'x' RETURNING salary, email, note
UPDATE people SET region = 'x' RETURNING upper(email)
UPDATE people SET salary = salary + 1
UPDATE people SET salary = 1
UPDATE people SET dna = 'x'
UPDATE people SET nowhere = 'x'
UPDATE people SET rowid = 1
UPDATE people SET region = 'x' WHERE rowid = 11
UPDATE people SET region = 'x' WHERE __neurolake_row > 5
UPDATE people SET id = 1 / (id - 11)
UPDATE people SET id = CAST(region AS INTEGER)
UPDATE orders SET amount = (SELECT sum(salary) FROM people)
UPDATE orders SET amount = 0 WHERE id = (SELECT count(*) FROM people)
UPDATE customers SET country = email
UPDATE v_people SET region = 'x'
UPDATE secrets SET s = 'x'
WITH x AS (SELECT * FROM secrets) UPDATE orders SET amount = 1 FROM x
DELETE FROM people WHERE ssn LIKE '%ALPHA%'
DELETE FROM people WHERE salary > 0
DELETE FROM people WHERE people.ssn LIKE '%ALPHA%'
DELETE FROM people p WHERE (SELECT p.ssn) LIKE '%ALPHA%'
DELETE FROM people WHERE EXISTS (SELECT 1 WHERE ssn LIKE '%ALPHA%')
DELETE FROM people WHERE id IN (SELECT id FROM orders WHERE ssn LIKE '%ALPHA%')
DELETE FROM people WHERE email LIKE '%ALPHA%' OR true
DELETE FROM people USING orders o WHERE o.amount < people.salary
DELETE FROM people USING secrets
DELETE FROM people RETURNING *
DELETE FROM people RETURNING ssn, salary
DELETE FROM people WHERE 1 / (id - 11) > 0
DELETE FROM people WHERE CAST(region AS INTEGER) = 1
DELETE FROM people
TRUNCATE people
DELETE FROM secrets
DELETE FROM customers
DELETE FROM __neurolake.outbox
MERGE INTO orders USING people ON orders.id = people.id WHEN MATCHED THEN UPDATE SET amount = people.salary
MERGE INTO people USING orders ON people.id = orders.id WHEN MATCHED THEN UPDATE SET region = ssn
MERGE INTO people USING orders ON people.id = orders.id WHEN MATCHED AND ssn LIKE '%ALPHA%' THEN DELETE
MERGE INTO people USING orders ON people.salary > orders.amount WHEN MATCHED THEN DELETE
MERGE INTO people USING orders ON people.id = orders.id WHEN MATCHED THEN UPDATE SET salary = 1
MERGE INTO people USING orders ON people.id = orders.id WHEN MATCHED THEN UPDATE SET region = 'x'
MERGE INTO people USING orders ON people.id = orders.id WHEN MATCHED THEN DELETE RETURNING people.ssn
MERGE INTO people USING orders ON people.id = orders.id WHEN NOT MATCHED BY SOURCE THEN DELETE
MERGE INTO people USING orders ON people.id = orders.id WHEN NOT MATCHED THEN INSERT (id, dna) VALUES (1, 'x')
MERGE INTO orders USING people ON orders.id = people.id WHEN MATCHED THEN UPDATE SET amount = people.score
MERGE INTO orders USING (SELECT * FROM people) p ON orders.id = p.id WHEN MATCHED THEN UPDATE SET amount = p.salary
MERGE INTO orders USING secrets ON true WHEN MATCHED THEN DELETE
MERGE INTO orders USING people ON (SELECT count(*) FROM secrets) = 1 WHEN MATCHED THEN DELETE
MERGE INTO orders USING people ON true WHEN MATCHED THEN UPDATE SET amount = (SELECT count(*) FROM secrets)
MERGE INTO orders USING people ON true) SELECT * FROM secrets -- WHEN MATCHED THEN DELETE
MERGE INTO orders USING people ON true WHEN MATCHED THEN DELETE) SELECT * FROM secrets --
MERGE INTO orders USING people ON '$$' = '$$ WHEN MATCHED THEN DELETE' WHEN MATCHED THEN DELETE
MERGE INTO secrets USING people ON true WHEN MATCHED THEN DELETE
MERGE INTO people p USING orders o ON p.id = o.id WHEN NOT MATCHED BY SOURCE AND salary > 0 THEN DELETE
MERGE INTO people p USING orders o ON p.id = o.id WHEN NOT MATCHED BY SOURCE AND o.amount > 0 THEN DELETE
MERGE INTO people p USING orders o ON p.id = o.id WHEN NOT MATCHED BY SOURCE THEN UPDATE SET region = ssn
MERGE INTO people p USING orders o ON p.id = o.id WHEN NOT MATCHED BY SOURCE THEN UPDATE SET region = p::VARCHAR
MERGE INTO people p USING orders o ON p.salary = o.id WHEN NOT MATCHED BY SOURCE THEN DELETE
MERGE INTO people p USING secrets o ON false WHEN NOT MATCHED BY SOURCE THEN DELETE
MERGE INTO people p USING (SELECT 3 AS k) o ON p.id = o.k WHEN NOT MATCHED BY SOURCE THEN DELETE RETURNING *
MERGE INTO people p USING (SELECT 3 AS k) o ON p.id = o.k WHEN MATCHED THEN DELETE RETURNING *, merge_action
MERGE INTO people p USING (SELECT 3 AS k) o ON p.id = o.k WHEN MATCHED THEN DELETE RETURNING ssn
MERGE INTO people p USING (SELECT 3 AS k) o ON p.id = o.k WHEN MATCHED THEN DELETE RETURNING upper(email)
MERGE INTO people p USING (SELECT 3 AS k) o ON p.id = o.k WHEN MATCHED THEN DELETE RETURNING (FROM secrets)
MERGE INTO people p USING (SELECT 3 AS k) o ON p.id = o.k WHEN MATCHED THEN DELETE RETURNING p::VARCHAR
MERGE INTO people p USING (SELECT 3 AS k) o ON p.id = o.k WHEN MATCHED THEN DELETE RETURNING __neurolake_row
MERGE INTO people p USING (SELECT 3 AS k) o ON p.id = o.k WHEN MATCHED THEN DELETE RETURNING 1 FROM secrets
MERGE INTO people p USING (SELECT 3 AS k) o ON p.id = o.k WHEN MATCHED THEN DELETE RETURNING COLUMNS('s.*')
MERGE INTO people p USING (SELECT 3 AS k) o ON p.id = o.k WHEN MATCHED THEN DELETE RETURNING * REPLACE (ssn AS id)
INSERT INTO people (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET region = ssn
INSERT INTO people (id) VALUES (1) ON CONFLICT (ssn) DO NOTHING
INSERT OR REPLACE INTO people (id) VALUES (1)
INSERT INTO orders VALUES (1, 1, 1) ON CONFLICT DO UPDATE SET amount = (SELECT max(salary) FROM people)
INSERT INTO orders VALUES (1, 1, 1) ON CONFLICT (id) DO UPDATE SET amount = (SELECT count(*) FROM secrets)
INSERT INTO orders VALUES (1, 1, 1) ON CONFLICT (id) DO UPDATE SET amount = leak()
INSERT INTO orders VALUES (1, 1, 1) ON CONFLICT (id) WHERE id IN (SELECT count(*) FROM secrets) DO NOTHING
INSERT INTO orders VALUES (1, 1, 1) ON CONFLICT (id) DO UPDATE SET amount = 1 WHERE EXISTS (FROM secrets)
INSERT INTO orders VALUES (1, 1, 1) ON CONFLICT (id) DO UPDATE SET amount = lake.main.people.salary
INSERT INTO orders VALUES (1, 1, 1) RETURNING leak()
INSERT INTO orders VALUES (1, 1, 1) RETURNING lower('A'), md5('a')
INSERT INTO orders VALUES (1, 1, 1) RETURNING getenv('HOME')
INSERT INTO orders VALUES (1, 1, 1) RETURNING id + (SELECT count(*) FROM secrets)
INSERT INTO orders VALUES (1, 1, 1) RETURNING list_transform([1], lambda x: leak())
INSERT INTO orders VALUES (1, 1, 1) RETURNING 1 AS "x, (SELECT max(s) FROM lake.main.secrets) AS y"
INSERT INTO people (id, ssn) VALUES (1, 'x')
INSERT INTO people (id, dna) VALUES (1, 'x')
INSERT INTO people (id, nowhere) VALUES (1, 'x')
INSERT INTO people BY NAME SELECT 1 AS id, 'x' AS ssn
UPDATE people SET region = 'x' RETURNING length(ssn)
UPDATE people SET region = 'x' RETURNING people.ssn
UPDATE people SET region = 'x' RETURNING salary > 0
UPDATE people SET region = 'x' RETURNING rowid
UPDATE people SET region = 'x' RETURNING people::VARCHAR
UPDATE people SET region = 'x' RETURNING region.upper()
DELETE FROM people RETURNING id, upper(region)
DELETE FROM people RETURNING hash(people)
CREATE TABLE lab.t AS SELECT * FROM people
CREATE TABLE lab.t AS SELECT ssn FROM people
CREATE TABLE lab.t AS SELECT * FROM secrets
CREATE TABLE lab.t AS FROM lake.main.secrets
CREATE OR REPLACE TABLE people AS SELECT 1 AS one
CREATE TABLE lab.t (a INTEGER DEFAULT (SELECT count(*) FROM secrets))
CREATE TABLE lab.t (a VARCHAR DEFAULT leak())
CREATE TABLE lab.t (a INTEGER DEFAULT nextval('numbers') NOT NULL)
CREATE TABLE lab.t (a INTEGER, PRIMARY KEY (a, (SELECT 1 FROM secrets)))
CREATE TABLE lab.t (a INTEGER CHECK (a IN (SELECT count(*) FROM secrets)))
CREATE TABLE lab.t (a INTEGER GENERATED ALWAYS AS (leak()))
CREATE TABLE lab.t (a mood)
CREATE TABLE lab.t (a ENUM (SELECT s FROM secrets))
CREATE TABLE lab.t (a INTEGER) AS SELECT 1
CREATE TABLE lab.t (a INTEGER, FOREIGN KEY (a) REFERENCES people (id))
CREATE TABLE lab.t (a INTEGER); SELECT * FROM secrets
CREATE TABLE lab.__neurolake_t (a INTEGER)
CREATE TABLE neurolake.t (a INTEGER)
CREATE TABLE main.t AS SELECT 1 AS one
CREATE TABLE elsewhere.main.t AS SELECT 1 AS one
CREATE TEMP TABLE t AS SELECT * FROM people
CREATE TEMP TABLE t AS SELECT * FROM secrets
CREATE TEMP TABLE __neurolake_v_0 AS SELECT 1 AS one
CREATE TEMP TABLE people AS SELECT ssn FROM lake.main.people
CREATE TEMP TABLE people AS SELECT id, 'own' AS region FROM people
DROP TABLE people
DROP TABLE IF EXISTS secrets
DROP TABLE temp.people
"""

LEGITIMATE = """
SELECT * FROM visits ORDER BY id
SELECT min(seen_on), max(seen_at) FROM visits WHERE seen_on >= DATE '2001-05-05'
SELECT 1
SELECT 1 + 1 AS two, 'text' AS t, DATE '2026-01-01' AS d
SELECT * FROM orders ORDER BY id LIMIT 5
FROM orders SELECT count(*)
TABLE orders
SELECT id, region FROM people ORDER BY id
SELECT * FROM people ORDER BY id
SELECT p.id, p.region FROM people p ORDER BY p.id
SELECT main.orders.id FROM main.orders ORDER BY 1 LIMIT 1
SELECT lake.main.orders.amount FROM lake.main.orders ORDER BY 1 LIMIT 1
SELECT orders FROM orders ORDER BY orders.id LIMIT 1
SELECT "id" FROM "orders" ORDER BY "id" LIMIT 1
SELECT ID FROM ORDERS ORDER BY Id LIMIT 1
SELECT count(*), sum(amount), avg(amount), min(amount), max(amount) FROM orders
SELECT person, count(*) FROM orders GROUP BY person ORDER BY 1
SELECT person, sum(amount) AS total FROM orders GROUP BY ALL HAVING total > 10 ORDER BY ALL
SELECT region, count(*) FROM people GROUP BY region
SELECT p.region, sum(o.amount) FROM people p JOIN orders o ON o.person = p.id GROUP BY 1
SELECT o.id, p.region FROM orders o LEFT JOIN people p ON p.id = o.person ORDER BY o.id
SELECT count(*) FROM orders o WHERE EXISTS (SELECT 1 FROM people p WHERE p.id = o.person)
SELECT id FROM orders WHERE person IN (SELECT id FROM people) ORDER BY id
SELECT id FROM orders WHERE amount > (SELECT avg(amount) FROM orders) ORDER BY id
SELECT id, (SELECT count(*) FROM orders o WHERE o.person = p.id) FROM people p ORDER BY id
SELECT * FROM orders ORDER BY amount DESC LIMIT 3
SELECT * FROM orders ORDER BY ALL LIMIT 3 OFFSET 2
SELECT DISTINCT person FROM orders ORDER BY 1
SELECT DISTINCT ON (person) person, id FROM orders ORDER BY person, id
SELECT id FROM orders UNION SELECT id FROM people ORDER BY 1
SELECT id FROM orders INTERSECT SELECT id FROM people ORDER BY 1
SELECT id FROM orders EXCEPT SELECT id FROM people ORDER BY 1
SELECT id FROM orders UNION ALL BY NAME SELECT id FROM people ORDER BY 1
WITH big AS (SELECT * FROM orders WHERE amount > 10) SELECT count(*) FROM big
WITH a AS (SELECT id FROM orders), b AS (SELECT id FROM a) SELECT count(*) FROM b
WITH orders AS (SELECT 42 AS id) SELECT id FROM orders
WITH orders AS (SELECT * FROM orders WHERE id < 3) SELECT count(*) FROM orders
WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 5) SELECT sum(n) FROM r
WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 5) SELECT r.n FROM r ORDER BY r.n
WITH a AS MATERIALIZED (SELECT 1 AS x) SELECT a.x FROM a
SELECT x.n FROM (SELECT count(*) AS n FROM orders) x
SELECT * FROM (VALUES (1, 'a'), (2, 'b')) v(n, t) ORDER BY n
VALUES (1), (2)
SELECT * FROM range(3)
SELECT i FROM range(3) r(i) ORDER BY i
SELECT * FROM generate_series(1, 3)
SELECT unnest([1, 2, 3])
SELECT * FROM unnest([1, 2]) u(x)
SELECT * FROM orders o, LATERAL (SELECT o.amount * 2 AS twice) t ORDER BY o.id LIMIT 2
SELECT id, row_number() OVER (ORDER BY amount, id) FROM orders ORDER BY id LIMIT 3
SELECT id, sum(amount) OVER (PARTITION BY person ORDER BY id) FROM orders ORDER BY id LIMIT 3
SELECT id, lag(amount) OVER (ORDER BY id) FROM orders ORDER BY id LIMIT 3
SELECT id, rank() OVER w FROM orders WINDOW w AS (ORDER BY amount) ORDER BY id LIMIT 3
SELECT id FROM orders QUALIFY row_number() OVER (PARTITION BY person ORDER BY id) = 1 ORDER BY id
SELECT sum(amount) FILTER (person = 1) FROM orders
SELECT person, list(id ORDER BY id) FROM orders GROUP BY person ORDER BY person
SELECT string_agg(region, ',' ORDER BY id) FROM people
SELECT CASE WHEN amount > 10 THEN 'big' ELSE 'small' END AS size, count(*) FROM orders GROUP BY ALL ORDER BY ALL
SELECT coalesce(NULL, 1), nullif(1, 1), ifnull(NULL, 2), greatest(1, 2), least(1, 2)
SELECT upper('a'), lower('B'), length('abc'), substring('abc', 2, 1), replace('abc', 'a', 'b'), trim(' a ')
SELECT 'a' || 'b', concat('a', 1), left('abc', 1), right('abc', 1), lpad('a', 3, 'x')
SELECT regexp_replace('abc', 'b', 'x'), regexp_matches('abc', 'b'), 'abc' LIKE 'a%', 'abc' ILIKE 'A%'
SELECT abs(-1), round(1.5), floor(1.5), ceil(1.5), sqrt(4), power(2, 3), 7 % 3, 7 // 3
SELECT date_trunc('month', DATE '2026-05-17'), year(DATE '2026-05-17'), DATE '2026-05-17' + INTERVAL 1 DAY
SELECT extract(month FROM DATE '2026-05-17'), date_diff('day', DATE '2026-01-01', DATE '2026-02-01')
SELECT strftime(DATE '2026-05-17', '%Y-%m'), strptime('2026', '%Y')
SELECT CAST('1' AS INTEGER), '2'::BIGINT, TRY_CAST('x' AS INTEGER), 1::VARCHAR
SELECT [1, 2, 3][1], {'a': 1}.a, MAP {'k': 'v'}['k']
SELECT list_transform([1, 2], lambda x: x + 1), [x * 2 FOR x IN [1, 2] IF x > 1], list_sum([1, 2])
SELECT to_json({'a': 1}), json_extract('{"a": 1}', '$.a'), '{"a": 1}'->>'a'
SELECT * EXCLUDE (amount) FROM orders ORDER BY id LIMIT 1
SELECT * REPLACE (amount * 2 AS amount) FROM orders ORDER BY id LIMIT 1
SELECT * RENAME (amount AS price) FROM orders ORDER BY id LIMIT 1
SELECT COLUMNS('a.*') FROM orders ORDER BY 1 LIMIT 1
SELECT max(COLUMNS(*)) FROM orders
SELECT * FROM orders JOIN people USING (id) ORDER BY id LIMIT 1
SELECT count(*) FROM orders NATURAL JOIN (SELECT id FROM people)
SELECT count(*) FROM orders CROSS JOIN people
SELECT o.id FROM orders o SEMI JOIN people p ON p.id = o.person ORDER BY o.id
SELECT o.id FROM orders o ANTI JOIN people p ON p.id = o.person ORDER BY o.id
SELECT o.id, q.id FROM orders o ASOF JOIN orders q ON o.id >= q.id ORDER BY ALL LIMIT 2
SELECT person, id FROM orders GROUP BY GROUPING SETS ((person), (id)) ORDER BY ALL LIMIT 3
SELECT person, count(*) FROM orders GROUP BY ROLLUP (person) ORDER BY ALL
SELECT person, grouping(person) FROM orders GROUP BY CUBE (person) ORDER BY ALL
SELECT * FROM orders PIVOT (sum(amount) FOR person IN (1, 2) GROUP BY id) ORDER BY id LIMIT 2
PIVOT orders ON person USING sum(amount) GROUP BY id ORDER BY id LIMIT 2
PIVOT (SELECT *, id % 2 AS odd FROM orders) ON person, odd USING count(*) AS n GROUP BY amount ORDER BY 1
PIVOT people ON region USING count(*)
PIVOT people ON score USING count(*) GROUP BY region
SELECT * FROM (SELECT 1 AS a, 2 AS b) UNPIVOT (v FOR n IN (a, b)) ORDER BY n
SELECT count(*) FROM orders TABLESAMPLE 100%
SELECT count(*) FROM (SELECT * FROM orders USING SAMPLE 5 ROWS)
SELECT quantile_cont(amount, 0.5), median(amount), mode(person), stddev(amount) FROM orders
SELECT approx_count_distinct(person), any_value(1), bool_and(true), count(DISTINCT person) FROM orders
SELECT arg_max(id, amount), first(id ORDER BY id), last(id ORDER BY id) FROM orders
SELECT id BETWEEN 1 AND 3, id IN (1, 2), id NOT IN (3), id IS NULL, id IS DISTINCT FROM 1 FROM orders ORDER BY id
SELECT id FROM orders WHERE id = ANY ([1, 2]) ORDER BY id
SELECT NOT true, true AND false, true OR false, 1 <> 2, 1 <= 2
SELECT 'a' COLLATE NOCASE = 'A'
SELECT * FROM customers ORDER BY id
SELECT id, country FROM customers ORDER BY id
SELECT c.country, count(*) FROM customers c GROUP BY ALL ORDER BY ALL
DESCRIBE orders
DESCRIBE SELECT id FROM orders
SHOW orders
SUMMARIZE orders
SHOW TABLES
SELECT table_name FROM information_schema.tables ORDER BY 1
SELECT column_name FROM information_schema.columns WHERE table_name = 'orders' ORDER BY ordinal_position
SELECT schema_name FROM information_schema.schemata ORDER BY 1
SELECT table_name, column_name, data_type FROM neurolake.columns WHERE table_name = 'orders' ORDER BY ALL
SELECT count(*) > 0 FROM neurolake.procedures
SELECT count(*) >= 0 FROM neurolake.queries
SELECT user_name FROM neurolake.users
EXPLAIN SELECT * FROM orders
SELECT current_date IS NOT NULL, current_timestamp IS NOT NULL, now() IS NOT NULL
SELECT current_schema(), current_database(), version() IS NOT NULL
SELECT name, count(*) FROM people GROUP BY name ORDER BY ALL
SELECT a.id FROM people a JOIN people b ON a.name = b.name AND a.id = b.id ORDER BY 1
SELECT zip, count(*) FROM people GROUP BY zip ORDER BY ALL
SELECT score, count(*) FROM people GROUP BY score ORDER BY ALL
SELECT year(born), count(*) FROM people GROUP BY ALL ORDER BY ALL
SELECT split_part(email, '@', 2) AS host, count(*) FROM people GROUP BY ALL ORDER BY ALL
SET timezone = 'UTC'
RESET timezone
SELECT 1; SELECT 2
SELECT /* a comment */ 1 -- and another
"""


def lines(text: str) -> list[str]:
    """The statements of a list, one a line."""
    return [line for line in text.strip().splitlines() if line]


def spread(templates: tuple[str, ...], columns: tuple[str, ...]) -> list[str]:
    """Each template for each column."""
    return [template.replace("{c}", column) for column in columns for template in templates]


ATTACKS: tuple[str, ...] = tuple(
    spread(EACH_COLUMN, MASKED_OR_NOT)
    + spread(SEVERAL_COLUMNS, MASKED_OR_NOT[:1])
    + lines(WHOLE_ROWS)
    + lines(OTHER_RELATIONS)
    + lines(FUNCTIONS)
    + lines(STATEMENTS)
)
MORE_ATTACKS: tuple[str, ...] = tuple(
    spread(EACH_COLUMN, tuple(column for column in HIDDEN_COLUMNS if column not in MASKED_OR_NOT))
    + spread(SEVERAL_COLUMNS, MASKED_OR_NOT[1:])
)
"""The same on the other columns, for the long run."""
LEGAL: tuple[str, ...] = tuple(lines(LEGITIMATE))
WRITE_ATTACKS: tuple[str, ...] = tuple(lines(WRITES))
"""What a role that may write to `people` and `orders` tries, each in a transaction that is rolled back."""
