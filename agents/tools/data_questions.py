"""Questions in words to one database: a language model writes the query, or rules do."""

import hashlib
from collections.abc import Callable, Hashable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol, TypeVar

from langchain_core.language_models import BaseChatModel

from agents.tools.last_result import LastResult
from agents.tools.sql_writer import WrittenQuery, write_query
from agents.tools.table_vectors import TableVectors
from datasources.access import Access, Attributes
from datasources.answers.answer_text import AnswerFacts, format_answer
from datasources.answers.describing import describe_draft
from datasources.catalog import OpenTable
from datasources.functions import FUNCTIONS
from datasources.linking import FEW_TABLES, choose_tables, describe_table
from datasources.questions.continuing import begins_anew, may_continue
from datasources.questions.draft import Draft
from datasources.questions.followup_parts import refers_to_result
from datasources.questions.planning import plan_followup, plan_question, read_followup_words
from datasources.questions.reading import read_question
from datasources.questions.refusals import NotUnderstood, QuestionRefused, add_examples, format_refusal
from datasources.questions.suggestions import KnownSuggestions, Suggestion, suggest_questions
from datasources.questions.values import add_stored_values
from datasources.questions.vocabulary import Vocabulary, make_vocabulary
from datasources.questions.words import detect_question_language
from datasources.results import QueryLimits, Result, split
from datasources.samples import hide_filtered_samples, read_filtered_samples
from datasources.schema_text import write_schema
from datasources.source import DataSource
from datasources.stopping import Stop
from prompts.sql import make_sql_prompt
from utils.expiring import SharedExpiring
from utils.ports import Embedder
from utils.validity import today

T = TypeVar("T")
_MAX_KEPT, _KEPT_S = 100, 60.0
_MAX_CONTINUED = 5  # questions of which each goes on about the one before
_NAMING = ("value", "number", "period")
_ASKING = {"count", "aggregate", "superlative", "most", "each", "top", "than"}
_NAMED = {"column", "value"}


class RunInThread(Protocol):
    """Runs what blocks in a thread, and stops it when nobody waits for it any more."""

    async def __call__(self, work: Callable[[Stop], T]) -> T:
        """What *work* gives."""
        ...


@dataclass(frozen=True, slots=True)
class ReadySource:
    """A data source that is ready to be asked; `user` is what its row filters know of whoever asks.

    `key` is another one whenever something else may be read of it. `counts_rows`: see `Vocabulary`. `examples`:
    questions that are known to suit it.
    """

    name: str
    database: DataSource
    access: Access
    tables: list[OpenTable]
    user: Attributes
    limits: QueryLimits = field(default_factory=QueryLimits)
    key: Hashable = field(default_factory=object)
    source_id: str = ""
    counts_rows: bool = False
    examples: KnownSuggestions = field(default_factory=dict)

    @property
    def stamp(self) -> str:
        """The key and the user as a text, which says nothing of either."""
        return hashlib.sha256(repr((self.key, sorted(self.user.items()))).encode()).hexdigest()[:32]

    def run(self, sql: str, stop: Stop) -> Result:
        """What *sql* gives, with both checks; see `DataSource.run`. What is more than an answer rests on is `more`."""
        result = self.database.run(sql, self.access, self.user, self.limits, stop)
        return split(result, QueryLimits()) if self.limits.rows > QueryLimits().rows else result


@dataclass(frozen=True, slots=True)
class ModelAsker:
    """Has a language model write queries. *embedder* chooses tables by meaning; None: by words alone."""

    run: RunInThread
    vectors: TableVectors
    embedder: Embedder | None
    max_retries: int

    async def ask(self, source: ReadySource, question: str, chat: BaseChatModel) -> WrittenQuery:
        """The query that *chat* has written, and what it gives.

        Raises:
            NoQuery: it says that there is none.
            QueryRefused, QueryFailed, SourceUnavailable: as `DataSource.run`, of the last try.
            ProviderError: it did not answer.
        """
        chosen = await self.choose(source, question)
        samples = await self.run(partial(read_filtered_samples, chosen, source.database, source.access, source.user))
        dialect = source.database.dialect
        schema = write_schema(question, samples, dialect)
        prompt = make_sql_prompt(schema, dialect=dialect, functions=FUNCTIONS[dialect], today=today())
        return await write_query(
            chat, prompt, question, lambda sql: self.run(partial(source.run, sql)), max_retries=self.max_retries
        )

    async def choose(self, source: ReadySource, question: str) -> list[OpenTable]:
        """The tables that *question* is about; see `choose_tables`."""
        tables = hide_filtered_samples(source.tables, source.access)
        return choose_tables(question, tables, await self._compare(question, tables))

    async def _compare(self, question: str, tables: list[OpenTable]) -> list[float]:
        if len(tables) <= FEW_TABLES or self.embedder is None:
            return []
        return await self.vectors.compare(question, [describe_table(each) for each in tables], self.embedder)


class Vocabularies:
    """The words of data sources, kept for a minute: to read the values takes 20 ms and more. For all threads."""

    def __init__(self) -> None:
        self._cache: SharedExpiring[Hashable, Vocabulary] = SharedExpiring(_MAX_KEPT, _KEPT_S)

    def load(self, source: ReadySource, stop: Stop) -> Vocabulary:
        """That of *source*, with the values that its user may see.

        Raises:
            QueryRefused, QueryFailed, SourceUnavailable: as `DataSource.run`.
        """
        is_filtered = any(each.row_filter for each in source.access.values())
        key = source.key, tuple(sorted(source.user.items())) if is_filtered else ()

        def make() -> Vocabulary:
            vocabulary = make_vocabulary(source.tables, counts_rows=source.counts_rows)
            add_stored_values(vocabulary, source.database, source.access, source.user, stop)
            return vocabulary

        return self._cache.load(key, make)


def is_understood(source: ReadySource, question: str, vocabularies: Vocabularies, stop: Stop) -> bool:
    """Whether rules understand the whole question, and it is more than a name: of that documents may speak as well.

    Raises:
        QuestionRefused: they do not.
        QueryRefused, QueryFailed, SourceUnavailable: as `DataSource.run`.
    """
    vocabulary = vocabularies.load(source, stop)
    plan_question(question, vocabulary, today())
    kinds = [each.kind for each in read_question(question, vocabulary)[1]]
    return len(kinds) > 1 and any(kind not in _NAMING for kind in kinds)


def list_understood(source: ReadySource, questions: Sequence[str], vocabularies: Vocabularies, stop: Stop) -> list[str]:
    """The *questions* that rules understand, see `is_understood`.

    Raises:
        QueryRefused, QueryFailed, SourceUnavailable: as `DataSource.run`.
    """
    found = []
    for each in questions:
        with suppress(QuestionRefused):
            if is_understood(source, each, vocabularies, stop):
                found.append(each)
    return found


def suggest(source: ReadySource, language: str, vocabularies: Vocabularies, stop: Stop) -> list[Suggestion]:
    """Questions in *language* that rules understand, see `suggest_questions`.

    Raises:
        QueryRefused, QueryFailed, SourceUnavailable: as `DataSource.run`.
    """
    return suggest_questions(vocabularies.load(source, stop), today(), language, source.examples.get(language, ()))


@dataclass(frozen=True, slots=True)
class RuleAnswer:
    """What a query of rules gave: what was understood, in words, and the lines that answer the question."""

    sql: str
    understood: str
    result: Result
    lines: list[str]


def ask_by_rules(
    source: ReadySource,
    question: str,
    vocabularies: Vocabularies,
    max_rows: int,
    stop: Stop,
    *,
    last: LastResult | None = None,
) -> RuleAnswer:
    """Make a query of *question* by rules, run it, and tell what it gives; of rows the first *max_rows*.

    *last*: the result that it goes on about; None: it stands alone.

    Raises:
        NotUnderstood: they do not understand it; the text names the word, and questions that work.
        QueryRefused, QueryFailed, SourceUnavailable: as `DataSource.run`.
    """
    vocabulary = vocabularies.load(source, stop)
    language = detect_question_language(question, last.question if last else "")
    try:
        draft = _plan_followup(last, question, vocabulary) if last else plan_question(question, vocabulary, today())
    except QuestionRefused as exc:
        raise NotUnderstood(_format_refusal(exc, source, language, vocabularies, stop)) from exc
    understood, full = describe_draft(draft, language), draft.show_reasons()
    sql = full.write_sql()
    result = source.run(sql, stop)
    repeated = question if last is None or begins_anew(question) else ""
    lines = format_answer(
        AnswerFacts(repeated, language, understood, draft, full, result, source.name, vocabulary.units), max_rows
    )
    return RuleAnswer(sql, understood, result, lines)


def explain_refusal(source: ReadySource, question: str, vocabularies: Vocabularies, stop: Stop) -> str:
    """Why rules do not understand a question about its tables, all but one word known; "" of any other.

    Raises:
        QuestionRefused: more than a word is not understood.
        QueryRefused, QueryFailed, SourceUnavailable: as `DataSource.run`.
    """
    vocabulary = vocabularies.load(source, stop)
    try:
        plan_question(question, vocabulary, today())
    except QuestionRefused as exc:
        unknown = exc.about if exc.reason in ("word", "unsupported") else ()
        kinds = {each.kind for each in read_question(question, vocabulary, ignored=unknown)[1]}
        if "table" in kinds or (kinds & _ASKING and kinds & _NAMED):
            language = detect_question_language(question)
            reason = _format_refusal(exc, source, language, vocabularies, stop)
            return format_refusal("source", language, source.name, reason)
    return ""


def _format_refusal(
    refusal: QuestionRefused, source: ReadySource, language: str, vocabularies: Vocabularies, stop: Stop
) -> str:
    examples = suggest(source, language, vocabularies, stop)
    return add_examples(refusal.describe(language), [each.question for each in examples], language)


def is_continued(source: ReadySource, question: str, last: LastResult, vocabularies: Vocabularies, stop: Stop) -> bool:
    """Whether rules understand *question* together with what was asked for *last*, and not by itself.

    Raises:
        QuestionRefused: they do not understand it at all.
        QueryRefused, QueryFailed, SourceUnavailable: as `DataSource.run`.
    """
    vocabulary = vocabularies.load(source, stop)
    with suppress(QuestionRefused):
        is_whole = begins_anew(question) and not refers_to_result(question, last.question)
        if is_whole and is_understood(source, question, vocabularies, stop):
            return False
    try:
        _plan_followup(last, question, vocabulary)
    except QuestionRefused as exc:
        if exc.reason != "some rows":
            raise
        read_followup_words(question, vocabulary, detect_question_language(question, last.question))
    return may_continue(question)


def _plan_followup(last: LastResult, question: str, vocabulary: Vocabulary) -> Draft:
    """The query for *question*, which goes on about the rows of *last*."""
    first, *more = *last.earlier, last.question
    if len(more) >= _MAX_CONTINUED:
        raise QuestionRefused("asked")
    draft, before = plan_question(first, vocabulary, today()), first
    for each in (*more, question):
        draft = plan_followup(each, draft, vocabulary, today(), detect_question_language(each, before))
        before = each
    return draft
