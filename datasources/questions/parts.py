"""The parts of a question on their way into a query: each is used once."""

from datetime import date

from datasources.access import TableName
from datasources.questions.draft import Draft
from datasources.questions.reading import Item, Kind, QuestionRefused
from datasources.questions.vocabulary import ColumnName, Vocabulary


class Parts:
    """Those of one question; `_left` are the ones that are not used yet."""

    def __init__(self, words: list[str], items: list[Item], vocabulary: Vocabulary, today: date) -> None:
        self._words, self._items, self._vocabulary, self._today = words, items, vocabulary, today
        self._left = list(items)

    def _of(self, kind: Kind) -> list[Item]:
        return [each for each in self._left if each.kind == kind]

    def _use(self, item: Item) -> Item:
        self._left.remove(item)
        return item

    def _column_in(self, item: Item, table: TableName) -> ColumnName | None:
        return next((each for each in item.meaning if each.table == table), None)

    def _take_columns(self, draft: Draft) -> list[ColumnName]:
        """The columns of the table that are left, in their order."""
        found = []
        for item in self._of("column"):
            column = self._column_in(item, draft.table)
            if column is not None:
                self._use(item)
                if column not in found:
                    found.append(column)
        return found

    def _is_display(self, column: ColumnName) -> bool:
        """Whether rows are known by it."""
        return self._vocabulary.find_display(column.table) == column.column

    def _join(self, draft: Draft, table: TableName) -> None:
        columns = self._vocabulary.find_join(draft.table, table)
        if columns is None or any(far.table == table for _, far in draft.joins):
            raise QuestionRefused(f"{draft.table[1]} and {table[1]} cannot be linked in one way.")
        draft.joins.append((ColumnName(draft.table, columns[0]), ColumnName(table, columns[1])))
        for item in [each for each in self._of("table") if each.meaning == table]:
            self._use(item)
