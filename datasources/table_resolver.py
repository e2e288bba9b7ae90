"""Puts what may be read in the place of each table of a query."""

from collections.abc import Callable, Iterator, Mapping

from sqlglot import exp

from datasources.access import DEFAULT_SCHEMA, Access, Attributes, TableName
from datasources.column_owners import ColumnOwners, Columns
from datasources.errors import QueryRefused
from datasources.functions import Dialect
from datasources.row_filters import make_table_query
from datasources.syntax import lower, quote

_MAX_TABLES = 12


class TableResolver:
    """Puts what may be read in the place of each table, and checks the names of columns."""

    def __init__(
        self, dialect: Dialect, access: Access, user: Attributes, stored_as: Mapping[TableName, TableName]
    ) -> None:
        self._dialect, self._user, self._stored_as = dialect, user, stored_as
        self._fold: Callable[[str], str] = str if dialect == "postgres" else lower
        self._access = {(self._fold(schema), self._fold(name)): (schema, name) for schema, name in access}
        self._allowed = access
        self._tables: list[tuple[exp.Table, TableName]] = []
        self._columns: set[str] = set()
        self._own_columns: dict[int, Columns] = {}  # by the ids of tables in the tree
        self._owners = ColumnOwners(self._fold, self._own_columns)
        self._cte_count = 0

    def resolve(self, statement: exp.Expr) -> None:
        """Do so everywhere in *statement*.

        Raises:
            QueryRefused: it names a table or a column that may not be read.
        """
        self._visit(statement, {})
        if len(self._tables) > _MAX_TABLES:
            raise QueryRefused(f"A query reads at most {_MAX_TABLES} tables.")
        self._check_columns(statement)
        for table, name in self._tables:
            table.replace(self._make_subquery(table, name))

    def _visit(self, node: exp.Expr, ctes: Mapping[str, tuple[str, Columns]]) -> None:
        queries = dict(ctes)
        opening = node.args.get("with_")
        for cte in opening.expressions if opening else ():
            self._visit(cte.this, queries)
            self._add_aliases(cte.args["alias"])
            self._cte_count += 1
            named = frozenset(self._fold(each.name) for each in cte.args["alias"].args.get("columns") or ())
            queries[self._fold(cte.alias)] = f"query_{self._cte_count}", named or self._owners.list_results(cte.this)
            cte.args["alias"].set("this", quote(f"query_{self._cte_count}"))
        for child in _list_children(node):
            self._visit(child, queries)
        if isinstance(node, exp.Table):
            self._visit_table(node, queries)
        elif isinstance(node, exp.Alias):
            self._columns.add(self._fold(node.alias))
        elif isinstance(node, exp.TableAlias):
            self._add_aliases(node)

    def _add_aliases(self, alias: exp.Expr) -> None:
        self._columns |= {self._fold(each.name) for each in alias.args.get("columns") or ()}

    def _visit_table(self, table: exp.Table, ctes: Mapping[str, tuple[str, Columns]]) -> None:
        if not isinstance(table.this, exp.Identifier):
            raise QueryRefused("Functions cannot be read like tables.")
        name, schema = self._fold(table.name), self._fold(table.db)
        if not schema and name in ctes:
            if not table.alias:
                table.set("alias", exp.TableAlias(this=quote(table.name)))
            cte, self._own_columns[id(table)] = ctes[name]
            table.set("this", quote(cte))
            return
        found = self._access.get((schema or DEFAULT_SCHEMA[self._dialect], name))
        if found is None or table.catalog:
            readable = ", ".join(sorted(each for _, each in self._allowed)[:20])
            raise QueryRefused(f"There is no table {table.name[:60]!r} that may be read. There are: {readable}.")
        self._tables.append((table, found))
        self._own_columns[id(table)] = frozenset(map(self._fold, self._allowed[found].columns))
        self._columns |= self._own_columns[id(table)]

    def _check_columns(self, statement: exp.Expr) -> None:
        """No name of a column means anything else: PostgreSQL reads `row.function` as a call."""
        for column in list(statement.find_all(exp.Column)):
            column.set("db", None)
            column.set("catalog", None)
            if isinstance(column.this, exp.Star) or self._is_known(column):
                continue
            if self._dialect != "postgres" and _is_text(column):
                column.replace(exp.Literal.string(column.name))
            else:
                readable = ", ".join(sorted(self._columns)[:40])
                name = ".".join(filter(None, (column.table[:60], column.name[:60])))
                raise QueryRefused(f"There is no column {name!r} that may be read. There are: {readable}.")

    def _is_known(self, column: exp.Column) -> bool:
        return self._owners.has(column) if column.table else self._fold(column.name) in self._columns

    def _make_subquery(self, table: exp.Table, name: TableName) -> exp.Subquery:
        query = make_table_query(
            name, self._allowed[name], self._user, self._dialect, stored_as=self._stored_as.get(name)
        )
        alias = table.args.get("alias") or exp.TableAlias(this=quote(table.name))
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
