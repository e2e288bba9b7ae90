"""The conditions of a query: values, comparisons, and days."""

from datetime import date

from datasources.questions.draft import COMPARING, Draft, Filter
from datasources.questions.parts import Parts
from datasources.questions.reading import Item
from datasources.questions.refusals import QuestionRefused
from datasources.questions.vocabulary import ColumnName
from datasources.questions.words import COURSES, CURRENCIES, JOINING

_FIRST_YEAR, _LAST_YEAR = 1800, 2200


class Filtering(Parts):
    """Adds them to a draft."""

    def add_filters(self, draft: Draft) -> None:
        """All that the parts say.

        Raises:
            QuestionRefused: it is not clear what one of them is about.
        """
        for step in (
            self._add_values,
            self._add_comparison,
            self._add_equal,
            self._add_period,
            self._add_year,
        ):
            step(draft)

    def _add_values(self, draft: Draft) -> None:
        for item in self._select("value"):
            own = [(column, value) for column, value in item.meaning if column.table == draft.table]
            found = own or [pair for pair in item.meaning if self._is_linked(draft, pair[0])]
            columns = self._narrow(item, sorted({column for column, _ in found}, key=str))
            if len(columns) != 1:
                raise QuestionRefused("value", " ".join(item.words))
            if not own:
                self._join(draft, columns[0].table)
            if self._is_display(columns[0]) and COURSES & set(self._words):
                raise QuestionRefused("value", " ".join(item.words))
            values = {value for column, value in found if column == columns[0]}
            self._add_value(draft, columns[0], values, self._use(item))

    def _add_value(self, draft: Draft, column: ColumnName, values: set[str], item: Item) -> None:
        """That *column* has one of *values*, or of those that were named of it before: a row has one of them alone."""
        former = next((each for each in draft.filters if each.column == column), None)
        if former is not None:
            if column.table != draft.table or JOINING.isdisjoint(self._words[1 : item.place]):
                raise QuestionRefused("rest", " ".join(item.words))
            draft.filters.remove(former)
            values = values.union(map(str, former.values))
        draft.filters.append(Filter(column, "=" if len(values) == 1 else "IN", tuple(sorted(values))))

    def _is_linked(self, draft: Draft, column: ColumnName) -> bool:
        """Whether rows of another table are meant by it: they are known by it, or it is named."""
        table, tables = column.table, self._select("table")
        is_meant = self._is_display(column) or any(column in each.meaning for each in self._select("column"))
        is_named = not tables or any(each.meaning == table for each in tables)
        return is_meant and is_named and self._vocabulary.find_join(draft.table, table) is not None

    def _narrow(self, item: Item, columns: list[ColumnName]) -> list[ColumnName]:
        """The *columns* that the words beside the value name, or that rows are known by."""
        for near in [each for each in self._select("column") if abs(each.place - item.place) <= len(item.words) + 1]:
            named = [each for each in columns if each in near.meaning]
            if len(named) == 1:
                self._use(near)
                return named
        if len(columns) > 1:
            displayed = [each for each in columns if self._is_display(each)]
            others = [each for each in columns if each not in displayed]
            is_of_others = len(others) == 1 and bool(self._select("count") or displayed) and self._asks_for_rows()
            return others if is_of_others else displayed
        return columns

    def _asks_for_rows(self) -> bool:
        return any(each.kind == "table" for each in self._items) and not self._select("column")

    def _add_comparison(self, draft: Draft) -> None:
        for than in self._select("than"):
            number = next((each for each in self._select("number") if each.place > than.place), None)
            columns = [each for each in self._select("column") if self._find_column(each, draft.table)]
            near = min(columns, key=lambda each: abs(each.place - than.place), default=None)
            column = self._find_column(near, draft.table) if near else None
            column = self._find_compared() if near is None else column
            if number is None or column is None or not self._vocabulary.is_figure(column):
                raise QuestionRefused("compared")
            draft.filters.append(Filter(column, than.meaning, (number.meaning,)))
            for item in (than, number, *([near] if near else []), *self._find_currency(number, near, column)):
                self._use(item)

    def _find_compared(self) -> ColumnName | None:
        """What was compared with a number in the question before: "and below 3?"."""
        filters = self._before.filters if self._before else []
        compared = {
            each.column for each in filters if each.operator in COMPARING and not isinstance(each.values[0], str)
        }
        return compared.pop() if len(compared) == 1 else None

    def _find_currency(self, number: Item, near: Item | None, column: ColumnName) -> list[Item]:
        """The currency of *column* behind the number: "below 400 euros"."""
        behind = [each for each in self._select("column") if each.place == number.place + 1 and each is not near]
        return [each for each in behind if each.words[0] in CURRENCIES and column in each.meaning]

    def _add_equal(self, draft: Draft) -> None:
        """That a number is what stands right before it: "angkatan 2022", "room 203"."""
        for number in self._select("number"):
            before = next((each for each in self._items if each.place + len(each.words) == number.place), None)
            column = self._find_numbered(before, draft) if before else None
            if column is not None and self._may_hold(column, number.meaning):
                draft.filters.append(Filter(column, "=", (number.meaning,)))
                self._use(number)
                if before in self._unused:
                    self._use(before)

    def _find_numbered(self, item: Item, draft: Draft) -> ColumnName | None:
        """The column of figures that *item* names, or by whose figures the rows are known that it names."""
        column = self._find_column(item, draft.table) if item.kind == "column" else None
        display = self._vocabulary.find_display(draft.table)
        if item.kind == "table" and item.meaning == draft.table and display:
            column = ColumnName(draft.table, display)
        return column if column is not None and self._vocabulary.is_figure(column) else None

    def _may_hold(self, column: ColumnName, number: float) -> bool:
        """Whether *number* is none of a day beside it: of what may be a year the column has others."""
        if not _FIRST_YEAR < number < _LAST_YEAR:
            return True
        samples = self._vocabulary.find_column(column.table, column.column).samples
        return any(str(each).isdigit() and _FIRST_YEAR < int(str(each)) < _LAST_YEAR for each in samples)

    def _add_period(self, draft: Draft) -> None:
        for item in self._select("period"):
            self._add_days(draft, *item.meaning.find_days(self._today))
            self._use(item)

    def _add_year(self, draft: Draft) -> None:
        for item in self._select("number"):
            is_year = isinstance(item.meaning, int) and _FIRST_YEAR < item.meaning < _LAST_YEAR
            if is_year and not self._select("than"):
                self._add_days(draft, date(item.meaning, 1, 1), date(item.meaning + 1, 1, 1))
                self._use(item)

    def _add_days(self, draft: Draft, first: date, until: date) -> None:
        column = self._choose_date(draft)
        draft.filters += [Filter(column, ">=", (first.isoformat(),)), Filter(column, "<", (until.isoformat(),))]

    def _choose_date(self, draft: Draft) -> ColumnName:
        """The column of days that is named, else the only one."""
        table = self._vocabulary.tables[draft.table]
        dates = [ColumnName(table.name, each.name) for each in table.columns]
        dates = [each for each in dates if self._vocabulary.is_date(each)]
        named = [each for each in self._select("column") if self._find_column(each, draft.table) in dates]
        if len(named) == 1:
            meant = self._find_column(self._use(named[0]), draft.table)
            dates = [each for each in dates if each == meant]
        if len(dates) > 1 and self._before:  # "and next month?"
            columns = {each.column for each in self._before.filters}
            dates = [each for each in dates if each in columns] or dates
        if len(dates) != 1:
            raise QuestionRefused("date")
        return dates[0]
