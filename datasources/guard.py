"""The first wall: a query is parsed, held to what may be read, and written anew; only what was written is run.

Nothing is looked for that is bad: what is not on a list is refused. Each table becomes a subquery that has its allowed
columns and rows and no others, so that no alias, join, subquery or set operation reaches past them: what they could
refer to is not there. A table's name is written with its schema, and each CTE has a name of ours, so that the
database cannot take the one for the other.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise

import sqlglot
from sqlglot import TokenType, exp
from sqlglot.dialects.mysql import MySQL
from sqlglot.dialects.sqlite import SQLite
from sqlglot.errors import ErrorLevel, SqlglotError

from datasources.access import Access, Attributes, TableAccess, TableName
from datasources.errors import QueryRefused
from datasources.functions import FUNCTIONS, KEYWORDS, TYPES, Dialect
from datasources.syntax import CASTS, GROWING, NODES, SELECT_ARGS, TABLE_ARGS

LONGEST_QUERY = 10_000  # characters
DEFAULT_SCHEMA: dict[Dialect, str] = {"sqlite": "main", "postgres": "public", "mysql": "main"}
_MOST_TOKENS, _DEEPEST = 2_000, 16
_MOST_NODES, _MOST_TABLES, _MOST_GROWING = 4_000, 12, 8
_LONGEST_NAME = 63  # bytes: PostgreSQL cuts longer ones
_CTE = re.compile(r"query_[0-9]+")
_ATTRIBUTE = re.compile(r"\{user\.([a-z][a-z0-9_]{0,39})\}")
_UNWRITABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_PLAIN_WORDS = re.compile(r"[A-Za-z_ ]{0,40}")


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


def check_query(
    sql: str,
    dialect: Dialect,
    access: Access,
    user: Attributes,
    *,
    most_rows: int,
    stored_as: Mapping[TableName, TableName] | None = None,
) -> str:
    """*sql* as it may be run: one SELECT over the allowed tables, columns and rows, with at most *most_rows* rows.

    *stored_as*: what stands for a table in the database, if not the table itself.

    Raises:
        QueryRefused: it is no such query, or could not be one.
    """
    statement = parse_query(sql, dialect)
    _check_nodes(statement, dialect)
    _fold_names(statement, dialect)
    _bound_rows(statement, most_rows)
    _TableResolver(dialect, access, user, stored_as or {}).resolve(statement)
    return _write(statement, dialect)


def make_table_query(
    table: TableName, allowed: TableAccess, user: Attributes, dialect: Dialect, *, stored_as: TableName | None = None
) -> exp.Select:
    """The SELECT that gives the allowed columns and rows of a table.

    Raises:
        QueryRefused: its row filter cannot be used, or needs what is not known of the user.
    """
    schema, name = stored_as or table
    source = exp.Table(this=_quote(name), db=_quote(schema))
    query = exp.Select(
        expressions=[exp.Column(this=_quote(each)) for each in allowed.columns], from_=exp.From(this=source)
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
    wanted = _ATTRIBUTE.findall(row_filter)
    statement = parse_query("SELECT 1 WHERE " + _ATTRIBUTE.sub(r":user_\1", row_filter), dialect)
    condition = (
        statement.args["where"].this if isinstance(statement, exp.Select) and "where" in statement.args else None
    )
    used = [each for key, each in statement.args.items() if each and key not in ("expressions", "where")]
    found = list(statement.find_all(exp.Placeholder))
    if condition is None or used or condition.find(exp.Query):
        raise QueryRefused("A row filter is one condition on the columns of its table, without subqueries.")
    if len(found) != len(wanted) or "{" in _ATTRIBUTE.sub("", row_filter):
        raise QueryRefused("{user.NAME} in a row filter stands by itself, without quotation marks around it.")
    for placeholder in found:
        name = str(placeholder.this).removeprefix("user_")
        value = "" if user is None else user.get(name)
        if value is None or "\0" in value or (dialect == "mysql" and "\\" in value):
            raise QueryRefused(f"The rows you may see depend on your {name!r}, which is not known.")
        placeholder.replace(exp.Literal.string(value))
    _check_nodes(statement, dialect)
    _fold_names(statement, dialect)
    checked: exp.Expr = statement.args["where"].this
    return checked


def check_row_filter(row_filter: str, dialect: Dialect, columns: Sequence[str]) -> None:
    """Return if the condition can be one on a table with these *columns*.

    Raises:
        QueryRefused: it cannot; the text says why.
    """
    fold = str if dialect == "postgres" else _lower
    known = {fold(each) for each in columns}
    condition = parse_row_filter(row_filter, None, dialect)
    for column in condition.find_all(exp.Column):
        if isinstance(column.this, exp.Star) or column.table or fold(column.name) not in known:
            raise QueryRefused(f"The table has no column {column.name[:60]!r}, which its row filter names.")


def write_sql(query: exp.Expr, dialect: Dialect) -> str:
    """*query* as text, every name in quotation marks, without comments.

    Raises:
        QueryRefused: it cannot be written in this dialect.
    """
    try:
        return query.sql(dialect=_DIALECTS[dialect], identify=True, comments=False, unsupported_level=ErrorLevel.RAISE)
    except (SqlglotError, RecursionError) as exc:
        raise QueryRefused("The query has parts that this database does not know.") from exc


def parse_query(sql: str, dialect: Dialect) -> exp.Expr:
    """*sql* as a tree, of which nothing is checked but that it is one SELECT.

    Raises:
        QueryRefused: it is not.
    """
    if len(sql) > LONGEST_QUERY or _UNWRITABLE.search(sql):
        raise QueryRefused(f"A query has at most {LONGEST_QUERY:,} characters, none of which is a control character.")
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


def _describe(error: Exception) -> str:
    errors = getattr(error, "errors", None) or [{}]
    return str(errors[0].get("description") or "it is nested too deeply or damaged.")


def _check_tokens(sql: str, dialect: Dialect) -> None:
    """Before it is parsed, for which deep or long queries take very long."""
    tokens = sqlglot.tokenize(sql, dialect=_DIALECTS[dialect])
    depth = deepest = 0
    for token in tokens:
        depth += (token.token_type in _OPENING) - (token.token_type in _CLOSING)
        deepest = max(deepest, depth)
    if len(tokens) > _MOST_TOKENS or deepest > _DEEPEST:
        raise QueryRefused(f"A query has at most {_MOST_TOKENS:,} words, nested {_DEEPEST} deep.")
    # Whatever else begins a statement, sqlglot may log.
    is_alone = all(each.token_type is not TokenType.SEMICOLON for each in tokens[:-1])
    if not tokens or not is_alone or tokens[0].text.upper() not in ("SELECT", "WITH"):
        raise QueryRefused("Only one SELECT can be run.")


def _check_nodes(statement: exp.Expr, dialect: Dialect) -> None:
    count = growing = 0
    for node in statement.walk():
        count, growing = count + 1, growing + isinstance(node, GROWING)
        if count > _MOST_NODES or growing > _MOST_GROWING:
            raise QueryRefused("The query is too large, or joins too many texts.")
        _check_node(node, dialect)


def _check_node(node: exp.Expr, dialect: Dialect) -> None:
    kind = type(node)
    if isinstance(node, exp.Anonymous):
        _check_function(str(node.this), dialect)
    elif kind not in NODES:
        raise QueryRefused(f"{_name(node)} is not allowed.")
    elif isinstance(node, exp.Func) and NODES[kind]:
        _check_function(NODES[kind], dialect)
    if isinstance(node, exp.DataType) and (node.this not in CASTS or node.args.get("nested")):
        raise QueryRefused("A value can be cast to a number, a text, a truth value, a date or a time only.")
    if isinstance(node, exp.With) and node.args.get("recursive"):
        raise QueryRefused("WITH RECURSIVE is not allowed.")
    _check_args(node)


def _check_args(node: exp.Expr) -> None:
    known = SELECT_ARGS if isinstance(node, exp.Query) else TABLE_ARGS if isinstance(node, exp.Table) else None
    for key, value in node.args.items():
        if value in (None, False, []):
            continue
        if known is not None and key not in known:
            raise QueryRefused(f"{key.strip('_').upper()} is not allowed.")
        is_word = isinstance(value, str) and not isinstance(node, exp.Identifier | exp.Literal | exp.Anonymous)
        if is_word and not _PLAIN_WORDS.fullmatch(value):
            raise QueryRefused(f"{value[:40]!r} is not allowed.")
        if isinstance(node, exp.Limit | exp.Offset) and key != "expression":
            raise QueryRefused("LIMIT and OFFSET take a number.")


def _check_function(name: str, dialect: Dialect) -> None:
    if name.lower() not in FUNCTIONS[dialect]:
        raise QueryRefused(f"The function {name.lower()[:60]!r} is not allowed.")


def _name(node: exp.Expr) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(node).__name__).upper()


def _fold_names(statement: exp.Expr, dialect: Dialect) -> None:
    """Write each name as the database reads it."""
    for name in statement.find_all(exp.Identifier):
        text = str(name.this)
        if "\0" in text or not text or len(text.encode("utf-8", "replace")) > _LONGEST_NAME:
            raise QueryRefused(f"A name has 1 to {_LONGEST_NAME} bytes.")
        if dialect == "postgres" and not name.args.get("quoted"):
            name.set("this", _lower(text))
            name.set("quoted", True)


def _lower(text: str) -> str:
    """In small letters, as databases do it: those of ASCII alone."""
    return text.translate({code: code + 32 for code in range(65, 91)})


def _quote(name: str) -> exp.Identifier:
    return exp.Identifier(this=name, quoted=True)


class _TableResolver:
    """Puts what may be read in the place of each table, and checks the names of columns."""

    def __init__(
        self, dialect: Dialect, access: Access, user: Attributes, stored_as: Mapping[TableName, TableName]
    ) -> None:
        self._dialect, self._user, self._stored_as = dialect, user, stored_as
        self._fold: Callable[[str], str] = str if dialect == "postgres" else _lower
        self._access = {(self._fold(schema), self._fold(name)): (schema, name) for schema, name in access}
        self._allowed = access
        self._tables: list[tuple[exp.Table, TableName]] = []
        self._columns: set[str] = set()
        self._cte_count = 0

    def resolve(self, statement: exp.Expr) -> None:
        """Do so everywhere in *statement*.

        Raises:
            QueryRefused: it names a table or a column that may not be read.
        """
        self._visit(statement, {})
        if len(self._tables) > _MOST_TABLES:
            raise QueryRefused(f"A query reads at most {_MOST_TABLES} tables.")
        self._check_columns(statement)
        for table, name in self._tables:
            table.replace(self._make_subquery(table, name))

    def _visit(self, node: exp.Expr, ctes: Mapping[str, str]) -> None:
        known = dict(ctes)
        opening = node.args.get("with_")
        for cte in opening.expressions if opening else ():
            self._visit(cte.this, known)
            self._add_aliases(cte.args["alias"])
            self._cte_count += 1
            known[self._fold(cte.alias)] = f"query_{self._cte_count}"
            cte.args["alias"].set("this", _quote(f"query_{self._cte_count}"))
        for child in _list_children(node):
            self._visit(child, known)
        if isinstance(node, exp.Table):
            self._visit_table(node, known)
        elif isinstance(node, exp.Alias):
            self._columns.add(self._fold(node.alias))
        elif isinstance(node, exp.TableAlias):
            self._add_aliases(node)

    def _add_aliases(self, alias: exp.Expr) -> None:
        self._columns |= {self._fold(each.name) for each in alias.args.get("columns") or ()}

    def _visit_table(self, table: exp.Table, ctes: Mapping[str, str]) -> None:
        if not isinstance(table.this, exp.Identifier):
            raise QueryRefused("Functions cannot be read like tables.")
        name, schema = self._fold(table.name), self._fold(table.db)
        if not schema and name in ctes:
            if not table.alias:
                table.set("alias", exp.TableAlias(this=_quote(table.name)))
            table.set("this", _quote(ctes[name]))
            return
        found = self._access.get((schema or DEFAULT_SCHEMA[self._dialect], name))
        if found is None or table.catalog:
            readable = ", ".join(sorted(each for _, each in self._allowed)[:20])
            raise QueryRefused(f"There is no table {table.name[:60]!r} that may be read. There are: {readable}.")
        self._tables.append((table, found))
        self._columns |= {self._fold(each) for each in self._allowed[found].columns}

    def _check_columns(self, statement: exp.Expr) -> None:
        """No name of a column means anything else: PostgreSQL reads `row.function` as a call."""
        for column in list(statement.find_all(exp.Column)):
            column.set("db", None)
            column.set("catalog", None)
            if isinstance(column.this, exp.Star) or self._fold(column.name) in self._columns:
                continue
            if self._dialect != "postgres" and _is_text(column):
                column.replace(exp.Literal.string(column.name))
            else:
                readable = ", ".join(sorted(self._columns)[:40])
                raise QueryRefused(f"There is no column {column.name[:60]!r} that may be read. There are: {readable}.")

    def _make_subquery(self, table: exp.Table, name: TableName) -> exp.Subquery:
        query = make_table_query(
            name, self._allowed[name], self._user, self._dialect, stored_as=self._stored_as.get(name)
        )
        alias = table.args.get("alias") or exp.TableAlias(this=_quote(table.name))
        return exp.Subquery(
            this=query, alias=alias.copy(), joins=[each.copy() for each in table.args.get("joins") or ()]
        )


def _is_text(column: exp.Column) -> bool:
    """Whether it stands where a text is compared, in double quotes, as SQLite, MySQL and who writes for them take it.

    Not elsewhere: for a misspelt column, its name would be given in each row.
    """
    is_compared = isinstance(column.parent, exp.EQ | exp.NEQ | exp.In | exp.Like)
    return bool(column.this.args.get("quoted")) and not column.table and is_compared


def _list_children(node: exp.Expr) -> Iterator[exp.Expr]:
    for key, value in node.args.items():
        if key != "with_":
            for each in value if isinstance(value, list) else [value]:
                if isinstance(each, exp.Expr):
                    yield each


def _bound_rows(statement: exp.Expr, most_rows: int) -> None:
    """Give the whole no more than *most_rows* rows."""
    for limit in statement.find_all(exp.Limit, exp.Offset):
        amount = limit.expression
        if not (isinstance(amount, exp.Literal) and not amount.is_string and amount.name.isdigit()):
            raise QueryRefused("LIMIT and OFFSET take a number.")
    own = statement.args.get("limit")
    if own is None or len(own.expression.name) > 9 or int(own.expression.name) > most_rows:
        statement.set("limit", exp.Limit(expression=exp.Literal.number(most_rows)))


def _write(statement: exp.Expr, dialect: Dialect) -> str:
    """The text, and a second look at it: whatever stands before a parenthesis may be called or is a keyword."""
    sql = write_sql(statement, dialect)
    tokens = sqlglot.tokenize(sql, dialect=_DIALECTS[dialect])
    before = ""
    for token, following in pairwise(tokens):
        if following.token_type is TokenType.L_PAREN:
            _check_called(token, before, dialect)
        before = token.text.upper()
    return sql


def _check_called(token: sqlglot.Token, before: str, dialect: Dialect) -> None:
    word = token.text.lower()
    if token.token_type is TokenType.IDENTIFIER:  # in quotation marks: it names columns, as in `AS "t"("a", "b")`
        is_allowed = before == "AS" or _CTE.fullmatch(word) is not None
    else:
        is_word = re.match(r"\w", word) and token.token_type not in (TokenType.STRING, TokenType.NUMBER)
        is_allowed = not is_word or bool({word, *word.split()} & (FUNCTIONS[dialect] | KEYWORDS | TYPES))
    if not is_allowed:
        raise QueryRefused(f"The function {word[:60]!r} is not allowed.")
