"""From the parts of a question to one query, all of them used."""

import re
from collections.abc import Callable
from datetime import date
from itertools import pairwise

from datasources.access import TableName
from datasources.questions.draft import Draft, Term
from datasources.questions.filters import Filtering
from datasources.questions.reading import Item, QuestionRefused, read_question
from datasources.questions.vocabulary import ColumnName, Vocabulary
from datasources.questions.words import MOST, split_name

_MOST_LISTED = 200
_GROUPING = frozenset(("table", "column", "unit"))


def plan_question(question: str, vocabulary: Vocabulary, today: date) -> Draft:
    """The query that *question* asks for.

    Raises:
        QuestionRefused: a word is not understood, or what was understood does not make one query.
    """
    words, items = read_question(question, vocabulary)
    return _Planner(words, items, vocabulary, today).plan()


_NAMED = re.compile(r"\b(names?|nombres?|nama) (and|y|dan|with)\b|\b(and|with) their\b")
_OF = frozenset(("of", "de", "del", "dari"))


class _Planner(Filtering):
    def plan(self) -> Draft:
        draft = Draft(self._choose_table())
        self.add_filters(draft)
        kinds = {each.kind for each in self._left}
        template: Callable[[Draft], None]
        if "top" in kinds and not kinds & {"count", "aggregate", "superlative"}:
            template = self._rank_top
        elif "each" in kinds:
            template = self._group
        elif "most" in kinds:
            template = self._rank
        elif "superlative" in kinds:
            template = self._find_extreme
        elif "aggregate" in kinds:
            template = self._aggregate
        elif "count" in kinds:
            template = self._count
        else:
            template = self._list
        template(draft)
        if self._left:
            raise QuestionRefused(f"It is not clear what {' '.join(self._left[0].words)!r} has to do with the rest.")
        display = self._vocabulary.find_display(draft.table)
        draft.keeps_repeats = (
            self._vocabulary.counts_rows and Term(ColumnName(draft.table, str(display))) in draft.select
        )
        return draft

    def _choose_table(self) -> TableName:
        """The table that is named first, else the only one that has all columns, and a value, that are named."""
        if tables := self._of("table"):
            found: TableName = self._use(tables[0]).meaning
            for again in [each for each in tables[1:] if each.meaning == found]:
                self._use(again)
            return found
        candidates = set(self._vocabulary.tables)
        for item in self._of("column"):
            candidates &= {each.table for each in item.meaning}
        if not self._of("column"):
            candidates = self._find_counted()
        for item in self._of("value"):
            having = {column.table for column, _ in item.meaning}
            displayed = {column.table for column, _ in item.meaning if self._is_display(column)}
            candidates = candidates & displayed or candidates & having or candidates
        if len(candidates) != 1:
            raise QuestionRefused("It is not clear which table is meant.")
        return candidates.pop()

    def _find_counted(self) -> set[TableName]:
        """The only table whose rows are of the kinds that are counted: "how many pumps"; else none."""
        kinds = [column for item in self._of("value") for column, _ in item.meaning]
        tables = {column.table for column in kinds}
        is_of_kinds = bool(self._of("count")) and not any(map(self._is_display, kinds)) and len(tables) == 1
        return tables if is_of_kinds else set()

    def _refuse_chain(self) -> None:
        """Refuse what asks for a column of a column: the size of the capital of a state."""
        places = [each.place for each in self._of("column")]
        if any(_OF & set(self._words[first:last]) for first, last in pairwise(places)):
            raise QuestionRefused("Rules cannot do something of something of something.")

    def _count_term(self, draft: Draft) -> Term:
        """Rows, where each is one thing; else the different names."""
        display = self._vocabulary.find_display(draft.table)
        has_key = self._vocabulary.counts_rows or len(self._vocabulary.tables[draft.table].primary_key) == 1
        if has_key or display is None:
            return Term(None, "COUNT")
        return Term(ColumnName(draft.table, display), "COUNT DISTINCT")

    def _group(self, draft: Draft) -> None:
        each = self._use(self._of("each")[0])
        following = [item for item in self._left if item.place > each.place and item.kind in _GROUPING]
        if not following:
            raise QuestionRefused("It is not clear for each of what.")
        by = self._use(following[0])
        column: ColumnName | None
        if by.kind == "unit":
            column = self._choose_date(draft)
        elif by.kind == "column":
            column = self._column_in(by, draft.table)
        else:
            self._join(draft, by.meaning)
            display = self._vocabulary.find_display(by.meaning)
            column = ColumnName(by.meaning, display) if display else None
        if column is None:
            raise QuestionRefused(f"{draft.table[1]} cannot be grouped by {' '.join(by.words)!r}.")
        draft.group = Term(column, by.meaning if by.kind == "unit" else "")
        self._add_measure(draft)

    def _add_measure(self, draft: Draft) -> None:
        if self._of("aggregate"):
            self._aggregate(draft)
        elif self._of("count"):
            self._count(draft)
        elif self._counts_kinds(draft):
            draft.select = [self._count_term(draft)]
        else:
            raise QuestionRefused("It is not clear what is to be counted.")

    def _counts_kinds(self, draft: Draft) -> bool:
        """Whether rows are to be counted although no word says so: "machines by status"."""
        is_of_rows = any(each.kind == "table" for each in self._items)
        group = draft.group
        is_kind = group is not None and group.column is not None and self._vocabulary.is_text(group.column)
        return is_of_rows and not self._left and (is_kind or bool(group and group.function))

    def _rank_top(self, draft: Draft) -> None:
        """The first rows by a number: "top 5 machines by hours"."""
        for each in self._of("each"):
            self._use(each)
        most = [self._use(each).meaning for each in self._of("most")]
        columns = [each for each in self._take_columns(draft) if not self._vocabulary.is_text(each)]
        display, limit = self._vocabulary.find_display(draft.table), self._take_limit()
        if len(columns) != 1 or display is None or limit is None or len(most) > 1:
            raise QuestionRefused("It is not clear which rows come first.")
        draft.select, draft.limit = [Term(ColumnName(draft.table, display))], limit
        draft.order = Term(columns[0]), most[0] if most else "DESC"

    def _rank(self, draft: Draft) -> None:
        """The rows with the most of a number, or the things that most rows of another table belong to."""
        direction = self._use(self._of("most")[0]).meaning
        display, others = self._vocabulary.find_display(draft.table), self._of("table")
        if display is None:
            raise QuestionRefused(f"The rows of {draft.table[1]} have no name.")
        name = ColumnName(draft.table, display)
        if others:
            self._join(draft, others[0].meaning)
            draft.select, draft.group, draft.order = [], Term(name), (Term(None, "COUNT"), direction)
        else:
            columns = [each for each in self._take_columns(draft) if not self._vocabulary.is_text(each)]
            if len(columns) != 1:
                raise QuestionRefused("It is not clear most of what.")
            draft.select, draft.order = [Term(name)], (Term(columns[0]), direction)
        draft.limit = self._take_limit() or 1

    def _take_limit(self) -> int | None:
        for item in self._of("top"):
            self._use(item)
        numbers = [each for each in self._of("number") if isinstance(each.meaning, int) and 0 < each.meaning < 1000]
        return int(self._use(numbers[0]).meaning) if numbers else None

    def _find_extreme(self, draft: Draft) -> None:
        self._refuse_chain()
        superlative = self._use(self._of("superlative")[0])
        wanted, end = superlative.meaning
        key = self._take_next_column(draft, superlative) or self._find_measure(draft.table, wanted)
        columns = self._take_columns(draft)  # also the key, where that is asked for: how long is the longest
        display = self._vocabulary.find_display(draft.table)
        if key is None or (display is None and not columns):
            raise QuestionRefused(f"There is no column for {superlative.words[0]!r}.")
        asked = columns or [ColumnName(draft.table, display)] if display else columns
        draft.select = [Term(each) for each in asked]
        if limit := self._take_limit():
            draft.order, draft.limit = (Term(key), "DESC" if end == "MAX" else "ASC"), limit
        else:
            draft.extreme = Term(key, end)

    def _take_next_column(self, draft: Draft, superlative: Item) -> ColumnName | None:
        """The number that the superlative stands before; in Spanish behind it: población más pequeña."""
        is_behind = self._words[superlative.place - 1] in MOST
        for item in self._of("column"):
            column = self._column_in(item, draft.table)
            is_before = 0 < item.place - superlative.place <= 2
            if (is_before or (is_behind and item.place == superlative.place - 2)) and column is not None:
                if self._vocabulary.is_text(column):
                    raise QuestionRefused(f"It is not clear what {' '.join(superlative.words)!r} is about.")
                self._use(item)
                return column
        return None

    def _find_measure(self, table: TableName, wanted: tuple[str, ...]) -> ColumnName | None:
        columns = {" ".join(split_name(each.name)): each.name for each in self._vocabulary.tables[table].columns}
        found = next((columns[each] for each in wanted if each in columns), None)
        return ColumnName(table, found) if found else None

    def _aggregate(self, draft: Draft) -> None:
        function = self._use(self._of("aggregate")[0]).meaning
        columns = self._take_columns(draft)
        if len(columns) != 1 or self._vocabulary.is_text(columns[0]):
            raise QuestionRefused("It is not clear which number is meant.")
        for item in self._of("count"):  # "the total number of …" with a column that holds it
            self._use(item)
        draft.select = [Term(columns[0], function)]

    def _count(self, draft: Draft) -> None:
        self._use(self._of("count")[0])
        is_of_rows = any(each.kind == "table" for each in self._items)
        columns = [] if is_of_rows else self._take_columns(draft)
        if len(columns) == 1 and self._vocabulary.is_text(columns[0]):
            draft.select = [Term(columns[0], "COUNT DISTINCT")]
        elif len(columns) == 1 and any(self._is_display(each.column) for each in draft.filters):
            draft.select = [Term(columns[0])]  # how many people live in …
        elif not columns and (is_of_rows or self._is_of_kinds(draft)):
            draft.select = [self._count_term(draft)]
        else:
            raise QuestionRefused("It is not clear what is to be counted.")

    def _is_of_kinds(self, draft: Draft) -> bool:
        """Whether the rows are named by what kind they are: "how many pumps"."""
        own = [
            each.column for each in draft.filters if each.operator in ("=", "IN") and each.column.table == draft.table
        ]
        return any(self._vocabulary.is_text(each) and not self._is_display(each) for each in own)

    def _list(self, draft: Draft) -> None:
        self._refuse_chain()
        columns = self._take_columns(draft)
        display = self._vocabulary.find_display(draft.table)
        if display is not None and columns and _NAMED.search(" ".join(self._words)):
            columns = list(dict.fromkeys([ColumnName(draft.table, display), *columns]))
        if not columns and display is not None:
            columns = [ColumnName(draft.table, display)]
        elif not draft.filters and columns and display is not None and columns != [ColumnName(draft.table, display)]:
            raise QuestionRefused("It is not clear of which rows.")
        if not columns:
            raise QuestionRefused("It is not clear what is asked for.")
        draft.select, draft.limit = [Term(each) for each in columns], _MOST_LISTED
