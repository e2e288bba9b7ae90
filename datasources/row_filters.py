"""Which rows of a table may be read: a condition on its columns, in which `{user.NAME}` stands for who asks."""

import re
from collections.abc import Sequence

from sqlglot import exp

from datasources.access import Attributes, TableAccess, TableName
from datasources.errors import QueryRefused
from datasources.functions import Dialect
from datasources.parsing import parse_query
from datasources.syntax import check_nodes, fold_names, lower, quote

_COMPARISONS = (
    exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.NullSafeEQ, exp.NullSafeNEQ, exp.In, exp.Between, exp.Like,
)  # fmt: skip
_OF_TEXTS = (exp.Paren, exp.Lower, exp.Upper, exp.Trim)
_ATTRIBUTE = re.compile(r"\{user\.([a-z][a-z0-9_]{0,39})\}")


def make_table_query(
    table: TableName, allowed: TableAccess, user: Attributes, dialect: Dialect, *, stored_as: TableName | None = None
) -> exp.Select:
    """The SELECT that gives the allowed columns and rows of a table.

    Raises:
        QueryRefused: its row filter cannot be used, or needs what is not known of the user.
    """
    schema, name = stored_as or table
    source = exp.Table(this=quote(name), db=quote(schema))
    query = exp.Select(
        expressions=[exp.Column(this=quote(each)) for each in allowed.columns], from_=exp.From(this=source)
    )
    if allowed.row_filter:
        query.set("where", exp.Where(this=exp.Paren(this=parse_row_filter(allowed.row_filter, user, dialect))))
        # Kept apart from the query around it, whose conditions else could be tried on the rows that are filtered out,
        # and tell of them by failing.
        if dialect == "sqlite":
            query.set("limit", exp.Limit(expression=exp.Neg(this=exp.Literal.number(1))))
        elif dialect == "mysql":
            query.set("limit", exp.Limit(expression=exp.Literal.number(2**64 - 1)))
        query.set("offset", exp.Offset(expression=exp.Literal.number(0)))
    return query


def parse_row_filter(row_filter: str, user: Attributes | None, dialect: Dialect) -> exp.Expr:
    """The condition with what is known of the *user* put in as texts; None only checks it.

    Raises:
        QueryRefused: it is no condition on the columns of one table, or needs an attribute that is not known.
    """
    attributes = _ATTRIBUTE.findall(row_filter)
    statement = parse_query("SELECT 1 WHERE " + _ATTRIBUTE.sub(r":user_\1", row_filter), dialect)
    condition = (
        statement.args["where"].this if isinstance(statement, exp.Select) and "where" in statement.args else None
    )
    used = [each for key, each in statement.args.items() if each and key not in ("expressions", "where")]
    found = list(statement.find_all(exp.Placeholder))
    if condition is None or used or condition.find(exp.Query):
        raise QueryRefused("A row filter is one condition on the columns of its table, without subqueries.")
    if len(found) != len(attributes) or "{" in _ATTRIBUTE.sub("", row_filter):
        raise QueryRefused("{user.NAME} in a row filter stands by itself, without quotation marks around it.")
    comparisons = [_find_comparison(each) for each in found] if dialect == "mysql" else []
    for placeholder in found:
        name = str(placeholder.this).removeprefix("user_")
        value = "" if user is None else user.get(name)
        if value is None or "\0" in value or (dialect == "mysql" and "\\" in value):
            raise QueryRefused(f"The rows you may see depend on your {name!r}, which is not known.")
        placeholder.replace(exp.Literal.string(value))
    check_nodes(statement, dialect)
    fold_names(statement, dialect)
    for comparison in comparisons:
        _compare_texts(comparison)
    checked: exp.Expr = statement.args["where"].this
    return checked


def _find_comparison(attribute: exp.Expr) -> exp.Expr:
    """The comparison in which it stands.

    Raises:
        QueryRefused: MySQL could make a number of it, in which '7d5b' is 7.
    """
    node = attribute.parent
    while isinstance(node, _OF_TEXTS):
        node = node.parent
    if not isinstance(node, _COMPARISONS):
        raise QueryRefused("{user.NAME} in a row filter is compared as it is, as in region = {user.region}.")
    return node


def _compare_texts(comparison: exp.Expr) -> None:
    """Have MySQL compare what is in it as texts: it compares a number and a text as numbers, and '7d5b' is 7 for it.

    CONCAT makes a text of a number and leaves a text its collation, which CAST does not.
    """
    for side in list(comparison.iter_expressions()):
        if not side.is_string:
            side.replace(exp.Concat(expressions=[side.copy()]))


def check_row_filter(row_filter: str, dialect: Dialect, columns: Sequence[str]) -> None:
    """Return if the condition can be one on a table with these *columns*.

    Raises:
        QueryRefused: it cannot; the text says why.
    """
    fold = str if dialect == "postgres" else lower
    folded = {fold(each) for each in columns}
    condition = parse_row_filter(row_filter, None, dialect)
    for column in condition.find_all(exp.Column):
        if isinstance(column.this, exp.Star) or column.table or fold(column.name) not in folded:
            raise QueryRefused(f"The table has no column {column.name[:60]!r}, which its row filter names.")
