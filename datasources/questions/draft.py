"""A query in parts, written as SQL."""

from dataclasses import dataclass, field, replace

from datasources.access import TableName
from datasources.questions.vocabulary import ColumnName

_LONGEST_NAME = 60  # bytes
_COMPUTED = {
    "AVG": "average ",
    "SUM": "sum of ",
    "MAX": "largest ",
    "MIN": "smallest ",
    "COUNT DISTINCT": "number of different ",
    "MONTH": "month of ",
    "YEAR": "year of ",
}
_CUT_TO = {"MONTH": 7, "YEAR": 4}  # characters of 2026-12-31
COMPARING = frozenset((">", "<", ">=", "<="))


@dataclass(frozen=True, slots=True)
class Term:
    """A column, what is computed of it, or, without one, the number of rows."""

    column: ColumnName | None
    function: str = ""


@dataclass(frozen=True, slots=True)
class Filter:
    """That a column compares so; of "IN", with one of the values."""

    column: ColumnName
    operator: str
    values: tuple[str | float, ...]


@dataclass(slots=True)
class Draft:
    """One SELECT. `extreme`: only the rows where a column has its MAX or MIN among those that the filters leave.
    `keeps_repeats`: rows that are alike are different things. `counted`: the joined table whose rows are counted.
    `lists_things`: its rows are what the question names, and not something else of them.
    """

    table: TableName
    select: list[Term] = field(default_factory=list)
    joins: list[tuple[ColumnName, ColumnName]] = field(default_factory=list)
    filters: list[Filter] = field(default_factory=list)
    group: Term | None = None
    order: tuple[Term, str] | None = None
    extreme: Term | None = None
    limit: int | None = None
    keeps_repeats: bool = False
    counted: TableName | None = None
    lists_things: bool = True

    def write_sql(self) -> str:
        """The query, in SQL that both dialects have."""
        is_ordered_apart = self.order is not None and self.order[0] not in self.select
        is_listed = not self.group and not any(term.function for term in self.select) and not is_ordered_apart
        selected = ", ".join(map(self._write_named, self.columns))
        parts = [
            f"SELECT {'DISTINCT ' if is_listed and not self.keeps_repeats else ''}{selected}",
            self._write_source(),
        ]
        if self.extreme:
            inner = f"(SELECT {_write_term(self.extreme)} {self._write_source()})"
            parts[-1] = self._write_source(f"{_write_term(Term(self.extreme.column))} = {inner}")
        if self.group:
            parts.append(f"GROUP BY {_write_term(self.group)}")
        ordered = [f"ORDER BY {_write_term(self.order[0])} {self.order[1]}"] if self.order else []
        limited = [*ordered, f"LIMIT {self.limit}"] if self.limit else ordered
        if self.group and self.order and self.limit == 1:  # of several that have most, all
            figure = _write_term(self.order[0])
            first = f"SELECT {figure} {self._write_source()} GROUP BY {_write_term(self.group)} {' '.join(limited)}"
            return " ".join([*parts, f"HAVING {figure} = ({first})"])
        return " ".join([*parts, *limited])

    @property
    def columns(self) -> list[Term]:
        """What the columns of its result are."""
        return [self.group, *self.select] if self.group else self.select

    def show_reasons(self) -> "Draft":
        """The query in an order, and with the figures and days that decide which rows are in it."""
        if self.group and self.order is None:
            is_by_time = self.group.function in _CUT_TO
            return replace(self, order=(self.group, "ASC") if is_by_time else (self.select[0], "DESC"))
        deciding = [self.order[0]] if self.order else []
        if self.extreme:
            deciding.append(Term(self.extreme.column))
        if not self.group and not any(term.function for term in self.select):
            deciding += [Term(each.column) for each in self.filters if each.operator in COMPARING]
        more = [each for each in dict.fromkeys(deciding) if each not in self.columns]
        is_unordered = bool(more) and self.order is None and self.extreme is None
        return replace(self, select=[*self.select, *more], order=(more[0], "ASC") if is_unordered else self.order)

    def _write_named(self, term: Term) -> str:
        """What is computed has a name that tells it, no longer than databases take it."""
        name = _describe_term(term, self.table).encode()[:_LONGEST_NAME].decode("utf-8", "ignore")
        return f"{_write_term(term)} AS {quote_name(name)}" if term.function else _write_term(term)

    def _write_source(self, *more: str) -> str:
        tables = self._find_matched()
        joins = [f" JOIN {_write_on(near, far)}" for near, far in self.joins if far.table not in tables]
        matches = [self._write_match(near, far) for near, far in self.joins if far.table in tables]
        own = [_write_filter(each) for each in self.filters if each.column.table not in tables]
        filters = " AND ".join([*own, *matches, *self._write_not_null(), *more])
        return f"FROM {quote_name(*self.table)}{''.join(joins)}" + (f" WHERE {filters}" if filters else "")

    def _find_matched(self) -> set[TableName]:
        """The joined tables that only say which rows are meant: each counts once, however many rows match it."""
        terms = [*self.columns, *([self.order[0]] if self.order else []), *([self.extreme] if self.extreme else [])]
        if not self.keeps_repeats and not any(term.function for term in terms):
            return set()
        used = {term.column.table for term in terms if term.column} | {self.counted}
        return {far.table for _, far in self.joins} - used

    def _write_match(self, near: ColumnName, far: ColumnName) -> str:
        matching = [each for each in self.filters if each.column.table == far.table]
        inner = Draft(far.table, [Term(far)], filters=matching, keeps_repeats=True)
        return f"{_write_column(near)} IN ({inner.write_sql()})"

    def _write_not_null(self) -> list[str]:
        """The condition that a sorting column has a value: some databases put rows without one first."""
        if self.order is None or self.limit is None or self.group:
            return []
        return [f"{_write_term(self.order[0])} IS NOT NULL"]


def read_term(name: str) -> tuple[Term, str] | None:
    """What a query of rules has computed under *name*, and of which table; None: nothing."""
    for function, beginning in _COMPUTED.items():
        column, _, table = name.removeprefix(beginning).rpartition(" of ")
        if name.startswith(beginning) and column:
            return Term(ColumnName(("", table), column), function), table
    return (Term(None, "COUNT"), name.removeprefix("number of ")) if name.startswith("number of ") else None


def quote_name(*names: str) -> str:
    """A name in SQL, with that of its schema or table before it."""
    return ".".join('"' + name.replace('"', '""') + '"' for name in names)


def _write_column(name: ColumnName) -> str:
    return quote_name(name.table[1], name.column)


def _write_on(near: ColumnName, far: ColumnName) -> str:
    return f"{quote_name(*far.table)} ON {_write_column(near)} = {_write_column(far)}"


def _write_term(term: Term) -> str:
    column = _write_column(term.column) if term.column else "*"
    if term.function == "COUNT DISTINCT":
        return f"COUNT(DISTINCT {column})"
    if term.function in _CUT_TO:
        return f"SUBSTR(CAST({column} AS TEXT), 1, {_CUT_TO[term.function]})"
    return f"{term.function}({column})" if term.function else column


def _write_filter(one: Filter) -> str:
    values = ", ".join(
        str(each) if not isinstance(each, str) else "'" + each.replace("'", "''") + "'" for each in one.values
    )
    return f"{_write_column(one.column)} {one.operator} {f'({values})' if one.operator == 'IN' else values}"


def _describe_term(term: Term, table: TableName) -> str:
    if term.column is None:
        return f"number of {table[1]}"
    named = f"{term.column.column} of {term.column.table[1]}"
    return _COMPUTED.get(term.function, "") + named
