"""Databases of tenants: found in SQL, opened and asked, each in a thread of its own pool."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, zip_longest
from typing import TypeVar

from langchain_core.language_models import BaseChatModel

from agents.opened_sources import OpenedSources, load_source_schema
from agents.tools.data_port import DataAnswer, NoReadableTables
from agents.tools.data_questions import (
    ModelAsker,
    ReadySource,
    Vocabularies,
    ask_by_rules,
    explain_refusal,
    is_continued,
    is_understood,
    list_understood,
    suggest,
)
from agents.tools.last_result import LastResult
from agents.tools.table_vectors import TableVectors
from auth.principal import Principal
from datasources.access import Access
from datasources.answers.cells import MAX_ROWS
from datasources.catalog import OpenTable, list_open_tables, make_access
from datasources.errors import QueryFailed, QueryRefused, SourceUnavailable
from datasources.functions import Dialect
from datasources.questions.refusals import QuestionRefused
from datasources.questions.suggestions import Suggestion
from datasources.result_columns import make_table
from datasources.results import QueryLimits, Result
from datasources.sample_maintenance import SAMPLE_FILE, SAMPLE_QUESTIONS
from datasources.samples import hide_filtered_samples
from datasources.source import DataSource
from datasources.stopping import Stop
from datasources.timed import TimedSource
from domain.data_sources import UPLOAD, find_only_source, find_source, list_open_ids
from domain.db import Database
from domain.models import DataSourceRow
from utils.checkpointer.cipher import Keyring
from utils.errors import ProblemError, ProviderError
from utils.expiring import SharedExpiring
from utils.ports import Embedder, StoreObserver
from utils.query_tables import QueryTable

logger = logging.getLogger(__name__)

T = TypeVar("T")
_OpenTables = tuple[Access, list[OpenTable]]  # what queries are held to, and what is known of these tables
_MAX_COMPARED, _COMPARED_S = 8, 5.0  # data sources that a question may be for, and how long they are looked at
_MAX_EXAMPLES = 3
_MAX_SUGGESTED, _SUGGESTED_S = 4, 1.0  # questions, and how long a data source is asked for them
_WITH_FILE = QueryLimits(rows=20_000, size_bytes=8_000_000)  # of which an answer rests on the first 1,000
_MAX_KEPT, _KEPT_S = 32, 600.0  # data sources of which it is known what may be read


@dataclass(frozen=True, slots=True)
class SourceSuggestion:
    """A question that the data source of this name answers."""

    source_name: str
    suggestion: Suggestion


@dataclass(frozen=True, slots=True)
class AskingLimits:
    """How often a language model may repair its query, and how many rows of a result it is shown."""

    retries: int
    head_rows: int


class DataSources(OpenedSources):
    """Asks data sources of tenants. *keys* are what their schemas are encrypted under, *open_source* gives a database.

    *embedder* gives the model by which tables are chosen where a source has many; None: words alone choose. *stores*
    hears how long queries take.
    """

    def __init__(
        self,
        database: Database,
        keys: Keyring | None,
        open_source: Callable[[DataSourceRow], DataSource],
        embedder: Callable[[], Embedder] | None,
        *,
        stores: StoreObserver,
        limits: AskingLimits,
    ) -> None:
        super().__init__(database, keys, open_source)
        self._stores, self._limits = stores, limits
        self._embedder, self._vectors = embedder, TableVectors()
        self._vocabularies = Vocabularies()
        self._open_tables: SharedExpiring[Hashable, _OpenTables] = SharedExpiring(_MAX_KEPT, _KEPT_S)

    async def ask(
        self, ctx: Principal, question: str, source_name: str | None, chat: BaseChatModel | None = None
    ) -> DataAnswer:
        """Put a question, in words, to the data source of this name or id, or to the only one. Whoever leaves ends it.

        *chat* writes the query; without it, or where it does not answer, rules do.

        Raises:
            NotFound: the tenant has no such data source.
            Conflict: it has several, and none was named; or nothing may be read of it.
            NoQuery: the model says that there is no query for it.
            NotUnderstood: the rules do not understand it; the text names the word, and questions that work.
            QueryRefused, QueryFailed, SourceUnavailable: as `DataSource.run`.
            NotReady, SourceFailed: it cannot be opened.
        """
        source = await self._run(lambda stop: self._prepare(ctx, source_name))
        if chat is not None:
            embedder = self._embedder() if self._embedder else None
            asker = ModelAsker(self._run, self._vectors, embedder, self._limits.retries)
            try:
                written = await asker.ask(source, question, chat)
                max_rows = self._limits.head_rows
                table = _make_table(source, question, written.sql, written.result, max_rows)
                return DataAnswer(
                    table,
                    written.result,
                    source_id=source.source_id,
                    attempts=written.attempts,
                    stamp=source.stamp,
                )
            except ProviderError as exc:
                logger.warning("A question to a data source is left to the rules: %s", exc.detail)
        return await self._ask_by_rules(source, question)

    async def ask_followup(self, ctx: Principal, question: str, last: LastResult) -> DataAnswer:
        """What its data source says of the rows that *last* is about, by a query of rules with the same conditions.

        Raises:
            As `ask`.
        """
        source = await self._run(lambda stop: self._prepare(ctx, last.source_id))
        answer = await self._ask_by_rules(source, question, last)
        return replace(answer, earlier=(*last.earlier, last.question))

    async def _ask_by_rules(self, source: ReadySource, question: str, last: LastResult | None = None) -> DataAnswer:
        result = await self._run(partial(ask_by_rules, source, question, self._vocabularies, MAX_ROWS, last=last))
        return DataAnswer(
            _make_table(source, question, result.sql, result.result, MAX_ROWS),
            result.result,
            result.understood,
            source.source_id,
            lines=tuple(result.lines),
            stamp=source.stamp,
        )

    async def match_followup(self, ctx: Principal, question: str, last: LastResult) -> bool:
        """Whether rules understand *question* together with what was asked for *last*, see `is_continued`."""

        def read(source: ReadySource, stop: Stop) -> bool:
            return is_continued(source, question, last, self._vocabularies, stop)

        return await self._read_one(ctx, last.source_id, read, _COMPARED_S) or False

    async def list_examples(self, ctx: Principal, source_name: str | None, language: str) -> list[str]:
        """At most three questions in *language* that rules understand, of this data source; None: of any."""

        def read(source: ReadySource, stop: Stop) -> list[str]:
            return [each.question for each in suggest(source, language, self._vocabularies, stop)]

        if source_name is not None:
            return await self._read_one(ctx, source_name, read, _COMPARED_S) or []
        return [each.suggestion.question for each in await self.suggest(ctx, language)][:_MAX_EXAMPLES]

    async def read_stamp(self, ctx: Principal, source_id: str) -> str:
        """What changes whenever something else may be read of the data source.

        Raises:
            NotFound: the principal has no such data source.
            Conflict: nothing may be read of it.
            NotReady, SourceFailed: it cannot be opened.
        """
        return (await self._run(lambda stop: self._prepare(ctx, source_id))).stamp

    async def list_open_tables(self, ctx: Principal, source_id: str) -> list[OpenTable]:
        """The tables of which something may be read; without samples where a row filter may hide them from somebody.

        Raises:
            NotFound: the principal has no such data source.
            Conflict: nothing may be read of it.
            NotReady, SourceFailed: it cannot be opened.
        """
        source = await self._run(lambda stop: self._prepare(ctx, source_id))
        return hide_filtered_samples(source.tables, source.access)

    async def match_sources(self, ctx: Principal, question: str) -> list[dict[str, str]]:
        """The principal's data sources whose rules understand all of a question, see `is_understood`.

        As arguments of a call; without a name where it has one alone. Eight are looked at, five seconds at most.
        """

        def find_name(source: ReadySource, stop: Stop) -> str:
            return source.name if is_understood(source, question, self._vocabularies, stop) else ""

        names = await self._read_each(ctx, find_name, _COMPARED_S)
        return [{"data_source": name} if len(names) > 1 else {} for name in names if name]

    async def explain_refusal(self, ctx: Principal, question: str) -> str:
        """What the first data source says that nearly understands *question*, see `explain_refusal`; "" of none."""

        def read(source: ReadySource, stop: Stop) -> str:
            return explain_refusal(source, question, self._vocabularies, stop)

        return next(filter(None, await self._read_each(ctx, read, _COMPARED_S)), "")

    async def suggest(self, ctx: Principal, language: str) -> list[SourceSuggestion]:
        """Questions in *language* that one of the principal's data sources alone understands, the newest source first.

        The same sources are looked at as by `match_sources`, and not for long: whoever waits has other things to show.
        """

        def read(source: ReadySource, stop: Stop) -> list[SourceSuggestion]:
            result = suggest(source, language, self._vocabularies, stop)
            return [SourceSuggestion(source.name, each) for each in result]

        read_ones = [each for each in await self._read_each(ctx, read, _SUGGESTED_S) if each]
        in_turn = chain.from_iterable(zip_longest(*reversed(read_ones)))
        result = [each for each in in_turn if each is not None][:_MAX_SUGGESTED]
        if len(read_ones) < 2:
            return result
        questions = list(dict.fromkeys(each.suggestion.question for each in result))

        def match(source: ReadySource, stop: Stop) -> list[str]:
            return list_understood(source, questions, self._vocabularies, stop)

        matches = await self._read_each(ctx, match, _COMPARED_S)
        understood = Counter(chain.from_iterable(each for each in matches if each))
        return [each for each in result if understood[each.suggestion.question] == 1]

    async def _read_each(
        self, ctx: Principal, read: Callable[[ReadySource, Stop], T], longest_s: float
    ) -> list[T | None]:
        """What *read* gives of the principal's data sources, the oldest first; None of one that cannot be asked."""

        def list_ids(stop: Stop) -> list[str]:
            with self._database.open_read_session() as session:
                return list_open_ids(session, ctx, _MAX_COMPARED)

        ids = await self._run(list_ids)
        return await asyncio.gather(*(self._read_one(ctx, each, read, longest_s) for each in ids))

    async def _read_one(
        self, ctx: Principal, source_name: str, read: Callable[[ReadySource, Stop], T], longest_s: float
    ) -> T | None:
        """What *read* gives of the data source of this name or id; None where it cannot be asked."""

        def look(stop: Stop) -> T:
            return read(self._prepare(ctx, source_name), stop)

        try:
            return await asyncio.wait_for(self._run(look), longest_s)
        except (ProblemError, QuestionRefused, QueryRefused, QueryFailed, SourceUnavailable, TimeoutError):
            return None

    def _prepare(self, ctx: Principal, source_name: str | None) -> ReadySource:
        with self._database.open_read_session() as session:
            row = find_source(session, ctx, source_name) if source_name else find_only_source(session, ctx)
            database = TimedSource(self._open_source(row), self._stores)
            key = row.tenant_id, row.source_id, row.version, row.schema_read_at
            access, tables = self._open_tables.load(key, lambda: self._load_open_tables(row, database.dialect))
        user = {"id": ctx.subject_id, "tenant": ctx.tenant_id}
        of_rows = row.type == UPLOAD  # tables of files have no primary key
        source = ReadySource(row.name, database, access, tables, user, _WITH_FILE, key=key, source_id=row.source_id)
        is_sample = (row.type, row.location) == ("sqlite", SAMPLE_FILE)
        return replace(source, counts_rows=of_rows, examples=SAMPLE_QUESTIONS if is_sample else {})

    def _load_open_tables(self, row: DataSourceRow, dialect: Dialect) -> _OpenTables:
        """What may be read of it: to decrypt and to take apart a large schema takes longer than all else of a turn."""
        schema = load_source_schema(row, self._keys)
        access = make_access(row.allowed_tables, schema, dialect) if schema else {}
        if schema is None or not access:
            raise NoReadableTables(row.name)
        return access, list_open_tables(schema, row.allowed_tables, access, dialect)


def _make_table(source: ReadySource, question: str, sql: str, result: Result, max_rows: int) -> QueryTable:
    return make_table(
        result,
        source_name=source.name,
        sql=sql,
        question=question,
        tables=source.tables,
        dialect=source.database.dialect,
        max_rows=max_rows,
    )
