"""The rows that have most of something: "the most hours", "top 5 by hours", "which status has the most machines"."""

from itertools import pairwise

from datasources.access import TableName
from datasources.questions.draft import Draft, Term
from datasources.questions.filters import Filtering
from datasources.questions.reading import Item
from datasources.questions.refusals import QuestionRefused
from datasources.questions.vocabulary import ColumnName
from datasources.questions.words import MOST, split_name

_OF = frozenset(("of", "de", "del", "dari"))


class Ranking(Filtering):
    """Puts them into a draft that has its conditions."""

    def _refuse_chain(self) -> None:
        """Refuse what asks for a column of a column: the size of the capital of a state."""
        places = [each.place for each in self._select("column")]
        if any(_OF & set(self._words[first:last]) for first, last in pairwise(places)):
            raise QuestionRefused("chain")

    def _count_term(self, draft: Draft) -> Term:
        """Rows, where each is one thing; else the different names."""
        display = self._vocabulary.find_display(draft.table)
        if self._has_key(draft.table) or display is None:
            return Term(None, "COUNT")
        return Term(ColumnName(draft.table, display), "COUNT DISTINCT")

    def _has_key(self, table: TableName) -> bool:
        """Whether each row is one thing."""
        return self._vocabulary.counts_rows or len(self._vocabulary.tables[table].primary_key) == 1

    def _rank_top(self, draft: Draft) -> None:
        """The first rows by a number: "top 5 machines by hours"."""
        for each in self._select("each"):
            self._use(each)
        most = [self._use(each).meaning for each in self._select("most")]
        columns = [each for each in self._take_columns(draft) if not self._vocabulary.is_text(each)]
        display, limit = self._vocabulary.find_display(draft.table), self._take_limit()
        if len(columns) != 1 or display is None or limit is None or len(most) > 1:
            raise QuestionRefused("first")
        draft.select, draft.limit = [Term(ColumnName(draft.table, display))], limit
        draft.order = Term(columns[0]), most[0] if most else "DESC"

    def _rank(self, draft: Draft) -> None:
        """The rows with the most of a number, or the things that most rows of another table belong to."""
        direction = self._use(self._select("most")[0]).meaning
        display, others = self._vocabulary.find_display(draft.table), self._select("table")
        columns = [] if others else self._take_columns(draft)
        kinds = [each for each in columns if self._vocabulary.is_text(each) and not self._is_display(each)]
        figures = [each for each in columns if not self._vocabulary.is_text(each)]
        if len(columns) == len(kinds) == 1:  # which status has the most machines
            draft.group, draft.order = Term(kinds[0]), (self._count_term(draft), direction)
        elif display is None:
            raise QuestionRefused("name", draft.table[1])
        elif others:
            self._join(draft, others[0].meaning)
            draft.counted = others[0].meaning
            draft.group, draft.order = Term(ColumnName(draft.table, display)), (Term(None, "COUNT"), direction)
        elif len(figures) == 1 and not kinds:
            self._rank_rows(draft, Term(ColumnName(draft.table, display)), figures[0], direction)
            return
        else:
            raise QuestionRefused("most")
        draft.limit = self._take_limit() or 1

    def _rank_rows(self, draft: Draft, name: Term, figure: ColumnName, direction: str) -> None:
        """The row with the most, of several that have as much all; or so many of them."""
        draft.select, draft.limit = [name], self._take_limit()
        if draft.limit:
            draft.order = Term(figure), direction
        else:
            draft.extreme = Term(figure, "MAX" if direction == "DESC" else "MIN")

    def _take_limit(self) -> int | None:
        for item in self._select("top"):
            self._use(item)
        numbers = [each for each in self._select("number") if isinstance(each.meaning, int) and 0 < each.meaning < 1000]
        return int(self._use(numbers[0]).meaning) if numbers else None

    def _find_extreme(self, draft: Draft) -> None:
        self._refuse_chain()
        superlative = self._use(self._select("superlative")[0])
        names, end = superlative.meaning
        key = self._take_next_column(draft, superlative) or self._find_measure(draft.table, names)
        columns = self._take_columns(draft)  # also the key, where that is asked for: how long is the longest
        display = self._vocabulary.find_display(draft.table)
        if key is None or (display is None and not columns):
            raise QuestionRefused("superlative", superlative.words[0])
        chosen = columns or [ColumnName(draft.table, display)] if display else columns
        draft.select = [Term(each) for each in chosen]
        if limit := self._take_limit():
            draft.order, draft.limit = (Term(key), "DESC" if end == "MAX" else "ASC"), limit
        else:
            draft.extreme = Term(key, end)

    def _take_next_column(self, draft: Draft, superlative: Item) -> ColumnName | None:
        """The number that the superlative stands before; in Spanish behind it: población más pequeña."""
        begin = superlative.place - (self._words[superlative.place - 1] in MOST)
        is_behind = begin < superlative.place or superlative.words[0].startswith("ter")  # "IPK tertinggi"
        for item in self._select("column"):
            column = self._find_column(item, draft.table)
            is_before = 0 < item.place - superlative.place <= 2
            if (is_before or (is_behind and item.place + len(item.words) == begin)) and column is not None:
                if self._vocabulary.is_text(column):
                    raise QuestionRefused("about", " ".join(superlative.words))
                self._use(item)
                return column
        return None

    def _find_measure(self, table: TableName, names: tuple[str, ...]) -> ColumnName | None:
        columns = {" ".join(split_name(each.name)): each.name for each in self._vocabulary.tables[table].columns}
        measure = next((columns[each] for each in names if each in columns), None)
        return ColumnName(table, measure) if measure else None
