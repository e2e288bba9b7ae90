"""The first check: a query is parsed, held to what may be read, and written anew; only what was written is run.

Nothing is looked for that is bad: what is not on a list is refused. Each table becomes a subquery that has its allowed
columns and rows and no others, so that no alias, join, subquery or set operation reaches past them: what they could
refer to is not there. A table's name is written with its schema, and each CTE has a name of ours, so that the
database cannot take the one for the other.
"""

import re
from collections.abc import Mapping
from itertools import pairwise

from sqlglot import Token, TokenType, exp

from datasources.access import Access, Attributes, TableName
from datasources.errors import QueryRefused
from datasources.expansion import check_expansion
from datasources.functions import FUNCTIONS, KEYWORDS, TYPES, Dialect
from datasources.parsing import parse_query, split_into_tokens, write_sql
from datasources.syntax import check_nodes, fold_names
from datasources.table_resolver import TableResolver

_CTE = re.compile(r"query_[0-9]+")


def check_query(
    sql: str,
    dialect: Dialect,
    access: Access,
    user: Attributes,
    *,
    max_rows: int,
    stored_as: Mapping[TableName, TableName] | None = None,
) -> str:
    """*sql* as it may be run: one SELECT over the allowed tables, columns and rows, with at most *max_rows* rows.

    *stored_as*: what stands for a table in the database, if not the table itself.

    Raises:
        QueryRefused: it is no such query, or could not be one.
    """
    statement = parse_query(sql, dialect)
    check_nodes(statement, dialect)
    fold_names(statement, dialect)
    check_expansion(statement)
    _limit_rows(statement, max_rows)
    TableResolver(dialect, access, user, stored_as or {}).resolve(statement)
    return _write(statement, dialect)


def _limit_rows(statement: exp.Expr, max_rows: int) -> None:
    """Give the whole no more than *max_rows* rows."""
    for limit in statement.find_all(exp.Limit, exp.Offset):
        amount = limit.expression
        if not (isinstance(amount, exp.Literal) and not amount.is_string and amount.name.isdigit()):
            raise QueryRefused("LIMIT and OFFSET take a number.")
    own = statement.args.get("limit")
    if own is None or len(own.expression.name) > 9 or int(own.expression.name) > max_rows:
        statement.set("limit", exp.Limit(expression=exp.Literal.number(max_rows)))


def _write(statement: exp.Expr, dialect: Dialect) -> str:
    """The text, and a second look at it: whatever stands before a parenthesis may be called or is a keyword."""
    sql = write_sql(statement, dialect)
    tokens = split_into_tokens(sql, dialect)
    before = ""
    for token, following in pairwise(tokens):
        if following.token_type is TokenType.L_PAREN:
            _check_called(token, before, dialect)
        before = token.text.upper()
    return sql


def _check_called(token: Token, before: str, dialect: Dialect) -> None:
    word = token.text.lower()
    if token.token_type is TokenType.IDENTIFIER:  # in quotation marks: it names columns, as in `AS "t"("a", "b")`
        is_allowed = before == "AS" or _CTE.fullmatch(word) is not None
    else:
        is_word = re.match(r"\w", word) and token.token_type not in (TokenType.STRING, TokenType.NUMBER)
        is_allowed = not is_word or bool({word, *word.split()} & (FUNCTIONS[dialect] | KEYWORDS | TYPES))
    if not is_allowed:
        raise QueryRefused(f"The function {word[:60]!r} is not allowed.")
