"""Databases in SQLite files, and their second check of queries: SQLite's own limits and its authorizer."""

import secrets
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Set
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from datasources.access import Access, Attributes, TableName
from datasources.errors import QueryFailed, SourceUnavailable
from datasources.functions import FUNCTIONS, Dialect
from datasources.guard import check_query
from datasources.parsing import write_sql
from datasources.results import QueryLimits, Result, collect
from datasources.row_filters import make_table_query
from datasources.schema import Column, ForeignKey, Schema, SchemaLimits, Table, add_samples, quote_name
from datasources.sqlite_functions import LONGEST_TEXT, TextFunctions
from datasources.stopping import Stop

_BUSY_S = 1.0
_STEPS = 10_000  # of SQLite's machine between two looks at the time: less than a millisecond
_LIMITS = {
    sqlite3.SQLITE_LIMIT_LENGTH: 10_000_000,  # of our own queries, which read samples of long texts as well
    sqlite3.SQLITE_LIMIT_SQL_LENGTH: 200_000,
    sqlite3.SQLITE_LIMIT_EXPR_DEPTH: 200,
    sqlite3.SQLITE_LIMIT_COMPOUND_SELECT: 50,
    sqlite3.SQLITE_LIMIT_FUNCTION_ARG: 32,
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
    sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 100,  # a call takes the product of both lengths
    sqlite3.SQLITE_LIMIT_WORKER_THREADS: 0,
}
_MAX_COLUMNS = 250
_QUERY_LIMITS = {  # only once the schema is read: tables in it may be wider
    sqlite3.SQLITE_LIMIT_LENGTH: LONGEST_TEXT,
    sqlite3.SQLITE_LIMIT_COLUMN: _MAX_COLUMNS,
}
_LONGEST_DECODED = 40_004  # bytes: one character more than a result shows of a cell
_TABLES = (
    "SELECT name, sql FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name"
)
# cid, name, type, notnull, default, place in the key, hidden (1: of a virtual table)
_COLUMNS = 'SELECT name, type, "notnull", pk FROM pragma_table_xinfo(?) WHERE hidden <> 1'
_FOREIGN_KEYS = 'SELECT id, "from", "table", "to" FROM pragma_foreign_key_list(?) ORDER BY id, seq'


class SqliteSource:
    """A file, opened to be read. Of views and virtual tables nothing is read: what they read cannot be told apart."""

    dialect: Dialect = "sqlite"

    def __init__(self, file: Path, *, missing: str = "The file of this data source is missing.") -> None:
        """*missing* is what is told where there is no such file."""
        self._file, self._missing = file, missing

    def check(self, stop: Stop) -> list[str]:
        """See `DataSource.check`."""
        with self._open(QueryLimits().seconds, stop) as connection:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        return []

    def read_schema(self, limits: SchemaLimits, stop: Stop) -> Schema:
        """See `DataSource.read_schema`."""
        tables: list[Table] = []
        complete = False
        with self._open(limits.seconds, stop) as connection:
            names = [name for name, sql in connection.execute(_TABLES) if not _is_virtual(sql)]
            try:
                tables, complete = limits.cut([_read_table(connection, each) for each in names[: limits.tables + 1]])
                for place, table in enumerate(tables):
                    tables[place] = _sample_table(connection, table, limits)
            except sqlite3.OperationalError as exc:
                if not _is_interrupted(exc) or stop.is_stopped:
                    raise
        return Schema(tuple(tables), complete and all(each.sampled_rows is not None for each in tables))

    def run(self, sql: str, access: Access, user: Attributes, limits: QueryLimits, stop: Stop) -> Result:
        """See `DataSource.run`."""
        views = name_views(access)
        checked = check_query(sql, "sqlite", access, user, max_rows=limits.rows + 1, stored_as=views)
        return self.execute(checked, access, user, limits, stop, views=views)

    def execute(
        self,
        sql: str,
        access: Access,
        user: Attributes,
        limits: QueryLimits,
        stop: Stop,
        *,
        views: Mapping[TableName, TableName],
    ) -> Result:
        """What *sql* gives with the second check alone.

        Tables are read through *views*, which only this connection has: it is their allowed columns and rows.

        Raises:
            QueryFailed: SQLite refused it, or it took too long.
            SourceUnavailable: the file cannot be used.
        """
        with self._open(limits.seconds, stop) as connection:
            for table, (_, view) in views.items():
                query = write_sql(make_table_query(table, access[table], user, "sqlite"), "sqlite")
                connection.execute(f"CREATE TEMP VIEW `{view}` AS {query}")
            connection.execute("PRAGMA query_only = ON")
            unfiltered = {name for (_, name), allowed in access.items() if not allowed.row_filter}
            tables = {view: name for (_, name), (_, view) in views.items()}
            functions = TextFunctions(time.monotonic() + limits.seconds)
            functions.register(connection)
            # Tables may use them in indexes and computed columns, where SQLite trusts no functions but its own.
            connection.execute("PRAGMA trusted_schema = ON")
            connection.set_authorizer(_make_authorizer(tables, unfiltered))
            for limit, value in _QUERY_LIMITS.items():
                connection.setlimit(limit, value)
            with _translate_errors(limits.seconds, stop, functions), closing(connection.execute(sql)) as cursor:
                columns = [each[0] for each in cursor.description or ()]
                # One at a time: each is measured before the next takes its memory.
                return collect(sql, columns, lambda _: cursor.fetchmany(1), limits)

    @contextmanager
    def _open(self, seconds: float, stop: Stop) -> Iterator[sqlite3.Connection]:
        if not self._file.is_file():
            raise SourceUnavailable(self._missing)
        try:
            address = f"file:{quote(str(self._file))}?mode=ro"
            connection = sqlite3.connect(address, uri=True, timeout=_BUSY_S, isolation_level=None)
            with closing(connection):
                for limit, value in _LIMITS.items():
                    connection.setlimit(limit, value)
                connection.text_factory = _decode
                deadline_s = time.monotonic() + seconds
                connection.set_progress_handler(lambda: stop.is_stopped or time.monotonic() > deadline_s, _STEPS)
                connection.execute("PRAGMA trusted_schema = OFF")
                with stop.ending(lambda: _interrupt(connection), seconds + 1):
                    yield connection
        except (sqlite3.Error, sqlite3.Warning) as exc:
            raise SourceUnavailable(f"The file of this data source cannot be read: {exc}.") from exc


def name_views(access: Access) -> dict[TableName, TableName]:
    """Views to read the tables through, by names that nobody knows: SQLite tells the authorizer the name of a view that
    reads, but also that of a CTE, whose name can be chosen."""
    return {table: ("temp", f"_{secrets.token_hex(16)}") for table in access}


def _make_authorizer(tables: Mapping[str, str], unfiltered: Set[str]) -> Callable[..., int]:
    """What lets queries read *tables* (of names of views) and call what is on the list.

    Of *unfiltered* tables rows may be counted: SQLite then names no column and no view.
    https://sqlite.org/c3ref/c_alter_table.html says what its arguments are.
    """
    functions = FUNCTIONS["sqlite"]

    def authorize(action: int, first: str | None, second: str | None, database: str | None, within: str | None) -> int:
        if action == sqlite3.SQLITE_SELECT:
            return sqlite3.SQLITE_OK
        if action == sqlite3.SQLITE_FUNCTION and (second or "").lower() in functions:
            return sqlite3.SQLITE_OK
        if action == sqlite3.SQLITE_READ:
            is_view = database == "temp" and first in tables
            is_counted = second == "" and database == "main" and first in unfiltered
            if is_view or is_counted or (database == "main" and within is not None and tables.get(within) == first):
                return sqlite3.SQLITE_OK
        return sqlite3.SQLITE_DENY

    return authorize


@contextmanager
def _translate_errors(seconds: float, stop: Stop, functions: TextFunctions) -> Iterator[None]:
    began_s = time.monotonic()
    try:
        yield
    except (sqlite3.Error, sqlite3.Warning, OverflowError, MemoryError) as exc:
        if stop.is_stopped:
            raise QueryFailed("The query was cancelled.") from exc
        if _is_interrupted(exc) or time.monotonic() > began_s + seconds:
            raise QueryFailed(f"The query took more than {seconds:g} seconds and was cancelled.") from exc
        raise QueryFailed(f"SQLite: {_describe(exc, functions)}.") from exc


def _describe(error: BaseException, functions: TextFunctions) -> str:
    if functions.refusal:
        return functions.refusal
    code = getattr(error, "sqlite_errorcode", None)
    if code == sqlite3.SQLITE_TOOBIG or isinstance(error, sqlite3.DataError):
        return f"a text or value that the query reads or makes has more than {LONGEST_TEXT:,} bytes"
    if "user-defined function" in str(error):
        return "trim, ltrim, rtrim, instr, glob and replace take texts in UTF-8 alone"
    return str(error)


def _interrupt(connection: sqlite3.Connection) -> None:
    with suppress(sqlite3.ProgrammingError):  # it was closed meanwhile
        connection.interrupt()


def _is_interrupted(error: BaseException) -> bool:
    return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_INTERRUPT


def _decode(text: bytes) -> str:
    """The beginning of *text* that a result may show."""
    return text[:_LONGEST_DECODED].decode("utf-8", "replace")


def _is_virtual(sql: str | None) -> bool:
    return (sql or "").lstrip().upper().startswith("CREATE VIRTUAL")


def _read_table(connection: sqlite3.Connection, name: str) -> Table:
    table = connection.execute(_COLUMNS, (name,)).fetchall()
    keys: dict[int, list[tuple[str, str, str | None]]] = {}
    for number, *key in connection.execute(_FOREIGN_KEYS, (name,)):
        keys.setdefault(number, []).append((key[0], key[1], key[2]))
    return Table(
        ("main", name),
        tuple(Column(column, kind, not required) for column, kind, required, _ in table),
        tuple(column for column, _, _, place in sorted(table, key=lambda each: int(each[3])) if place),
        tuple(
            # Without names of its own, a key refers to the primary key of the other table.
            ForeignKey(tuple(f for f, _, _ in key), ("main", key[0][1]), tuple(t for _, _, t in key if t))
            for key in keys.values()
        ),
    )


def _sample_table(connection: sqlite3.Connection, table: Table, limits: SchemaLimits) -> Table:
    names = [each.name for each in table.columns if "BLOB" not in each.type.upper()]
    if not names:
        return add_samples(table, [], [])
    cells = ", ".join(f"substr({quote_name(each)}, 1, 200)" for each in names)
    query = f"SELECT {cells} FROM main.{quote_name(table.name[1])} LIMIT {limits.sampled_rows}"  # noqa: S608 # quoted
    return add_samples(table, connection.execute(query).fetchall(), names)
