"""Has a language model write a query, and repair it by what the database says of it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage

from datasources.errors import QueryFailed, QueryRefused
from datasources.results import Result
from prompts.sql import ask_for_repair, read_query, read_refusal

_NO_QUERY_IN_IT = "The reply holds no query that begins with SELECT or WITH."
_LONGEST_REPLY = 20_000  # characters that are kept of a reply, twice what a query may have

RunQuery = Callable[[str], Awaitable[Result]]
"""Runs a query with both checks; raises QueryRefused and QueryFailed."""


class NoQuery(Exception):
    """The model says that no query answers the question; the text is for the asker."""


@dataclass(frozen=True, slots=True)
class WrittenQuery:
    """A query that was run, what it gave, and how many were tried."""

    sql: str
    result: Result
    attempts: int


async def write_query(
    chat: BaseChatModel, prompt: str, question: str, run: RunQuery, *, max_retries: int
) -> WrittenQuery:
    """Ask *chat*, told *prompt*, for a query and *run* it; one that fails it is asked to repair, *max_retries* times.

    A result without rows is a result.

    Raises:
        NoQuery: the model says that there is none.
        QueryRefused, QueryFailed: the last one was not allowed, or failed.
        ProviderError: the model did not answer.
        SourceUnavailable: the database cannot be used.
    """
    messages: list[BaseMessage] = [SystemMessage(prompt), HumanMessage(question)]
    for attempt in range(1, max_retries + 2):
        reply = (await chat.ainvoke(messages)).text[:_LONGEST_REPLY]
        if (reason := read_refusal(reply)) is not None:
            raise NoQuery(reason or "The data source does not answer this.")
        sql = read_query(reply)
        try:
            if not sql:
                raise QueryRefused(_NO_QUERY_IN_IT)
            return WrittenQuery(sql, await run(sql), attempt)
        except (QueryRefused, QueryFailed) as exc:
            if attempt > max_retries:
                raise
            # An empty message would be refused by many endpoints.
            messages += [AIMessage(reply.strip() or "(nothing)"), HumanMessage(ask_for_repair(str(exc)))]
    raise QueryRefused(_NO_QUERY_IN_IT)
