"""PostgreSQL databases, and their second check of queries: a transaction that only reads, and what the role may do."""

import os
import re
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from typing import Any

import psycopg
from psycopg import sql as pg

from datasources.access import Access, Attributes
from datasources.bounded_relay import BoundedRelay
from datasources.errors import QueryFailed, SourceUnavailable
from datasources.functions import Dialect
from datasources.guard import check_query
from datasources.results import QueryLimits, Result, collect
from datasources.schema import Column, ForeignKey, Schema, SchemaLimits, Table, add_samples
from datasources.server_address import FindAddress, ServerAddress
from datasources.stopping import Stop

CONNECT_S = 5
_CONNECT_BYTES = 100_000  # that a server may send until then: some certificates, and what it says of itself
_MAX_BYTES = 32_000_000  # that it may send for one result, before that is looked at
_GRACE_S = 3.0  # for the server to take a cancellation, before the connection is cut
_LONGEST_MESSAGE = 300  # characters of what a server says
# Classes of errors whose words are of the query and its types, not of values:
# https://www.postgresql.org/docs/current/errcodes-appendix.html
_OF_QUERIES = ("0A", "21", "25", "42", "53", "54")
_NOTES_LEAVERS = 140_000  # the version that can look whether its client is still there
_NOT_THERE = "n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_'"
_COLUMNS = f"""
SELECT n.nspname, c.relname, a.attname, CASE t.typtype WHEN 'e' THEN 'enum(' || t.typname || ')'
       ELSE format_type(a.atttypid, a.atttypmod) END, NOT a.attnotnull,
       has_column_privilege(c.oid, a.attnum, 'SELECT')
FROM (SELECT c.* FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND {_NOT_THERE} AND has_schema_privilege(n.oid, 'USAGE')
        AND has_any_column_privilege(c.oid, 'SELECT')
      ORDER BY n.nspname <> 'public', n.nspname, c.relname LIMIT %s) c
JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid
JOIN pg_type t ON t.oid = a.atttypid
WHERE a.attnum > 0 AND NOT a.attisdropped ORDER BY n.nspname <> 'public', n.nspname, c.relname, a.attnum
"""  # noqa: S608 # a constant
_KEYS = f"""
SELECT n.nspname, c.relname, k.contype::text, other_n.nspname, other.relname,
  (SELECT array_agg(a.attname::text ORDER BY p.place) FROM unnest(k.conkey) WITH ORDINALITY p(number, place)
     JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = p.number),
  (SELECT array_agg(a.attname::text ORDER BY p.place) FROM unnest(k.confkey) WITH ORDINALITY p(number, place)
     JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = p.number)
FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_class other ON other.oid = k.confrelid LEFT JOIN pg_namespace other_n ON other_n.oid = other.relnamespace
WHERE k.contype IN ('p', 'f') AND {_NOT_THERE} ORDER BY k.conname
"""  # noqa: S608 # a constant
_MAY_WRITE = f"""
SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND {_NOT_THERE} AND has_table_privilege(c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE')
"""  # noqa: S608 # a constant
_NO_AUTHORITIES = "has no certificates of authorities for that; the operator can name their file in PGSSLROOTCERT."
_SUPERUSER = "The role of this data source is a superuser's: give it one that may only read."


class PostgresSource:
    """A database on a server."""

    dialect: Dialect = "postgres"

    def __init__(self, address: ServerAddress, find_address: FindAddress) -> None:
        self._address, self._find_address = address, find_address

    def check(self, stop: Stop) -> list[str]:
        """See `DataSource.check`."""
        with self._open(QueryLimits().seconds, stop, {}) as (connection, _), _translate_all_errors():
            row = connection.execute(_MAY_WRITE).fetchone()
        writable = int(row[0]) if row else 0
        advice = f"The role may write to {writable} tables: nothing does, but a role that may only read is safer."
        return [advice] if writable else []

    def read_schema(self, limits: SchemaLimits, stop: Stop) -> Schema:
        """See `DataSource.read_schema`."""
        with self._open(limits.seconds, stop, {}) as (connection, relay):
            with _translate_all_errors():
                tables = _read_tables(connection, limits)
            schema, complete = limits.cut(tables)
            for place, table in enumerate(schema):
                relay.left_bytes = _MAX_BYTES
                # A table that cannot be read, or for which there is no time, has no samples.
                with suppress(psycopg.Error), connection.transaction():
                    schema[place] = _sample_table(connection, table, limits)
                if connection.broken or stop.is_stopped:
                    break
        return Schema(tuple(schema), complete and all(each.sampled_rows is not None for each in schema))

    def run(self, sql: str, access: Access, user: Attributes, limits: QueryLimits, stop: Stop) -> Result:
        """See `DataSource.run`."""
        checked = check_query(sql, "postgres", access, user, max_rows=limits.rows + 1)
        return self.execute(checked, user, limits, stop)

    def execute(self, sql: str, user: Attributes, limits: QueryLimits, stop: Stop) -> Result:
        """What *sql* gives with the second check alone: which tables and rows, the rights of the role say.

        What is known of the user is in settings of the transaction, `pustaka.region`, which policies of rows can read.

        Raises:
            QueryFailed: PostgreSQL refused it, or it took too long.
            SourceUnavailable: the database cannot be used.
        """
        with (
            self._open(limits.seconds, stop, user) as (connection, _),
            _translate_errors(limits.seconds, stop),
            # DECLARE takes one SELECT and nothing else, no WITH that changes something either.
            connection.cursor("query") as cursor,
        ):
            cursor.execute(sql.encode())
            columns = [each.name for each in cursor.description or ()]
            return collect(sql, columns, cursor.fetchmany, limits)

    @contextmanager
    def _open(
        self, seconds: float, stop: Stop, user: Attributes
    ) -> Iterator[tuple[psycopg.Connection[Any], BoundedRelay]]:
        address = self._find_address(self._address.host, self._address.port)
        relay = BoundedRelay((address, self._address.port), CONNECT_S, _CONNECT_BYTES)
        with relay.open(), closing(self._connect(relay.port)) as connection:
            relay.left_bytes = _MAX_BYTES
            connection.read_only = True
            with stop.ending(lambda: _end(connection), seconds + 1):
                with _translate_all_errors():
                    _prepare_transaction(connection, seconds, user)
                if connection.info.parameter_status("is_superuser") == "on":
                    raise SourceUnavailable(_SUPERUSER)
                yield connection, relay

    def _connect(self, relay_port: int) -> psycopg.Connection[Any]:
        to, where = self._address, f"{self._address.host}:{self._address.port}"
        try:
            return psycopg.connect(
                host=to.host,  # for the name in its certificate
                hostaddr="127.0.0.1",
                port=relay_port,
                dbname=to.database,
                user=to.user,
                password=to.password,
                sslmode=to.sslmode,
                # Nothing of the service's own: no certificate, ticket or file of passwords.
                sslcertmode="disable",
                gssencmode="disable",
                require_auth="password,md5,scram-sha-256,none",
                passfile=os.devnull,
                connect_timeout=CONNECT_S,
                client_encoding="UTF8",
                application_name="pustaka",
                options="-c default_transaction_read_only=on",
            )
        except psycopg.Error as exc:  # its words may hold the login
            raise SourceUnavailable(f"PostgreSQL at {where} {_describe_refusal(exc)}") from None


def _describe_refusal(error: psycopg.Error) -> str:
    text = str(error)
    if "password authentication" in text or "no password" in text or error.sqlstate in ("28P01", "28000"):
        return "does not take this user and password."
    if "root certificate" in text:  # also where its file does not exist
        return f"cannot be checked as sslmode says: the service {_NO_AUTHORITIES}"
    if "does not exist" in text:
        return "has no such database, or no such role."
    if "SSL" in text or "certificate" in text:
        return "cannot be reached by TLS as sslmode says."
    return "does not answer."


def _prepare_transaction(connection: psycopg.Connection[Any], seconds: float, user: Attributes) -> None:
    settings = {
        "statement_timeout": str(int(seconds * 1000)),
        "lock_timeout": "2000",
        "idle_in_transaction_session_timeout": str(int(seconds * 1000) + 10_000),
        "search_path": "pg_catalog",  # nobody's functions stand for PostgreSQL's own
        "standard_conforming_strings": "on",
        "row_security": "on",
        "max_parallel_workers_per_gather": "0",
        **({"client_connection_check_interval": "2000"} if connection.info.server_version >= _NOTES_LEAVERS else {}),
        **{f"pustaka.{name}": value for name, value in user.items()},
    }
    set_local = pg.SQL("SET LOCAL {} = {}")
    statements = (
        set_local.format(pg.Identifier(*name.split(".")), pg.Literal(each)) for name, each in settings.items()
    )
    connection.execute(pg.SQL("; ").join(statements))


def _end(connection: psycopg.Connection[Any]) -> None:
    """Cancel on the server what runs, and let whoever waits for it wait no more."""
    with suppress(psycopg.Error):
        connection.cancel_safe(timeout=_GRACE_S)
    with suppress(psycopg.Error, OSError), socket.socket(fileno=os.dup(connection.fileno())) as copy:
        copy.shutdown(socket.SHUT_RDWR)


@contextmanager
def _translate_errors(seconds: float, stop: Stop) -> Iterator[None]:
    try:
        yield
    except psycopg.Error as exc:
        if stop.is_stopped:
            raise QueryFailed("The query was cancelled.") from exc
        if isinstance(exc, psycopg.errors.QueryCanceled | psycopg.OperationalError):
            reason = f"took more than {seconds:g} seconds or gave more than {_MAX_BYTES / 1e6:g} MB"
            raise QueryFailed(f"The query {reason}, or its connection ended.") from exc
        raise QueryFailed(f"PostgreSQL: {_describe(exc)}.") from exc


def _describe(error: psycopg.Error) -> str:
    """What the server says, or the kind of error alone where its words may repeat a value, also a hidden one."""
    kind = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(error).__name__).lower()
    is_of_query = (error.sqlstate or "").startswith(_OF_QUERIES)
    return ((is_of_query and error.diag.message_primary) or kind)[:_LONGEST_MESSAGE]


@contextmanager
def _translate_all_errors() -> Iterator[None]:
    try:
        yield
    except psycopg.Error as exc:
        reason = (exc.diag.message_primary or "the connection ended, or it sends too much")[:_LONGEST_MESSAGE]
        raise SourceUnavailable(f"PostgreSQL: {reason}.") from exc


def _read_tables(connection: psycopg.Connection[Any], limits: SchemaLimits) -> list[Table]:
    """One more than the limit, where there are more."""
    columns: dict[tuple[str, str], list[Column]] = {}
    for schema, name, column, kind, is_nullable, is_readable in connection.execute(_COLUMNS, (limits.tables + 1,)):
        if is_readable:
            columns.setdefault((schema, name), []).append(Column(column, kind, is_nullable))
    tables = {name: Table(name, tuple(each)) for name, each in columns.items()}
    for schema, name, kind, other_schema, other, own_columns, other_columns in connection.execute(_KEYS):
        table = tables.get((schema, name))
        if table is None:
            continue
        if kind == "p":
            tables[table.name] = replace(table, primary_key=tuple(own_columns))
        else:
            key = ForeignKey(tuple(own_columns), (other_schema, other), tuple(other_columns))
            tables[table.name] = replace(table, foreign_keys=(*table.foreign_keys, key))
    return list(tables.values())


def _sample_table(connection: psycopg.Connection[Any], table: Table, limits: SchemaLimits) -> Table:
    names = [each.name for each in table.columns if each.type != "bytea"]
    if not names:
        return add_samples(table, [], [])
    cells = pg.SQL(", ").join(pg.SQL("left({}::text, 200)").format(pg.Identifier(each)) for each in names)
    query = pg.SQL("SELECT {} FROM {} LIMIT {}").format(
        cells, pg.Identifier(*table.name), pg.Literal(limits.sampled_rows)
    )
    return add_samples(table, connection.execute(query).fetchall(), names)
