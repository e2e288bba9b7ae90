"""SQL as a tree and back: of it nothing is checked but that it is one SELECT, which can be parsed in a moment."""

import re

import sqlglot
from sqlglot import TokenType, exp
from sqlglot.dialects.mysql import MySQL
from sqlglot.dialects.sqlite import SQLite
from sqlglot.errors import ErrorLevel, SqlglotError

from datasources.errors import QueryRefused
from datasources.functions import Dialect

_LONGEST_QUERY = 10_000  # characters
_MAX_TOKENS, _DEEPEST = 2_000, 16
_UNWRITABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_OPENING = frozenset({TokenType.L_PAREN, TokenType.L_BRACKET, TokenType.L_BRACE, TokenType.CASE})
_CLOSING = frozenset({TokenType.R_PAREN, TokenType.R_BRACKET, TokenType.R_BRACE, TokenType.END})


class _Sqlite(SQLite):
    """SQLite with names in backticks: a name in double quotes that it does not know, it takes for a text."""

    class Tokenizer(SQLite.Tokenizer):
        IDENTIFIERS = ["`", '"', ("[", "]")]  # noqa: RUF012 # as sqlglot declares it


class _MySql(MySQL):
    """MySQL with names also in double quotes, as other databases have them; see `_is_text`."""

    class Tokenizer(MySQL.Tokenizer):
        QUOTES = ["'"]  # noqa: RUF012 # as sqlglot declares it
        IDENTIFIERS = ["`", '"']  # noqa: RUF012 # likewise


_DIALECTS: dict[Dialect, type[sqlglot.Dialect]] = {
    "sqlite": _Sqlite,
    "postgres": sqlglot.Dialect.get_or_raise("postgres").__class__,
    "mysql": _MySql,
}


def parse_query(sql: str, dialect: Dialect) -> exp.Expr:
    """*sql* as a tree, of which nothing is checked but that it is one SELECT.

    Raises:
        QueryRefused: it is not.
    """
    if len(sql) > _LONGEST_QUERY or _UNWRITABLE.search(sql):
        raise QueryRefused(f"A query has at most {_LONGEST_QUERY:,} characters, none of which is a control character.")
    if dialect == "mysql" and "\\" in sql:
        # What it means hangs on the server's sql_mode: it could end a text elsewhere than it ends here.
        raise QueryRefused("A backslash is not allowed: a quotation mark in a text is written twice.")
    try:
        _check_tokens(sql, dialect)
        statements = [each for each in sqlglot.parse(sql, dialect=_DIALECTS[dialect]) if each is not None]
    except (SqlglotError, RecursionError) as exc:
        raise QueryRefused(f"The query cannot be parsed: {_describe(exc)}") from exc
    if len(statements) != 1 or not isinstance(statements[0], exp.Select | exp.SetOperation):
        raise QueryRefused("Only one SELECT can be run.")
    return statements[0]


def write_sql(query: exp.Expr, dialect: Dialect) -> str:
    """*query* as text, every name in quotation marks, without comments.

    Raises:
        QueryRefused: it cannot be written in this dialect.
    """
    try:
        return query.sql(dialect=_DIALECTS[dialect], identify=True, comments=False, unsupported_level=ErrorLevel.RAISE)
    except (SqlglotError, RecursionError) as exc:
        raise QueryRefused("The query has parts that this database does not know.") from exc


def split_into_tokens(sql: str, dialect: Dialect) -> list[sqlglot.Token]:
    """The words and marks of *sql*."""
    return sqlglot.tokenize(sql, dialect=_DIALECTS[dialect])


def _check_tokens(sql: str, dialect: Dialect) -> None:
    """Before it is parsed, for which deep or long queries take very long."""
    tokens = split_into_tokens(sql, dialect)
    depth = deepest = 0
    for token in tokens:
        depth += (token.token_type in _OPENING) - (token.token_type in _CLOSING)
        deepest = max(deepest, depth)
    if len(tokens) > _MAX_TOKENS or deepest > _DEEPEST:
        raise QueryRefused(f"A query has at most {_MAX_TOKENS:,} words, nested {_DEEPEST} deep.")
    # Whatever else begins a statement, sqlglot may log.
    is_alone = all(each.token_type is not TokenType.SEMICOLON for each in tokens[:-1])
    if not tokens or not is_alone or tokens[0].text.upper() not in ("SELECT", "WITH"):
        raise QueryRefused("Only one SELECT can be run.")


def _describe(error: Exception) -> str:
    errors = getattr(error, "errors", None) or [{}]
    return str(errors[0].get("description") or "it is nested too deeply or damaged.")
