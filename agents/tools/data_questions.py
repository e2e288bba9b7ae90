"""Questions in words to one database: a language model writes the query, or rules do."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol, TypeVar

from langchain_core.language_models import BaseChatModel

from agents.tools.sql_writer import WrittenQuery, write_query
from agents.tools.table_vectors import TableVectors
from datasources.access import Access, Attributes
from datasources.catalog import OpenTable
from datasources.functions import FUNCTIONS
from datasources.linking import FEW_TABLES, choose_tables, describe_table
from datasources.questions.planning import plan_question, suggest_questions
from datasources.questions.reading import QuestionRefused
from datasources.questions.values import add_stored_values
from datasources.questions.vocabulary import make_vocabulary
from datasources.results import QueryLimits, Result
from datasources.samples import hide_filtered_samples, read_filtered_samples
from datasources.schema_text import write_schema
from datasources.source import DataSource
from datasources.stopping import Stop
from prompts.sql import sql_prompt
from utils.ports import Embedder
from utils.validity import today

T = TypeVar("T")


class RunInThread(Protocol):
    """Runs what blocks in a thread, and stops it when nobody waits for it any more."""

    async def __call__(self, work: Callable[[Stop], T]) -> T:
        """What *work* gives."""
        ...


@dataclass(frozen=True, slots=True)
class AskedSource:
    """A data source that is ready to be asked; `user` is what its row filters know of whoever asks."""

    name: str
    source: DataSource
    access: Access
    tables: list[OpenTable]
    user: Attributes
    limits: QueryLimits = field(default_factory=QueryLimits)

    def run(self, sql: str, stop: Stop) -> Result:
        """What *sql* gives, behind both walls; see `DataSource.run`."""
        return self.source.run(sql, self.access, self.user, self.limits, stop)


@dataclass(frozen=True, slots=True)
class ModelAsker:
    """Has a language model write queries. *embedder* chooses tables by meaning; None: by words alone."""

    run: RunInThread
    vectors: TableVectors
    embedder: Embedder | None
    most_retries: int

    async def ask(self, asked: AskedSource, question: str, chat: BaseChatModel) -> WrittenQuery:
        """The query that *chat* has written, and what it gives.

        Raises:
            NoQuery: it says that there is none.
            QueryRefused, QueryFailed, SourceUnavailable: as `DataSource.run`, of the last try.
            ProviderError: it did not answer.
        """
        tables = hide_filtered_samples(asked.tables, asked.access)
        chosen = choose_tables(question, tables, await self._compare(question, tables))
        shown = await self.run(partial(read_filtered_samples, chosen, asked.source, asked.access, asked.user))
        dialect = asked.source.dialect
        schema = write_schema(question, shown, dialect)
        prompt = sql_prompt(schema, dialect=dialect, functions=FUNCTIONS[dialect], today=today())
        return await write_query(
            chat, prompt, question, lambda sql: self.run(partial(asked.run, sql)), most_retries=self.most_retries
        )

    async def _compare(self, question: str, tables: list[OpenTable]) -> list[float]:
        if len(tables) <= FEW_TABLES or self.embedder is None:
            return []
        return await self.vectors.compare(question, [describe_table(each) for each in tables], self.embedder)


def ask_by_rules(asked: AskedSource, question: str, stop: Stop) -> tuple[str, str, Result]:
    """The query that rules make of *question*, what was understood, in words, and what the query gives.

    Raises:
        QuestionRefused: they do not understand it; the text names the word, and questions that work.
        QueryRefused, QueryFailed, SourceUnavailable: as `DataSource.run`.
    """
    vocabulary = make_vocabulary(asked.tables)
    add_stored_values(vocabulary, asked.source, asked.access, asked.user, stop)
    try:
        draft = plan_question(question, vocabulary, today())
    except QuestionRefused as exc:
        examples = " ".join(suggest_questions(vocabulary, today()))
        raise QuestionRefused(f"{exc} Questions that work: {examples}" if examples else str(exc)) from exc
    sql = draft.write_sql()
    return sql, draft.describe(), asked.run(sql, stop)
