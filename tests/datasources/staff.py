"""A small database with things that may not be read, in both dialects, and what may be read of it."""

import sqlite3
from pathlib import Path
from urllib.parse import unquote, urlsplit

import psycopg

from datasources.access import TableAccess
from datasources.mysql import MysqlSource
from datasources.postgres import PostgresSource
from datasources.server_address import ServerAddress
from tests.servers.mariadb import MariadbServer

USER = {"region": "north"}
READER, READER_PASSWORD = "reader", "only-to-read"
TABLES = """
CREATE TABLE employees (id INTEGER PRIMARY KEY, name TEXT NOT NULL, region TEXT NOT NULL, salary INTEGER NOT NULL);
CREATE TABLE cities (name TEXT PRIMARY KEY);
CREATE TABLE vault (secret TEXT NOT NULL, city TEXT REFERENCES cities (name));
CREATE TABLE n (x INTEGER);
INSERT INTO employees VALUES
  (1, 'Ana', 'north', 98765401), (2, 'Budi', 'north', 98765402), (3, 'CANARY-ROW', 'south', 98765403);
INSERT INTO cities VALUES ('Bandung'), ('Concepción');
INSERT INTO vault VALUES ('CANARY-TABLE', 'Bandung');
WITH RECURSIVE a(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM a WHERE x < 300) INSERT INTO n SELECT x FROM a;
"""
# A role that may read what the access below says, and its rows by a policy; as docs/data-sources.md has it.
RIGHTS = """
CREATE SEQUENCE numbers;
CREATE FUNCTION tell_secret() RETURNS text LANGUAGE sql SECURITY DEFINER AS 'SELECT secret FROM public.vault';
REVOKE EXECUTE ON FUNCTION tell_secret() FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION pg_catalog.set_config(text, text, boolean) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION pg_catalog.repeat(text, integer), pg_catalog.lpad(text, integer),
  pg_catalog.rpad(text, integer), pg_catalog.lpad(text, integer, text), pg_catalog.rpad(text, integer, text)
  FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION pg_catalog.lo_create(oid), pg_catalog.lo_creat(integer), pg_catalog.lo_from_bytea(oid, bytea)
  FROM PUBLIC;
GRANT SELECT (id, name, region) ON employees TO reader;
GRANT SELECT ON cities, n TO reader;
ALTER TABLE employees ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_region ON employees TO reader USING (region = current_setting('pustaka.region', true));
ANALYZE;
"""
# A text can be a key where its length is limited; and the rest as above.
MYSQL_TABLES = """
CREATE TABLE employees (id INTEGER PRIMARY KEY, name VARCHAR(100) NOT NULL, region VARCHAR(20) NOT NULL,
  salary INTEGER NOT NULL);
CREATE TABLE cities (name VARCHAR(100) PRIMARY KEY);
CREATE TABLE vault (secret VARCHAR(100) NOT NULL, city VARCHAR(100), FOREIGN KEY (city) REFERENCES cities (name));
CREATE TABLE n (x INTEGER);
INSERT INTO employees VALUES
  (1, 'Ana', 'north', 98765401), (2, 'Budi', 'north', 98765402), (3, 'CANARY-ROW', 'south', 98765403);
INSERT INTO cities VALUES ('Bandung'), ('Concepción');
INSERT INTO vault VALUES ('CANARY-TABLE', 'Bandung');
INSERT INTO n WITH RECURSIVE a(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM a WHERE x < 300) SELECT x FROM a;
"""
# There are no policies of rows: what a login may read of them is a view.
MYSQL_RIGHTS = """
RENAME TABLE employees TO all_employees;
CREATE SQL SECURITY DEFINER VIEW employees AS SELECT id, name, region FROM all_employees WHERE region = 'north';
CREATE FUNCTION tell_secret() RETURNS VARCHAR(100) READS SQL DATA RETURN (SELECT max(secret) FROM vault);
CREATE OR REPLACE USER {user}@127.0.0.1 IDENTIFIED BY '{password}';
GRANT SELECT ON employees TO {user}@127.0.0.1;
GRANT SELECT ON cities TO {user}@127.0.0.1;
GRANT SELECT (x) ON n TO {user}@127.0.0.1;
"""
_ALLOWED = {
    # So that it costs more than what is tried on the rows before it, if they are there to be tried.
    "employees": TableAccess(("id", "name", "region"), "lower(trim(region)) = {user.region}"),
    "cities": TableAccess(("name",)),
    "n": TableAccess(("x",)),
}
SQLITE_ACCESS = MYSQL_ACCESS = {("main", name): allowed for name, allowed in _ALLOWED.items()}
POSTGRES_ACCESS = {("public", name): allowed for name, allowed in _ALLOWED.items()}


def make_sqlite_file(file: Path) -> None:
    connection = sqlite3.connect(file)
    connection.executescript(TABLES)
    connection.close()


def make_postgres_database(url: str) -> PostgresSource:
    """Fill the database at *url*; the source reads it as a role that may do no more than that."""
    with psycopg.connect(url, autocommit=True) as connection:
        if connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (READER,)).fetchone() is None:
            connection.execute(f"CREATE ROLE {READER} LOGIN PASSWORD '{READER_PASSWORD}'".encode())
        connection.execute(TABLES.encode())
        connection.execute(RIGHTS.encode())
    parts = urlsplit(url)
    address = ServerAddress(
        "127.0.0.1", parts.port or 0, unquote(parts.path.strip("/")), READER, READER_PASSWORD, "disable"
    )
    return PostgresSource(address, lambda host, port: host)


def make_mysql_database(server: MariadbServer) -> MysqlSource:
    """A new database; the source reads it as a login of its own, that may do no more than that."""
    name = server.new_database()
    user = name.replace("test", READER)
    server.execute(MYSQL_TABLES + MYSQL_RIGHTS.format(user=user, password=READER_PASSWORD), name)
    address = ServerAddress("127.0.0.1", server.port, name, user, READER_PASSWORD, "disable")
    return MysqlSource(address, lambda host, port: host)
