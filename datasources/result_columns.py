"""What the columns of a result are: of which columns of tables they were computed, and how."""

from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean

from sqlglot import exp

from datasources.catalog import OpenTable
from datasources.errors import QueryRefused
from datasources.functions import Dialect
from datasources.parsing import parse_query
from datasources.results import Result
from utils.query_tables import Cell, QueryColumn, QueryTable

_WRAPPING = (exp.Round, exp.Cast, exp.Coalesce, exp.Paren, exp.Alias, exp.Abs)
_FUNCTIONS: dict[type[exp.Expr], str] = {
    exp.Sum: "SUM", exp.Avg: "AVG", exp.Count: "COUNT", exp.Min: "MIN", exp.Max: "MAX",
}  # fmt: skip
_DEEPEST, _MAX_GIVEN, _LONGEST_WORDS = 4, 60, 600
_MAX_COLUMNS, _LONGEST_CELL = 40, 200


def make_table(
    result: Result,
    *,
    source_name: str,
    sql: str,
    question: str,
    tables: Sequence[OpenTable],
    dialect: Dialect,
    max_rows: int,
) -> QueryTable:
    """The first *max_rows* of *result*, which *sql* has given, with what is known of its columns."""
    statement = _read(sql, dialect)
    columns = _describe_columns(statement, result.columns, tables)[:_MAX_COLUMNS]
    rows = () if result.truncated else result.rows
    return QueryTable(
        source_name,
        sql,
        tuple(add_totals(each, [row[index] for row in rows]) for index, each in enumerate(columns)),
        tuple(tuple(map(shorten_cell, row[:_MAX_COLUMNS])) for row in result.rows[:max_rows]),
        len(result.rows),
        result.truncated,
        (question, *(_list_literals(statement) if statement else ())),
    )


def _read(sql: str, dialect: Dialect) -> exp.Expr | None:
    try:
        return parse_query(sql, dialect)
    except QueryRefused:
        return None


def _describe_columns(
    statement: exp.Expr | None, names: Sequence[str], tables: Sequence[OpenTable]
) -> list[QueryColumn]:
    about = _list_words(tables)
    selected = list(statement.selects) if isinstance(statement, exp.Query) else []
    if statement is None or len(selected) != len(names) or any(each.is_star for each in selected):
        return [QueryColumn(name, about.get(name.casefold(), "")) for name in names]
    inner = {each.alias.casefold(): each.this for each in statement.find_all(exp.Alias)}
    columns = []
    for name, expression in zip(names, selected, strict=True):
        words = dict.fromkeys(about.get(each, each) for each in _list_names(expression, inner))
        columns.append(QueryColumn(name, "; ".join(words)[:_LONGEST_WORDS], _find_function(expression, inner)))
    return columns


def _list_words(tables: Sequence[OpenTable]) -> dict[str, str]:
    """What is said of the columns of *tables*, by their names."""
    about: dict[str, str] = {}
    for opened in tables:
        for column in opened.table.columns:
            entry = opened.entry["allowed_columns"].get(column.name, {})
            texts = [column.name, *(entry.get("synonyms") or ()), str(entry.get("description") or "")]
            key = column.name.casefold()
            about[key] = "; ".join(filter(None, (about.get(key, ""), *texts)))
    return about


def _list_names(expression: exp.Expr, inner: Mapping[str, exp.Expr], depth: int = 0) -> Iterator[str]:
    """The columns that it is made of, also through the names that subqueries give them."""
    for column in expression.find_all(exp.Column):
        name = column.name.casefold()
        yield name
        if depth < _DEEPEST and name in inner and inner[name] is not expression:
            yield from _list_names(inner[name], inner, depth + 1)


def _find_function(expression: exp.Expr, inner: Mapping[str, exp.Expr], depth: int = 0) -> str:
    while isinstance(expression, _WRAPPING):
        expression = expression.this
    if type(expression) in _FUNCTIONS:
        return _FUNCTIONS[type(expression)]
    if not isinstance(expression, exp.Column):
        return "OTHER"
    meant = inner.get(expression.name.casefold())
    return _find_function(meant, inner, depth + 1) if meant is not None and depth < _DEEPEST else ""


def _list_literals(statement: exp.Expr) -> list[str]:
    """The values in it, without those that say how many rows or digits are wanted."""
    texts = [
        str(each.this)[:100]
        for each in statement.find_all(exp.Literal)
        if not isinstance(each.parent, exp.Limit | exp.Offset | exp.Round | exp.Substring)
    ]
    return list(dict.fromkeys(texts))[:_MAX_GIVEN]


def add_totals(column: QueryColumn, cells: Sequence[Cell]) -> QueryColumn:
    """*column* with what holds for all of its *cells*, where they are figures."""
    numbers = [float(each) for each in cells if isinstance(each, int | float) and not isinstance(each, bool)]
    if not numbers or any(isinstance(each, str) for each in cells):
        return column
    is_number_of_row = column.name.casefold() == "id" or column.name.casefold().endswith(("_id", " id"))
    is_summable = not is_number_of_row and column.function not in ("AVG", "MIN", "MAX")
    return QueryColumn(
        column.name,
        column.words,
        column.function,
        total=sum(numbers) if is_summable else None,
        mean=fmean(numbers) if is_summable else None,
        smallest=None if is_number_of_row else min(numbers),
        largest=None if is_number_of_row else max(numbers),
    )


def shorten_cell(cell: Cell) -> Cell:
    """It with as much of a text as an answer may rest on."""
    return " ".join(cell.split())[:_LONGEST_CELL] if isinstance(cell, str) else cell
