"""The columns that the tables and subqueries of a query have: a name that is qualified by one can mean no other.

Where m has no such column, PostgreSQL reads `m.json_agg` as a call of json_agg on the rows of m, and SQLite `m.rowid`
as the number of a row.
"""

from collections.abc import Callable, Iterator, Mapping

from sqlglot import exp

Columns = frozenset[str]


class ColumnOwners:
    """What is known of them: *tables* by their ids in the tree, as far as they were visited."""

    def __init__(self, fold: Callable[[str], str], tables: Mapping[int, Columns]) -> None:
        self._fold, self._tables = fold, tables
        self._cache: dict[int, Columns] = {}

    def has(self, column: exp.Column) -> bool:
        """Whether what qualifies *column* has it: the innermost of that name, as databases look for it."""
        owners = self._find_owners(column)
        return bool(owners) and all(self._fold(column.name) in self._list_columns(each) for each in owners)

    def list_results(self, query: exp.Expr) -> Columns:
        """The names of the columns that *query* gives, without those that the database makes up."""
        while isinstance(query, exp.SetOperation | exp.Subquery):
            query = query.this
        if id(query) not in self._cache:
            names: set[str] = set()
            for each in query.expressions if isinstance(query, exp.Select) else ():
                names |= self._list_selected(query, each)
            self._cache[id(query)] = frozenset(names)
        return self._cache[id(query)]

    def _list_selected(self, select: exp.Expr, selected: exp.Expr) -> Columns:
        if isinstance(selected, exp.Star):
            return frozenset().union(*map(self._list_columns, _list_sources(select)))
        if isinstance(selected, exp.Column) and isinstance(selected.this, exp.Star):
            return frozenset().union(*map(self._list_columns, self._find_owners(selected)))
        named = selected.this if isinstance(selected, exp.Cast) else selected
        return frozenset({self._fold(named.alias_or_name)} if isinstance(named, exp.Alias | exp.Column) else ())

    def _list_columns(self, source: exp.Expr) -> Columns:
        alias = source.args.get("alias")
        if alias and alias.args.get("columns"):
            return frozenset(self._fold(each.name) for each in alias.args["columns"])
        if isinstance(source, exp.Table):
            return self._tables.get(id(source), frozenset())
        if isinstance(source.this, exp.Table | exp.Subquery):
            return frozenset().union(*map(self._list_columns, _spread(source.this)))
        return self.list_results(source)

    def _find_owners(self, column: exp.Column) -> list[exp.Expr]:
        """What may be meant; from an ON, which does not see all of its FROM, also what stands further out."""
        name = self._fold(column.table)
        owners: list[exp.Expr] = []
        is_seen, is_in_on = True, False
        below: exp.Expr = column
        node = column.parent
        while node is not None:
            is_in_on = is_in_on or (isinstance(node, exp.Join) and below.arg_key == "on")
            if isinstance(node, exp.Select) and is_seen:
                found = [each for each in _list_sources(node) if self._fold(each.alias_or_name) == name]
                owners += found
                if found and not is_in_on:
                    break
            if isinstance(node, exp.Select):
                is_in_on = False
            is_seen = _sees_outer_tables(node, is_seen)
            below, node = node, node.parent
        return owners


def _sees_outer_tables(node: exp.Expr, is_seen: bool) -> bool:
    """Whether what is in *node* sees the tables of the query around it: not from a subquery among them, or a CTE."""
    if isinstance(node, exp.With):
        return False
    if isinstance(node, exp.Subquery) and _is_source(node):
        return is_seen and isinstance(node.this, exp.Table)
    return is_seen or isinstance(node, exp.Query)


def _is_source(subquery: exp.Expr) -> bool:
    while isinstance(subquery.parent, exp.Subquery):
        subquery = subquery.parent
    return isinstance(subquery.parent, exp.From | exp.Join) and subquery.arg_key == "this"


def _list_sources(select: exp.Expr) -> Iterator[exp.Expr]:
    """The tables and subqueries whose names can be used in *select*."""
    opening = select.args.get("from_")
    for each in ([opening] if opening else []) + list(select.args.get("joins") or ()):
        yield from _spread(each.this)


def _spread(source: exp.Expr) -> Iterator[exp.Expr]:
    """*source* and what is joined to it, in parentheses or not."""
    is_group = (
        isinstance(source, exp.Subquery) and not source.alias and isinstance(source.this, exp.Table | exp.Subquery)
    )
    if is_group:
        yield from _spread(source.this)
    else:
        yield source
    for join in source.args.get("joins") or ():
        yield from _spread(join.this)
