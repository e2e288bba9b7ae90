"""The parts of a question on their way into a query: each is used once."""

from datetime import date

from datasources.access import TableName
from datasources.questions.draft import Draft
from datasources.questions.reading import Item, Kind
from datasources.questions.refusals import QuestionRefused
from datasources.questions.vocabulary import ColumnName, Vocabulary


class Parts:
    """The parts of one question; `_unused` are not used yet.

    *before*: what the question goes on about; None: it stands alone.
    """

    def __init__(
        self, words: list[str], items: list[Item], vocabulary: Vocabulary, today: date, before: Draft | None = None
    ) -> None:
        self._words, self._items, self._vocabulary, self._today = words, items, vocabulary, today
        self._unused, self._before = list(items), before

    @property
    def _continues(self) -> bool:
        return self._before is not None

    def _select(self, kind: Kind) -> list[Item]:
        return [each for each in self._unused if each.kind == kind]

    def _use(self, item: Item) -> Item:
        self._unused.remove(item)
        return item

    def _find_column(self, item: Item, table: TableName) -> ColumnName | None:
        return next((each for each in item.meaning if each.table == table), None)

    def _take_columns(self, draft: Draft) -> list[ColumnName]:
        """The columns of the table that are left, in their order."""
        columns = []
        for item in self._select("column"):
            column = self._find_column(item, draft.table)
            if column is not None:
                self._use(item)
                if column not in columns:
                    columns.append(column)
        return columns

    def _is_display(self, column: ColumnName) -> bool:
        """Whether rows are known by it."""
        return self._vocabulary.find_display(column.table) == column.column

    def _join(self, draft: Draft, table: TableName) -> None:
        columns = self._vocabulary.find_join(draft.table, table)
        is_joined = any(far.table == table for _, far in draft.joins)
        if columns is None or (is_joined and not self._continues):
            raise QuestionRefused("link", draft.table[1], table[1])
        if not is_joined:
            draft.joins.append((ColumnName(draft.table, columns[0]), ColumnName(table, columns[1])))
        for item in [each for each in self._select("table") if each.meaning == table]:
            self._use(item)
