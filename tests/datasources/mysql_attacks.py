"""Queries that try to read, change or hold on MySQL and MariaDB what they may not; see `attacks.py`.

Lists: PayloadsAllTheThings (MySQL), OWASP's Testing Guide (WSTG-INPV-05), the manuals' pages on security.
"""

MYSQL = """
SELECT LOAD_FILE('/etc/passwd')
SELECT LOAD_FILE(0x2F6574632F706173737764)
SELECT name INTO OUTFILE '/tmp/owned-by-a-query' FROM cities
SELECT name FROM cities INTO OUTFILE '/tmp/owned-by-a-query'
SELECT name FROM cities LIMIT 1 INTO DUMPFILE '/tmp/owned-by-a-query'
SELECT max(secret) INTO @a FROM vault
SELECT @a := max(secret) FROM vault
SELECT @a, secret FROM vault
SELECT @@version, secret FROM vault
SELECT @@secure_file_priv, 'LEAK' FROM vault
SELECT /*!50000 secret */ FROM vault
SELECT /*!50000 secret FROM vault */
SELECT name FROM cities /*!50000 UNION SELECT secret FROM vault */
SELECT name FROM cities /*M!100000 UNION SELECT secret FROM vault */
SELECT name FROM cities WHERE name = 'x' /*!OR 1=1*/ UNION SELECT secret FROM vault
SELECT /*+ MAX_EXECUTION_TIME(0) */ secret FROM vault
SELECT name FROM cities WHERE name = '\\' UNION SELECT secret FROM vault -- '
SELECT name FROM cities WHERE name = '\\\\' UNION SELECT secret FROM vault -- '
SELECT name FROM cities WHERE name = "\\" UNION SELECT secret FROM vault -- "
SELECT name FROM cities WHERE name = 'a\\'' UNION SELECT secret FROM vault #'
SELECT name FROM employees WHERE name = "x' OR region = 'south" OR region = "south"
SELECT `secret` FROM `vault`
SELECT `name` FROM `employees` WHERE `region` = 'south'
SELECT `a``b` FROM vault
SELECT secret FROM vault # comment
SELECT secret FROM vault --	tab
SELECT secret FROM vault; -- x
SELECT 1; SELECT secret FROM vault
SELECT 1;;DELETE FROM cities
SELECT name FROM cities PROCEDURE ANALYSE(1, 1)
SELECT name FROM employees FOR UPDATE
SELECT name FROM employees LOCK IN SHARE MODE
SELECT name FROM cities UNION SELECT secret FROM vault LIMIT 1, 5
SELECT name FROM cities UNION (SELECT secret FROM vault)
(SELECT secret FROM vault)
TABLE vault
VALUES ROW(1, 'x')
SELECT * FROM (TABLE vault) x
SELECT secret FROM vault PARTITION (p0)
SELECT secret FROM vault USE INDEX ()
SELECT SQL_CALC_FOUND_ROWS secret FROM vault
SELECT STRAIGHT_JOIN secret FROM vault
SELECT HIGH_PRIORITY secret FROM vault
SELECT DISTINCTROW secret FROM vault
SELECT ALL secret FROM vault
SELECT secret FROM vault HAVING secret LIKE 'CANARY%'
SELECT secret AS name FROM vault GROUP BY secret WITH ROLLUP
SELECT group_concat(secret) FROM vault
SELECT concat(secret, '') FROM vault
SELECT concat_ws(',', secret) FROM vault
SELECT hex(secret), 'LEAK' FROM vault
SELECT unhex(hex(secret)) FROM vault
SELECT to_base64(secret), 'LEAK' FROM vault
SELECT quote(secret) FROM vault
SELECT elt(1, secret) FROM vault
SELECT export_set(1, secret, 'x') FROM vault
SELECT make_set(1, secret) FROM vault
SELECT insert(secret, 1, 0, '') FROM vault
SELECT json_arrayagg(secret) FROM vault
SELECT json_object('a', secret) FROM vault
SELECT x.s FROM JSON_TABLE((SELECT json_arrayagg(secret) FROM vault), '$[*]' COLUMNS (s TEXT PATH '$')) x
SELECT extractvalue(1, concat(0x7e, (SELECT secret FROM vault LIMIT 1)))
SELECT updatexml(1, concat(0x7e, (SELECT secret FROM vault LIMIT 1)), 1)
SELECT count(*), concat((SELECT secret FROM vault), floor(rand(0) * 2)) x FROM n GROUP BY x
SELECT exp(~(SELECT * FROM (SELECT secret FROM vault) x))
SELECT name_const((SELECT secret FROM vault), 1)
SELECT geometrycollection((SELECT * FROM (SELECT * FROM (SELECT secret FROM vault) a) b))
SELECT polygon((SELECT * FROM (SELECT secret FROM vault) a))
SELECT CASE WHEN (SELECT secret FROM vault LIMIT 1) REGEXP '^CANARY' THEN 'LEAK' END
SELECT 'LEAK' FROM vault WHERE secret RLIKE 'CANARY'
SELECT 'LEAK' FROM vault WHERE MATCH (secret) AGAINST ('CANARY')
SELECT 'LEAK' FROM vault WHERE secret SOUNDS LIKE 'CANARY-TABLE'
SELECT 'LEAK' FROM vault WHERE BINARY secret = 'CANARY-TABLE'
SELECT 'LEAK' FROM vault WHERE secret = _utf8mb4'CANARY-TABLE'
SELECT 'LEAK' FROM vault WHERE secret = X'43414E4152592D5441424C45'
SELECT 'LEAK' FROM vault WHERE secret = 0x43414E4152592D5441424C45
SELECT 'LEAK' FROM vault WHERE secret COLLATE utf8mb4_bin = 'CANARY-TABLE'
SELECT 'LEAK' FROM employees WHERE salary DIV 1 > 0
SELECT 'LEAK' FROM employees WHERE region = 'south' XOR 0
SELECT 'LEAK' FROM employees WHERE region && 1 OR region = 'south'
SELECT if(region = 'south', 'LEAK', NULL) FROM employees
SELECT name FROM employees WHERE (SELECT 1 UNION SELECT 2 FROM employees WHERE region = 'south') = 1
SELECT name FROM employees WHERE cast(name AS SIGNED) / (id - 3) IS NULL AND region = 'south'
SELECT name FROM employees ORDER BY if(region = 'south', 0, 1) LIMIT 1 OFFSET 2
SELECT e.name FROM employees AS e NATURAL LEFT JOIN vault
SELECT e.name FROM employees e JOIN (SELECT secret FROM vault) v
SELECT v.secret FROM cities c, LATERAL (SELECT secret FROM vault) v
WITH RECURSIVE a AS (SELECT secret FROM vault UNION SELECT secret FROM a) SELECT * FROM a
SELECT secret FROM vault AS OF TIMESTAMP NOW()
SELECT secret FROM vault FOR SYSTEM_TIME ALL
SELECT NEXT VALUE FOR numbers
SELECT tell_secret()
SELECT `tell_secret`()
SELECT 'LEAK', authentication_string FROM mysql.user
SELECT 'LEAK' FROM mysql.global_priv
SELECT 'LEAK', user FROM mysql.db
SELECT 'LEAK' FROM information_schema.tables WHERE table_name = 'vault'
SELECT 'LEAK' FROM information_schema.columns WHERE column_name IN ('secret', 'salary')
SELECT 'LEAK' FROM information_schema.column_statistics
SELECT 'LEAK' FROM performance_schema.threads WHERE processlist_user <> substring_index(user(), '@', 1)
SELECT 'LEAK' FROM sys.session
SELECT 'LEAK' FROM all_employees
SELECT name FROM all_employees
SHOW TABLES
SHOW CREATE TABLE vault
SHOW GLOBAL VARIABLES
DESCRIBE vault
HANDLER vault OPEN
SET @@session.max_statement_time = 0
SET GLOBAL general_log_file = '/tmp/owned-by-a-query'
SET SESSION TRANSACTION READ WRITE
SET PASSWORD = PASSWORD('owned')
START TRANSACTION READ WRITE
DO SLEEP(0)
CALL owned()
PREPARE a FROM 'SELECT 1'
EXECUTE IMMEDIATE 'SELECT secret FROM vault'
LOAD DATA LOCAL INFILE '/etc/passwd' INTO TABLE cities
LOAD DATA INFILE '/etc/passwd' INTO TABLE cities
LOAD XML INFILE '/etc/passwd' INTO TABLE cities
INSERT INTO cities VALUES ('owned') ON DUPLICATE KEY UPDATE name = 'owned'
WITH a AS (SELECT 1) UPDATE cities SET name = 'owned'
WITH a AS (SELECT 1 AS x) DELETE cities FROM cities JOIN a
TRUNCATE TABLE cities
CREATE TEMPORARY TABLE owned (x INT)
CREATE TABLE owned AS SELECT secret FROM vault
CREATE USER owned
GRANT ALL ON *.* TO CURRENT_USER
INSTALL PLUGIN owned SONAME 'owned.so'
CREATE FUNCTION owned RETURNS STRING SONAME 'owned.so'
FLUSH TABLES
KILL 1
SHUTDOWN
USE mysql
XA START 'a'
LOCK TABLES cities WRITE
SELECT get_lock('owned', 0), secret FROM vault
SELECT master_pos_wait('a', 1), secret FROM vault
SELECT sys_exec('id')
SELECT sys_eval('id')
SELECT repeat('x', 900000000)
SELECT lpad('x', 900000000, 'y')
SELECT rpad('x', 900000000, 'y')
SELECT space(900000000)
SELECT group_concat(repeat('x', 100000000)) FROM n
"""

MYSQL_BOMBS = """
SELECT SLEEP(30)
SELECT name FROM cities WHERE SLEEP(30)
SELECT BENCHMARK(1000000000, SHA2('x', 512))
WITH RECURSIVE a(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM a) SELECT count(*) FROM a
SELECT count(*) FROM n a, n b, n c, n d, n e
SELECT count(DISTINCT a.x + b.x * c.x) FROM n a, n b, n c, n d
SELECT max(char_length(concat(a.x, b.x, c.x))) FROM n a, n b, n c, n d, n e WHERE a.x LIKE '%9%9%9%'
SELECT 1 FROM n WHERE repeat('a', 40) REGEXP '(((a+)+)+)+b'
"""
