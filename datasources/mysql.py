"""MySQL and MariaDB, and their second check of queries: a transaction that only reads, and what the login may do."""

import re
import socket
import ssl
import struct
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from functools import cache
from typing import Any

import pymysql
from pymysql.constants import ER
from pymysql.cursors import SSCursor

from datasources.access import Access, Attributes, TableName
from datasources.bounded_sockets import BoundedTlsSocket, connect, receive_at_most
from datasources.errors import QueryFailed, SourceUnavailable
from datasources.functions import Dialect
from datasources.guard import check_query
from datasources.mysql_schema import read_tables, sample_table
from datasources.results import QueryLimits, Result, collect
from datasources.schema import Schema, SchemaLimits
from datasources.server_address import FindAddress, ServerAddress
from datasources.stopping import Stop

CONNECT_S = 5
_GRACE_S = 3.0  # for the server to take a cancellation, before the connection is cut
_SELECT = re.compile(r"(?:SELECT|WITH)\b", re.IGNORECASE)
_OF_SUPERUSERS = re.compile(r"\b(?:SUPER|FILE|SHUTDOWN|CREATE USER|SYSTEM_USER)\b")
_OF_WRITERS = re.compile(r"\b(INSERT|UPDATE|DELETE|DROP|ALTER|CREATE|ALL PRIVILEGES)\b")
_SUPERUSER = (
    "The login of this data source may administer the server, or write files there: give it one that only reads."
)
# 1698: it takes none by password; 1251, 2054, 2059: its way of taking one is not known here.
_WRONG_LOGIN = (ER.ACCESS_DENIED_ERROR, 1698, 1251, 2054, 2059)
_MAX_BYTES = 32_000_000  # that a server sends for one result, before it is looked at
_LONGEST_MESSAGE = 300  # characters of what a server says
# What PyMySQL raises on packets that are none of the protocol, and on one that asks for a file of ours.
_NO_PROTOCOL = (RuntimeError, AssertionError, LookupError, struct.error)
# Errors whose words are of the query and its names, not of values; 1582: a wrong count of arguments.
_OF_QUERIES = (
    ER.PARSE_ERROR, ER.BAD_FIELD_ERROR, ER.BAD_TABLE_ERROR, ER.NO_SUCH_TABLE, ER.UNKNOWN_TABLE, ER.NON_UNIQ_ERROR,
    ER.NONUNIQ_TABLE, ER.SP_DOES_NOT_EXIST, ER.WRONG_FIELD_WITH_GROUP, ER.MIX_OF_GROUP_FUNC_AND_FIELDS,
    ER.INVALID_GROUP_FUNC_USE, ER.WRONG_NUMBER_OF_COLUMNS_IN_SELECT, ER.OPERAND_COLUMNS, ER.SUBQUERY_NO_1_ROW,
    1582, ER.DERIVED_MUST_HAVE_ALIAS, ER.TABLEACCESS_DENIED_ERROR,
    ER.COLUMNACCESS_DENIED_ERROR, ER.CANT_AGGREGATE_2COLLATIONS,
)  # fmt: skip
_TOO_LONG = (ER.QUERY_TIMEOUT, ER.STATEMENT_TIMEOUT, ER.QUERY_INTERRUPTED)


class MysqlSource:
    """A database on a server. Tables are named without their database: a source is one."""

    dialect: Dialect = "mysql"

    def __init__(self, address: ServerAddress, find_address: FindAddress) -> None:
        self._address, self._find_address = address, find_address

    def check(self, stop: Stop) -> list[str]:
        """See `DataSource.check`."""
        with self._open(QueryLimits().seconds, stop) as connection, _translate_all_errors():
            grants = _read_grants(connection)
        advice = "The login may write: nothing does, but one that may only read is safer."
        return [advice] if any(_OF_WRITERS.search(privileges) for privileges, _ in grants) else []

    def read_schema(self, limits: SchemaLimits, stop: Stop) -> Schema:
        """See `DataSource.read_schema`."""
        with self._open(limits.seconds, stop) as connection:
            with _translate_all_errors():
                tables = read_tables(connection, limits)
            schema, complete = limits.cut(tables)
            for place, table in enumerate(schema):
                # A table that cannot be read, or for which there is no time, has no samples.
                with suppress(pymysql.MySQLError), receive_at_most(_MAX_BYTES):
                    schema[place] = sample_table(connection, self._address.database, table, limits)
                if not connection.open or stop.is_stopped:
                    break
        return Schema(tuple(schema), complete and all(each.sampled_rows is not None for each in schema))

    def run(self, sql: str, access: Access, user: Attributes, limits: QueryLimits, stop: Stop) -> Result:
        """See `DataSource.run`."""
        stored_as = name_tables(access, self._address.database)
        checked = check_query(sql, "mysql", access, user, max_rows=limits.rows + 1, stored_as=stored_as)
        return self.execute(checked, limits, stop)

    def execute(self, sql: str, limits: QueryLimits, stop: Stop) -> Result:
        """What *sql* gives with the second check alone: which tables and columns, the rights of the login say.

        Raises:
            QueryFailed: the server refused it, or it took too long.
            SourceUnavailable: the database cannot be used.
        """
        if not _SELECT.match(sql.lstrip()):
            raise QueryFailed("Only a SELECT can be run.")
        with self._open(limits.seconds, stop) as connection, _translate_errors(limits.seconds, stop):
            cursor = connection.cursor(SSCursor)
            cursor.execute(sql)
            columns = [each[0] for each in cursor.description or ()]
            result = collect(sql, columns, cursor.fetchmany, limits)
            if result.truncated:
                self._kill(connection.thread_id())  # else all that is left would be read
                with suppress(pymysql.MySQLError):
                    cursor.close()
            else:
                cursor.close()
            return result

    @contextmanager
    def _open(self, seconds: float, stop: Stop) -> Iterator["pymysql.Connection[Any]"]:
        connection, copy = self._connect(seconds, stop)
        try:
            with (
                closing(copy),
                receive_at_most(_MAX_BYTES),
                stop.ending(lambda: self._end(connection.thread_id(), copy), seconds + 1),
            ):
                with _translate_all_errors():
                    _prepare_session(connection, seconds)
                    grants = _read_grants(connection)
                if any(map(_is_of_superuser, grants)):
                    raise SourceUnavailable(_SUPERUSER)
                yield connection
        except _NO_PROTOCOL as exc:
            raise SourceUnavailable("The server does not speak MySQL's protocol.") from exc
        finally:
            with suppress(pymysql.MySQLError, OSError):
                connection.close()

    def _connect(self, seconds: float, stop: Stop) -> tuple["pymysql.Connection[Any]", socket.socket]:
        """A connection, and its socket once more, by which it can be cut from another thread."""
        to, where = self._address, f"{self._address.host}:{self._address.port}"
        address = self._find_address(to.host, to.port)
        connection = pymysql.Connection(
            host=to.host,  # for the name in its certificate; the socket is ours
            port=to.port,
            user=to.user,
            password=to.password.encode(),
            database=to.database,
            charset="utf8mb4",
            autocommit=None,
            local_infile=False,
            read_timeout=seconds + 2 * _GRACE_S,
            write_timeout=CONNECT_S,
            program_name="pustaka",
            defer_connect=True,
            **_choose_tls(to.sslmode),
        )
        try:
            own = connect((address, to.port), CONNECT_S)
            copy = own.dup()
            if connection.ssl:
                connection.ctx.sslsocket_class = BoundedTlsSocket
            try:
                # A time limit of the socket's holds for each piece that comes.
                with stop.ending(lambda: _cut(copy), 2 * CONNECT_S):
                    connection.connect(own)
            except BaseException:
                copy.close()
                own.close()
                raise
        except (pymysql.MySQLError, OSError, ValueError, *_NO_PROTOCOL) as exc:  # its words may hold the login
            raise SourceUnavailable(f"MySQL at {where} {_describe_refusal(exc)}") from None
        return connection, copy

    def _end(self, thread_id: int, copy: socket.socket) -> None:
        """Cancel on the server what runs; where it does not listen, let whoever waits for it wait no more."""
        if not self._kill(thread_id):
            _cut(copy)

    def _kill(self, thread_id: int) -> bool:
        """End the query of another connection of this login; whether the server was told to."""
        try:
            connection, copy = self._connect(_GRACE_S, Stop())
        except SourceUnavailable:
            return False
        with closing(copy), closing(connection):
            try:
                connection.cursor().execute(f"KILL QUERY {thread_id:d}")
            except (pymysql.MySQLError, *_NO_PROTOCOL) as exc:
                return bool(exc.args[:1] == (ER.NO_SUCH_THREAD,))
        return True


def _cut(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def name_tables(access: Access, database: str) -> dict[TableName, TableName]:
    """What the tables are called on the server."""
    return {name: (database, name[1]) for name in access}


def _choose_tls(sslmode: str) -> dict[str, Any]:
    if sslmode == "disable":
        return {"ssl_disabled": True}
    if sslmode in ("allow", "prefer"):
        return {}
    return {"ssl": _make_context(sslmode)}


@cache
def _make_context(sslmode: str) -> ssl.SSLContext:
    """Made once: to read all certificates takes longer than to connect."""
    context = ssl.create_default_context()
    context.check_hostname = sslmode == "verify-full"
    if sslmode == "require":
        context.verify_mode = ssl.CERT_NONE
    return context


def _describe_refusal(error: Exception) -> str:
    code = error.args[0] if error.args else 0
    if code in _WRONG_LOGIN:
        return "does not take this user and password."
    if code in (ER.BAD_DB_ERROR, ER.DBACCESS_DENIED_ERROR):
        return "has no such database, or none that this user may read."
    if isinstance(error, ssl.SSLError) or "SSL" in str(error) or "certificate" in str(error):
        return "cannot be reached by TLS as sslmode says."
    return "does not answer."


def _prepare_session(connection: "pymysql.Connection[Any]", seconds: float) -> None:
    is_mariadb = "mariadb" in connection.get_server_info().lower()
    settings: Mapping[str, str] = {
        "sql_mode": "'ONLY_FULL_GROUP_BY,ERROR_FOR_DIVISION_BY_ZERO'",  # as the guard writes: backticks, || is OR
        "lock_wait_timeout": "2",
        "innodb_lock_wait_timeout": "2",
        "net_write_timeout": str(int(seconds) + 10),
        "wait_timeout": str(int(seconds) + 60),
        "group_concat_max_len": "10000",
        **(
            {"max_statement_time": f"{seconds:g}", "max_session_mem_used": "500000000"}
            if is_mariadb
            else {"max_execution_time": str(max(1, int(seconds * 1000)))}
        ),
    }
    with connection.cursor() as cursor:
        cursor.execute("SET " + ", ".join(f"SESSION {name} = {value}" for name, value in settings.items()))
        cursor.execute("SET SESSION TRANSACTION READ ONLY")
        cursor.execute("START TRANSACTION READ ONLY")


def _read_grants(connection: "pymysql.Connection[Any]") -> list[tuple[str, str]]:
    """What the login may do, and on what: ("GRANT SELECT", "`plant`.* TO `reader`@`%`")."""
    with connection.cursor() as cursor:
        cursor.execute("SHOW GRANTS")
        parts = [str(row[0]).partition(" ON ") for row in cursor.fetchall()]
    return [(privileges, rest) for privileges, _, rest in parts]


def _is_of_superuser(grant: tuple[str, str]) -> bool:
    privileges, rest = grant
    is_all = "ALL PRIVILEGES" in privileges and rest.startswith("*.*")
    return is_all or _OF_SUPERUSERS.search(privileges) is not None


@contextmanager
def _translate_errors(seconds: float, stop: Stop) -> Iterator[None]:
    try:
        yield
    except (pymysql.MySQLError, ValueError, OverflowError) as exc:
        if stop.is_stopped:
            raise QueryFailed("The query was cancelled.") from exc
        code = exc.args[0] if exc.args else 0
        if code in _TOO_LONG or (isinstance(exc, pymysql.OperationalError) and 2000 <= int(code) < 3000):
            reason = f"took more than {seconds:g} seconds or gave more than {_MAX_BYTES / 1e6:g} MB"
            raise QueryFailed(f"The query {reason}, or its connection ended.") from exc
        raise QueryFailed(f"MySQL: {_describe_failure(exc)}.") from exc


@contextmanager
def _translate_all_errors() -> Iterator[None]:
    try:
        yield
    except pymysql.MySQLError as exc:
        raise SourceUnavailable(f"MySQL: {_describe(exc)}.") from exc


def _describe_failure(error: Exception) -> str:
    """What the server says, or the number of the error where its words may repeat a value, also a hidden one."""
    code = error.args[0] if error.args else type(error).__name__
    return _describe(error) if code in _OF_QUERIES else f"error {code}"


def _describe(error: Exception) -> str:
    text = str(error.args[1] if len(error.args) > 1 else type(error).__name__)
    return text[:_LONGEST_MESSAGE].rstrip(".")
