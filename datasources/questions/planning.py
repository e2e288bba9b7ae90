"""From the parts of a question to one query, all of them used."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import date

from datasources.access import TableName
from datasources.questions.draft import Draft, Term
from datasources.questions.followup_parts import POINTING, RELATIVE, SAYS_NOTHING, WHICH
from datasources.questions.ranking import Ranking
from datasources.questions.reading import Item, read_question
from datasources.questions.references import find_reference
from datasources.questions.refusals import QuestionRefused
from datasources.questions.vocabulary import ColumnName, Vocabulary
from datasources.questions.words import LISTING

_MAX_LISTED = 200
_GROUPING = frozenset(("table", "column", "unit"))


def plan_question(question: str, vocabulary: Vocabulary, today: date) -> Draft:
    """The query that *question* asks for.

    Raises:
        QuestionRefused: a word is not understood, or what was understood does not make one query; or a word points at
            something that is not in it, such as "its".
    """
    words, items = read_question(question, vocabulary)
    if word := find_reference(words, items):
        raise QuestionRefused("reference", word)
    return _Planner(words, items, vocabulary, today).plan()


def read_followup_words(question: str, vocabulary: Vocabulary, language: str) -> tuple[list[str], list[Item]]:
    """Read a follow-up as `read_question` reads a question; words that only point at the last result are left out."""
    return read_question(question, vocabulary, language, SAYS_NOTHING | POINTING)


def plan_followup(question: str, before: Draft, vocabulary: Vocabulary, today: date, language: str) -> Draft:
    """The query that *question* asks for where it goes on about the rows of *before*: with the same conditions, but for
    those on columns that it names values of.

    Raises:
        QuestionRefused: as `plan_question`; or *before* gave only some of the rows that its conditions leave.
    """
    if before.extreme or (before.order and before.limit):
        raise QuestionRefused("some rows")
    words, items = read_followup_words(question, vocabulary, language)
    is_list = not WHICH.isdisjoint(words) and not POINTING.isdisjoint(words)  # "which ones are they?"
    if all(each.kind == "table" for each in items) and not is_list:
        raise QuestionRefused("asked")
    for each in items:
        if each.kind == "column" and each.words[0] in RELATIVE and len(each.words) == 1:  # "and the next?"
            raise QuestionRefused("value", each.words[0])
    return _Planner(words, items, vocabulary, today, before).plan()


_NAMED = re.compile(r"\b(names?|nombres?|nama) (and|y|dan|with)\b|\b(and|with) their\b")


class _Planner(Ranking):
    def plan(self) -> Draft:
        draft = self._begin()
        self.add_filters(draft)
        if self._before:
            self._keep_filters(draft, self._before)
        kinds = {each.kind for each in self._unused}
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
        if self._before and template == self._list and not kinds and not LISTING & set(self._words):
            draft = self._repeat(draft, self._before)  # "and the pumps?"
        else:
            template(draft)
        if self._unused:
            raise QuestionRefused("rest", " ".join(self._unused[0].words))
        display = self._vocabulary.find_display(draft.table)
        is_named = Term(ColumnName(draft.table, str(display))) in draft.select
        draft.keeps_repeats = is_named and self._has_key(draft.table)
        draft.lists_things = is_named or not any(each.kind == "table" for each in self._items)
        return draft

    def _begin(self) -> Draft:
        before = self._before
        if before is None:
            return Draft(self._choose_table())
        for again in [each for each in self._select("table") if each.meaning == before.table]:
            self._use(again)
        tables = {each.column.table for each in before.filters} | {before.table}
        return Draft(before.table, joins=[each for each in before.joins if each[1].table in tables])

    def _keep_filters(self, draft: Draft, before: Draft) -> None:
        anew = {each.column for each in draft.filters}
        draft.filters = [*(each for each in before.filters if each.column not in anew), *draft.filters]

    def _repeat(self, draft: Draft, before: Draft) -> Draft:
        """What was asked before, of the rows of *draft*."""
        if draft.filters == before.filters:
            raise QuestionRefused("asked")
        joins = list(dict.fromkeys([*before.joins, *draft.joins]))
        return replace(before, filters=draft.filters, joins=joins)

    def _choose_table(self) -> TableName:
        """The table that is named first, else the only one that has all columns, and a value, that are named."""
        if tables := self._select("table"):
            table_name: TableName = self._use(tables[0]).meaning
            for again in [each for each in tables[1:] if each.meaning == table_name]:
                self._use(again)
            return table_name
        candidates = set(self._vocabulary.tables)
        for item in self._select("column"):
            candidates &= {each.table for each in item.meaning}
        if not self._select("column") and len(candidates) > 1:
            candidates = self._find_counted()
        for item in self._select("value"):
            having = {column.table for column, _ in item.meaning}
            displayed = {column.table for column, _ in item.meaning if self._is_display(column)}
            candidates = candidates & displayed or candidates & having or candidates
        if len(candidates) != 1:
            raise QuestionRefused("table")
        return candidates.pop()

    def _find_counted(self) -> set[TableName]:
        """The only table whose rows are of the kinds that are counted: "how many pumps"; else none."""
        kinds = [column for item in self._select("value") for column, _ in item.meaning]
        tables = {column.table for column in kinds}
        is_of_kinds = bool(self._select("count")) and not any(map(self._is_display, kinds)) and len(tables) == 1
        return tables if is_of_kinds else set()

    def _group(self, draft: Draft) -> None:
        each = self._use(self._select("each")[0])
        following = [item for item in self._unused if item.place > each.place and item.kind in _GROUPING]
        if not following:
            raise QuestionRefused("each")
        by = self._use(following[0])
        column: ColumnName | None
        if by.kind == "unit":
            column = self._choose_date(draft)
        elif by.kind == "column":
            column = self._find_column(by, draft.table)
        else:
            self._join(draft, by.meaning)
            display = self._vocabulary.find_display(by.meaning)
            column = ColumnName(by.meaning, display) if display else None
        if column is None:
            raise QuestionRefused("group", draft.table[1], " ".join(by.words))
        draft.group = Term(column, by.meaning if by.kind == "unit" else "")
        self._add_measure(draft)

    def _add_measure(self, draft: Draft) -> None:
        if self._select("aggregate"):
            self._aggregate(draft)
        elif self._select("count"):
            self._count(draft)
        elif not self._unused and (former := self._find_former_measure(draft)):
            draft.select = former
        elif self._counts_kinds(draft):
            draft.select = [self._count_term(draft)]
        else:
            raise QuestionRefused("count")

    def _find_former_measure(self, draft: Draft) -> list[Term]:
        """What was computed before, which "per status?" asks for again."""
        former = self._before.select if self._before else []
        is_own = all(each.column is None or each.column.table == draft.table for each in former)
        return former if is_own and all(each.function for each in former) else []

    def _counts_kinds(self, draft: Draft) -> bool:
        """Whether rows are to be counted although no word says so: "machines by status"."""
        is_of_rows = self._continues or any(each.kind == "table" for each in self._items)
        group = draft.group
        is_kind = group is not None and group.column is not None and self._vocabulary.is_text(group.column)
        return is_of_rows and not self._unused and (is_kind or bool(group and group.function))

    def _aggregate(self, draft: Draft) -> None:
        function = self._use(self._select("aggregate")[0]).meaning
        columns = self._take_columns(draft)
        fits = self._vocabulary.is_figure if function in ("SUM", "AVG") else self._vocabulary.is_ordered
        if len(columns) != 1 or not fits(columns[0]):
            raise QuestionRefused("number")
        for item in self._select("count"):  # "the total number of …" with a column that holds it
            self._use(item)
        draft.select = [Term(columns[0], function)]

    def _count(self, draft: Draft) -> None:
        self._use(self._select("count")[0])
        is_of_rows = self._continues or any(each.kind == "table" for each in self._items)
        columns = [] if is_of_rows else self._take_columns(draft)
        if len(columns) == 1 and self._vocabulary.is_text(columns[0]):
            draft.select = [Term(columns[0], "COUNT DISTINCT")]
        elif len(columns) == 1 and any(self._is_display(each.column) for each in draft.filters):
            draft.select = [Term(columns[0])]  # how many people live in …
        elif not columns and (is_of_rows or self._is_of_kinds(draft)):
            draft.select = [self._count_term(draft)]
        else:
            raise QuestionRefused("count")

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
        if self._continues and display is not None:
            columns = list(dict.fromkeys([ColumnName(draft.table, display), *columns]))
        elif not columns and display is not None:
            columns = [ColumnName(draft.table, display)]
        elif not draft.filters and columns and display is not None and columns != [ColumnName(draft.table, display)]:
            raise QuestionRefused("rows")
        if not columns:
            raise QuestionRefused("asked")
        named = [each.column for each in draft.filters if each.operator == "IN" and each.column.table == draft.table]
        columns = list(dict.fromkeys([*filter(self._is_display, named), *columns]))  # whose is which
        draft.select, draft.limit = [Term(each) for each in columns], _MAX_LISTED
