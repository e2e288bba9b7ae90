"""Queries that try to read, change or hold what they may not, after published lists of injection techniques.

They are put to the database of `tests/datasources/staff.py`. `name`, `region` and `id` of `employees` may be read where
the region is north, and all of `cities`. What gets further shows CANARY, or LEAK where it can only tell a condition.

Lists: OWASP's cheat sheets and Testing Guide (WSTG-INPV-05), PayloadsAllTheThings (SQLite, PostgreSQL), the pages of
PostgreSQL and SQLite on security.
"""

BOTH = """
SELECT salary FROM employees
SELECT secret FROM vault
SELECT e.salary FROM employees e
SELECT employees.salary FROM employees
SELECT * FROM vault
SELECT vault.* FROM vault
SELECT v.* FROM cities, vault v
SELECT name FROM employees WHERE region = 'south'
SELECT name FROM employees WHERE 1 = 1 OR region = 'south'
SELECT name FROM employees e WHERE e.region <> 'north'
SELECT name FROM employees WHERE name LIKE 'CANARY%'
SELECT name FROM employees WHERE region = 'north' OR 1 = 1 --
SELECT name FROM employees WHERE region = 'north' /* ) */ OR 1 = 1
SELECT name FROM employees/**/WHERE/**/region='south'
SELECT name FROM "employees" WHERE "region" = 'south'
SELECT a.name FROM employees a JOIN employees b ON a.id <> b.id
SELECT b.name FROM cities c LEFT JOIN employees b ON 1 = 1
SELECT b.name FROM employees b RIGHT JOIN cities c ON 1 = 1
SELECT b.name FROM cities c CROSS JOIN employees b
SELECT name FROM employees NATURAL JOIN cities
SELECT x.name FROM (SELECT * FROM employees) x
SELECT x.salary FROM (SELECT * FROM employees) x
SELECT x.s FROM (SELECT salary AS s FROM employees) x
SELECT (SELECT secret FROM vault LIMIT 1)
SELECT (SELECT max(name) FROM employees)
SELECT name, (SELECT max(b.name) FROM employees b WHERE b.id >= a.id) FROM employees a
SELECT name, (SELECT max(salary) FROM employees b WHERE b.id = a.id) FROM employees a
SELECT CASE WHEN EXISTS (SELECT 1 FROM vault) THEN 'LEAK' END
SELECT CASE WHEN EXISTS (SELECT 1 FROM employees WHERE region = 'south') THEN 'LEAK' END
SELECT CASE WHEN (SELECT count(*) FROM employees) > 2 THEN 'LEAK' END
SELECT CASE WHEN 'CANARY-ROW' IN (SELECT name FROM employees) THEN 'LEAK' END
SELECT CASE WHEN (SELECT sum(id) FROM employees) > 3 THEN 'LEAK' END
SELECT 'LEAK' FROM employees WHERE salary > 0
SELECT 'LEAK' FROM employees HAVING max(salary) > 0
SELECT 'LEAK' FROM employees GROUP BY salary
SELECT name FROM employees ORDER BY salary
SELECT name FROM cities UNION SELECT name FROM employees
SELECT name FROM cities UNION ALL SELECT secret FROM vault
SELECT name FROM cities UNION SELECT salary FROM employees
SELECT name FROM employees EXCEPT SELECT name FROM cities
SELECT name FROM employees INTERSECT SELECT name FROM employees
SELECT secret FROM vault EXCEPT SELECT 'x'
SELECT name FROM cities WHERE 1 = 0 UNION ALL SELECT * FROM (SELECT secret FROM vault) z
WITH vault AS (SELECT secret FROM vault) SELECT * FROM vault
WITH a AS (SELECT secret FROM vault) SELECT * FROM a
WITH a AS (SELECT * FROM employees) SELECT * FROM a
WITH employees AS (SELECT * FROM employees) SELECT * FROM employees
WITH cities AS (SELECT secret AS name FROM vault) SELECT name FROM cities
WITH a AS (WITH b AS (SELECT secret FROM vault) SELECT * FROM b) SELECT * FROM a
WITH a AS (SELECT 1) SELECT (WITH a AS (SELECT secret FROM vault) SELECT * FROM a)
SELECT * FROM (WITH vault AS (SELECT 1 AS x) SELECT * FROM vault) t, vault
SELECT (WITH vault AS (SELECT 1 AS x) SELECT x FROM vault), (SELECT secret FROM vault LIMIT 1)
WITH b AS (SELECT * FROM vault), vault AS (SELECT 1 AS x) SELECT * FROM b
SELECT count(*) OVER (), max(name) OVER () FROM employees
SELECT lag(name) OVER (ORDER BY id) FROM employees
SELECT first_value(name) OVER (ORDER BY region DESC) FROM employees
SELECT max(salary) OVER (PARTITION BY region) FROM employees
SELECT last_value(name) OVER (ORDER BY id ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) FROM employees
SELECT max(name) FILTER (WHERE region = 'south') FROM employees
SELECT name FROM employees GROUP BY name HAVING max(region) = 'south'
SELECT name FROM employees WHERE id IN (SELECT id FROM employees WHERE region = 'south')
SELECT name FROM employees WHERE id = (SELECT max(id) FROM employees)
SELECT name FROM employees WHERE (id, region) IN (SELECT id, 'south' FROM employees)
SELECT name FROM employees WHERE NOT (region = 'north')
SELECT name FROM employees WHERE region IS NULL OR region > 'north'
SELECT upper(secret) FROM vault
SELECT substr(secret, 1, 6) FROM vault
SELECT 'x' || secret FROM vault
SELECT coalesce(secret, 'x') FROM vault
SELECT cast(salary AS text) FROM employees
SELECT name AS employees, salary FROM employees
SELECT employees FROM employees
SELECT name FROM employees AS vault, cities AS employees
SELECT e.secret FROM vault AS e
SELECT employees.name FROM cities AS x, employees AS employees WHERE employees.region = 'south'
SELECT name FROM employees x(name, a, b)
SELECT 1; DROP TABLE employees
SELECT 1; DELETE FROM cities
DROP TABLE employees
DELETE FROM employees
UPDATE cities SET name = 'CANARY'
INSERT INTO cities (name) VALUES ('CANARY')
CREATE TABLE owned (x text)
CREATE TEMP TABLE owned (x text)
CREATE VIEW owned AS SELECT * FROM vault
ALTER TABLE cities ADD COLUMN owned text
WITH a AS (DELETE FROM cities RETURNING name) SELECT * FROM a
WITH a AS (INSERT INTO cities (name) VALUES ('owned') RETURNING name) SELECT * FROM a
WITH a AS (UPDATE cities SET name = 'owned' RETURNING name) SELECT * FROM a
WITH a AS (SELECT 1) DELETE FROM cities
WITH a AS (SELECT 1) INSERT INTO cities (name) SELECT 'owned'
REPLACE INTO cities (name) VALUES ('owned')
BEGIN
COMMIT
ROLLBACK
SAVEPOINT a
VACUUM
ANALYZE
REINDEX
EXPLAIN SELECT 1
EXPLAIN DELETE FROM cities
VALUES ('x')
TABLE vault
SELECT name FROM cities WHERE name = 'a' OR 1=1; --
SELECT/**/secret/**/FROM/**/vault
SELECT secret FROM vault -- comment
SELECT secret /* FROM cities */ FROM vault
SELECT /*! secret */ name FROM vault
SeLeCt SeCrEt FrOm VaUlT
SELECT secret FROM [vault]
SELECT secret FROM `vault`
SELECT "secret" FROM "vault"
SELECT "vault"."secret" FROM "vault"
SELECT ｓｅｃｒｅｔ FROM vault
SELECT secret FROM ｖａｕｌｔ
SELECT secret FROM vault\u200b
SELECT\u00a0secret FROM vault
SELECT name FROM employees WHERE region = ʼsouthʼ OR 1=1
SELECT name FROM employees WHERE region = 'north\\' OR 1=1 --'
SELECT name FROM cities WHERE name = '' UNION SELECT secret FROM vault WHERE '' = ''
SELECT CURRENT_USER
SELECT current_setting('x')
SELECT version()
SELECT ?
SELECT :x
SELECT $1
SELECT @@version
SELECT name INTO owned FROM cities
SELECT name FROM cities FOR UPDATE
SELECT DISTINCT secret FROM vault
SELECT name FROM employees LIMIT (SELECT max(salary) FROM employees)
SELECT name FROM employees LIMIT 1 OFFSET 2
"""

SQLITE = """
SELECT sql AS CANARY FROM sqlite_master WHERE name = 'vault'
SELECT name FROM sqlite_schema WHERE name = 'vault' AND sql LIKE '%CANARY%'
SELECT sql FROM sqlite_temp_master
SELECT * FROM main.vault
SELECT rowid, * FROM vault
SELECT rowid, name FROM employees WHERE rowid = 3
SELECT main.employees.name FROM main.employees
SELECT * FROM temp.employees
SELECT name FROM pragma_table_info('vault')
SELECT * FROM pragma_database_list
SELECT * FROM pragma_table_list
SELECT * FROM dbstat
SELECT * FROM sqlite_dbpage
SELECT * FROM sqlite_stat1
SELECT * FROM json_each('["LEAK"]')
SELECT * FROM json_tree((SELECT secret FROM vault))
SELECT json_group_array(name) FROM employees
SELECT json_object('x', secret) FROM vault
SELECT hex(secret) FROM vault
SELECT quote(secret) FROM vault
SELECT group_concat(name) FROM employees
PRAGMA table_info(vault)
PRAGMA writable_schema = ON
PRAGMA query_only = OFF
PRAGMA trusted_schema = ON
PRAGMA journal_mode = DELETE
PRAGMA user_version = 7
ATTACH DATABASE '/tmp/owned-by-a-query.db' AS owned
ATTACH ':memory:' AS owned
DETACH DATABASE main
VACUUM INTO '/tmp/owned-by-a-query.db'
SELECT load_extension('/tmp/owned.so')
SELECT load_extension('libc.so.6', 'system')
SELECT readfile('/etc/passwd')
SELECT writefile('/tmp/owned-by-a-query', 'x')
SELECT edit('x')
SELECT fts3_tokenizer('simple')
SELECT sqlite_version()
SELECT sqlite_compileoption_get(1)
SELECT printf('%.*c', 900000000, 'x')
SELECT format('%900000000d', 1)
SELECT zeroblob(900000000)
SELECT randomblob(900000000)
SELECT hex(zeroblob(400000000))
SELECT likelihood(secret, 0.5) FROM vault
SELECT name FROM employees WHERE name MATCH 'CANARY'
SELECT name FROM employees WHERE name REGEXP 'CANARY'
SELECT name FROM employees INDEXED BY sqlite_autoindex_employees_1
SELECT name FROM employees NOT INDEXED WHERE region = 'south'
SELECT secret FROM vault WHERE secret GLOB 'C*'
SELECT 'LEAK' FROM vault WHERE secret LIKE 'CANARY%'
SELECT x'4c45414b', secret FROM vault
WITH vault(a) AS (SELECT secret FROM main.vault) SELECT a FROM vault
WITH employees AS (SELECT name FROM main.employees) SELECT name FROM employees
WITH RECURSIVE a(x) AS (SELECT secret FROM vault UNION SELECT x FROM a) SELECT x FROM a
CREATE TRIGGER owned AFTER INSERT ON cities BEGIN SELECT 1; END
CREATE VIRTUAL TABLE owned USING fts5(x)
SELECT name FROM employees WHERE abs(CASE WHEN region = 'south' THEN -9223372036854775808 ELSE 1 END) > 0
SELECT name FROM employees WHERE abs((id = 3) * -9223372036854775807 - 1 + (id <> 3)) IS NULL
SELECT 1 FROM employees WHERE sum(salary) OVER () > 0
"""

POSTGRES = """
SELECT * FROM public.vault
SELECT secret FROM public.vault
SELECT salary FROM public.employees
SELECT name FROM public.employees WHERE region = 'south'
SELECT b.name FROM public.employees b
SELECT max(name) OVER () FROM public.employees
SELECT ctid, xmin, tableoid, * FROM public.vault
SELECT (e).salary FROM public.employees e
SELECT (e.*)::text FROM public.employees e
SELECT e FROM public.employees e
SELECT e.salary FROM ONLY public.employees e
SELECT row_to_json(e) FROM public.employees e
SELECT to_jsonb(e) FROM public.employees e
SELECT e.to_json FROM public.employees e
SELECT json_agg(v) FROM public.vault v
SELECT string_agg(secret, ',') FROM public.vault
SELECT array_agg(secret) FROM public.vault
SELECT array(SELECT secret FROM public.vault)
SELECT x FROM unnest(array(SELECT secret FROM public.vault)) x
SELECT v.secret FROM public.cities c, LATERAL (SELECT secret FROM public.vault) v
SELECT * FROM public.employees TABLESAMPLE SYSTEM (100)
SELECT name FROM public.employees FOR UPDATE
SELECT name FROM public.employees FETCH FIRST 5 ROWS WITH TIES
SELECT query_to_xml('select secret from public.vault', true, false, '')
SELECT table_to_xml('public.vault', true, false, '')
SELECT database_to_xml(true, false, '')
SELECT cursor_to_xml('query', 5, true, false, '')
SELECT ts_stat('select secret::tsvector from public.vault')
SELECT * FROM ts_stat('select to_tsvector(secret) from public.vault')
SELECT pg_read_file('/etc/passwd')
SELECT pg_read_file('PG_VERSION'), 'LEAK'
SELECT pg_read_binary_file('PG_VERSION'), 'LEAK'
SELECT 'LEAK' FROM pg_ls_dir('.')
SELECT 'LEAK' FROM pg_ls_logdir()
SELECT 'LEAK', pg_stat_file('PG_VERSION')
SELECT lo_import('/etc/passwd')
SELECT lo_create(4242)
SELECT lo_from_bytea(4243, 'x')
SELECT lo_export(1, '/tmp/owned-by-a-query')
SELECT pg_file_write('/tmp/owned-by-a-query', 'x', false)
SELECT dblink('host=127.0.0.1', 'select 1')
SELECT * FROM dblink('host=127.0.0.1 user=postgres', 'select secret from vault') AS t(x text)
SELECT dblink_connect('host=127.0.0.1')
COPY public.vault TO '/tmp/owned-by-a-query'
COPY public.vault TO PROGRAM 'cat'
COPY (SELECT secret FROM public.vault) TO STDOUT
COPY public.cities FROM '/etc/passwd'
SELECT set_config('pustaka.region', 'south', true), name FROM public.employees
SELECT name FROM (SELECT set_config('pustaka.region', 'south', true)) s, public.employees
SELECT name FROM public.employees WHERE set_config('pustaka.region', 'south', true) = 'south'
WITH s AS MATERIALIZED (SELECT set_config('pustaka.region', 'south', true)) SELECT name FROM s, public.employees
SET pustaka.region = 'south'
SET LOCAL statement_timeout = 0
SET TRANSACTION READ WRITE
SET ROLE postgres
SET SESSION AUTHORIZATION postgres
RESET ALL
SHOW ALL
SELECT set_config('transaction_read_only', 'off', true)
SELECT set_config('statement_timeout', '0', false)
SELECT set_config('row_security', 'off', false)
DO $$ BEGIN DELETE FROM public.cities; END $$
PREPARE a AS SELECT 1
EXECUTE a
DECLARE a CURSOR FOR SELECT secret FROM public.vault
CALL owned()
LISTEN owned
NOTIFY owned
LOCK TABLE public.cities
GRANT ALL ON public.vault TO PUBLIC
CREATE FUNCTION owned() RETURNS int LANGUAGE sql AS 'SELECT 1'
CREATE EXTENSION dblink
ALTER ROLE CURRENT_USER SUPERUSER
TRUNCATE public.cities
SELECT nextval('public.numbers')
SELECT setval('public.numbers', 99)
SELECT public.tell_secret()
SELECT tell_secret()
SELECT x FROM public.tell_secret() x
SELECT pg_terminate_backend(pg_backend_pid())
SELECT pg_cancel_backend(1)
SELECT pg_reload_conf()
SELECT pg_advisory_lock(1)
SELECT pg_notify('a', 'b')
SELECT pg_logical_emit_message(true, 'a', 'b')
SELECT 'LEAK', rolpassword FROM pg_authid
SELECT 'LEAK', passwd FROM pg_shadow
WITH pg_authid AS (SELECT rolpassword FROM pg_authid) SELECT 'LEAK', * FROM pg_authid
SELECT most_common_vals::text FROM pg_stats WHERE tablename = 'vault'
SELECT histogram_bounds::text FROM pg_stats WHERE tablename IN ('vault', 'employees')
SELECT 'LEAK', stavalues1 FROM pg_statistic
SELECT 'LEAK' FROM pg_largeobject
SELECT 'LEAK', umoptions FROM pg_user_mapping
SELECT 'LEAK' FROM pg_hba_file_rules
SELECT U&"\\0073ecret" FROM public.vault
SELECT U&'\\0053' || secret FROM public.vault
SELECT E'\\'', secret FROM public.vault
SELECT $$x$$, secret FROM public.vault
SELECT $a$'$a$, secret FROM public.vault --'
SELECT secret::text FROM public.vault
SELECT CAST(secret AS xml) FROM public.vault
SELECT CAST(secret AS int) FROM public.vault
SELECT 'public.vault'::regclass::text, 'LEAK' FROM public.vault
SELECT name FROM public.employees WHERE 1 / (CASE WHEN region = 'south' THEN 0 ELSE 1 END) = 1
SELECT name FROM public.employees WHERE CAST(CASE WHEN region = 'south' THEN name ELSE '1' END AS int) = 1
SELECT name FROM public.employees WHERE 1 / (id - 3) < 5
SELECT name FROM public.employees WHERE id / (id - 3) IS NULL
SELECT e.name FROM public.employees e JOIN public.cities c ON 1 / (e.id - 3) < 5
SELECT name FROM public.employees ORDER BY CAST(CASE WHEN region = 'south' THEN name ELSE '1' END AS int)
SELECT chr(67), secret FROM public.vault
SELECT convert_from('x', 'UTF8'), secret FROM public.vault
SELECT xpath('/a', secret::xml) FROM public.vault
SELECT 'LEAK' FROM public.vault WHERE secret ~ 'CANARY'
SELECT 'LEAK' FROM public.vault WHERE secret SIMILAR TO 'CANARY%'
SELECT "pg_catalog"."pg_read_file"('PG_VERSION'), 'LEAK'
SELECT "pg_read_file"('PG_VERSION'), 'LEAK'
SELECT pg_catalog.set_config('pustaka.region', 'south', true), name FROM public.employees
SELECT name FROM public.employees WHERE region OPERATOR(pg_catalog.=) 'south'
SELECT repeat('x', 900000000)
SELECT lpad('x', 900000000)
SELECT rpad('x', 900000000)
"""

SQLITE_BOMBS = """
WITH RECURSIVE a(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM a) SELECT count(*) FROM a
WITH a(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM a) SELECT max(x) FROM a
SELECT count(*) FROM n a, n b, n c, n d, n e
SELECT count(DISTINCT a.x + b.x * c.x) FROM n a, n b, n c, n d
SELECT max(length(a.x || b.x || c.x)) FROM n a, n b, n c, n d, n e WHERE a.x LIKE '%9%9%9%'
"""

POSTGRES_BOMBS = """
WITH RECURSIVE a(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM a) SELECT count(*) FROM a
SELECT pg_sleep(20)
SELECT pg_catalog.pg_sleep_for('20 seconds')
SELECT count(*) FROM generate_series(1, 1000000000)
SELECT generate_series(1, 1000000000)
SELECT count(*) FROM public.n a, public.n b, public.n c, public.n d, public.n e
SELECT max(length(a.x::text || b.x::text)) FROM public.n a, public.n b, public.n c, public.n d WHERE a.x > 0
SELECT 1 FROM public.n WHERE repeat('a', 40) ~ '(((a+)+)+)+b'
"""


def read_queries(listed: str) -> list[str]:
    """One query a line."""
    return [line for line in listed.strip().splitlines() if line]
