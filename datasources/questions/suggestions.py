"""Questions about a database that rules understand, to begin with, in English, Spanish or Indonesian."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from datasources.questions.planning import plan_question
from datasources.questions.refusals import QuestionRefused
from datasources.questions.vocabulary import ColumnName, Vocabulary
from datasources.questions.words import read_name
from datasources.schema import Table
from utils.data_files import load_json

_MOST, _MAX_KINDS, _OF_A_TABLE = 3, 30, 2
_TEXTS: Mapping[str, Mapping[str, str]] = load_json("datasources.questions", "suggestions.json")


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A question; `is_grouped`: its answer is a figure for each of several kinds, of which a chart can be drawn."""

    question: str
    is_grouped: bool = False

    def ask_for_chart(self, language: str) -> str:
        """A question that also asks for a chart."""
        text, end = self.question.rstrip("?"), "?" * self.question.endswith("?")
        return f"{text} {_get_texts(language)['chart']}{end}"


KnownSuggestions = Mapping[str, Sequence[Suggestion]]
"""By language: questions that somebody has written for a database."""


def suggest_questions(
    vocabulary: Vocabulary, today: date, language: str = "en", examples: Sequence[Suggestion] = ()
) -> list[Suggestion]:
    """At most three that the rules understand, those *examples* of this database first."""
    suggestions: list[Suggestion] = []
    for each in (*examples, *_list_candidates(vocabulary, _get_texts(language))):
        if len(suggestions) < _MOST and _is_understood(each.question, vocabulary, today):
            suggestions.append(each)
    return suggestions


def _get_texts(language: str) -> Mapping[str, str]:
    return _TEXTS.get(language, _TEXTS["en"])


def _list_candidates(vocabulary: Vocabulary, texts: Mapping[str, str]) -> Iterator[Suggestion]:
    for table in vocabulary.tables.values():
        name = " ".join(read_name(table.name[1]))
        kinds = [" ".join(read_name(each)) for each in _list_kinds(vocabulary, table)]
        groups = [Suggestion(texts["group"].format(name, kind), is_grouped=True) for kind in kinds]
        yield from [Suggestion(texts["count"].format(name)), *groups][:_OF_A_TABLE]


def _list_kinds(vocabulary: Vocabulary, table: Table) -> Iterator[str]:
    """The columns that say of what kind rows are."""
    display = vocabulary.find_display(table.name)
    for column in table.columns:
        is_kind = vocabulary.is_text(ColumnName(table.name, column.name)) and column.name != display
        if is_kind and 1 < (column.distinct_count or 0) < _MAX_KINDS:
            yield column.name


def _is_understood(question: str, vocabulary: Vocabulary, today: date) -> bool:
    try:
        plan_question(question, vocabulary, today)
    except QuestionRefused:
        return False
    return True
