"""The tool that asks a tenant's databases: by a query of the bot's language model, or by rules where it has none."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.language_models import BaseChatModel

from agents.tools.kept import KeptResult, keep_rows
from agents.tools.sql_writer import NoQuery
from agents.tools.table_text import describe_head, describe_table
from agents.tools.tool import AsksBack, Tool, ToolCall, ToolFailed, ToolResult
from auth.principal import Principal
from auth.scopes import Scope
from datasources.answers.cells import MOST_ROWS
from datasources.answers.following import tell_followup
from datasources.errors import QueryFailed, QueryRefused, SourceUnavailable
from datasources.questions.followups import read_followup
from datasources.questions.reading import QuestionRefused
from datasources.questions.words import detect_question_language
from datasources.results import QueryLimits, Result, split
from utils.errors import ProblemError
from utils.query_tables import QueryTable

QUERY_DATA = "query_data"
TIMEOUT_S = 60.0  # a query and its repairs, each of which a model is asked for
LONGEST_QUESTION = 500
_SHOWN = QueryLimits(size_bytes=500_000)  # of the rows that an answer carries
OF_LAST_RESULT = "of_last_result"
ASK_PROPERTIES: dict[str, dict[str, Any]] = {
    "question": {
        "type": "string",
        "minLength": 1,
        "maxLength": LONGEST_QUESTION,
        "description": "One question about figures, in words, that can be understood without the conversation.",
    },
    "data_source": {
        "type": "string",
        "minLength": 1,
        "maxLength": 200,
        "description": "The name of the data source; may be left out where there is one alone.",
    },
    OF_LAST_RESULT: {
        "type": "boolean",
        "description": "Whether this is about the result of the question before: it is used as it is, without a query.",
    },
}
_PARAMETERS = {
    "type": "object",
    "properties": ASK_PROPERTIES,
    "required": ["question"],
    "additionalProperties": False,
}
_NOT_ALL = f"What these rows do not tell takes a query: ask the whole question, without {OF_LAST_RESULT}."
_ASKING_FAILS = (NoQuery, QuestionRefused, QueryRefused, QueryFailed, SourceUnavailable)


@dataclass(frozen=True, slots=True)
class DataAnswer:
    """What a question to a database gave: `table` is what of `result` an answer may rest on. `understood`: what it asks
    for in words, and `lines`, which answer it; both empty where a language model wrote the query. `stamp`: as in
    `KeptResult`."""

    table: QueryTable
    result: Result
    understood: str = ""
    source_id: str = ""
    attempts: int = 1
    lines: tuple[str, ...] = ()
    stamp: str = ""

    def keep(self, question: str) -> KeptResult | None:
        """What the next question may be about."""
        if not self.stamp:
            return None
        kept = KeptResult(question, self.table, self.source_id, self.stamp, self.understood)
        return keep_rows(kept, self.result.rows)


AskData = Callable[[Principal, str, str | None, BaseChatModel | None], Awaitable[DataAnswer]]
"""Asks a question of the principal's data source of this name; None: the only one. The model writes the query; without
one, rules do."""
MatchSources = Callable[[Principal, str], Awaitable[Sequence[Mapping[str, str]]]]
"""The principal's data sources of which rules understand all of a question, as arguments that name them."""
ReadStamp = Callable[[Principal, str], Awaitable[str]]
"""The stamp that the principal's data source of this name has now, see `KeptResult`."""


def make_data_tool(ask: AskData, match_sources: MatchSources, read_stamp: ReadStamp) -> Tool:
    """It. Whom a data source answers is for the data source to say."""

    async def run(call: ToolCall) -> ToolResult:
        question = call.arguments["question"]
        if call.arguments.get(OF_LAST_RESULT):
            kept = await get_kept(call, read_stamp)
            return ToolResult("\n".join(_answer_from_kept(kept, call)), **show_kept(kept))
        answer = await ask_for(call, ask, question)
        return ToolResult("\n".join(describe_answer(answer)), **show_answer(answer, question))

    async def read_question(principal: Principal, question: str, previous: str) -> Mapping[str, Any] | None:
        return await pick_source(match_sources, principal, {"question": question})

    return Tool(
        QUERY_DATA,
        "Asks a database of the institution: how many, how much, which is the largest, lists of rows.",
        _PARAMETERS,
        run,
        scopes=frozenset({Scope.CHAT_WRITE}),
        timeout_s=TIMEOUT_S,
        most_characters=60_000,
        read_question=read_question,
    )


async def pick_source(
    find: MatchSources, principal: Principal, arguments: Mapping[str, Any]
) -> Mapping[str, Any] | None:
    """*arguments* with the data source whose words explain all of their question; None where none's do.

    Raises:
        AsksBack: those of several do.
    """
    found = await find(principal, arguments["question"]) if len(arguments["question"]) <= LONGEST_QUESTION else ()
    if len(found) > 1:
        raise AsksBack("data_source", [each["data_source"] for each in found], arguments)
    return {**arguments, **found[0]} if found else None


async def get_kept(call: ToolCall, read_stamp: ReadStamp) -> KeptResult:
    """The last result of the conversation, which may still be read.

    Raises:
        ToolFailed: there is none, or its data source is not the one that is named, or was changed, closed or deleted.
    """
    if call.kept is None:
        raise ToolFailed("There is no result before this question. Ask the whole question.")
    if call.arguments.get("data_source") not in (None, call.kept.source_id, call.kept.table.source_name):
        raise ToolFailed("The last result is of another data source. Ask the whole question again.")
    try:
        stamp = await read_stamp(call.principal, call.kept.source_id)
    except ProblemError as exc:
        raise ToolFailed(exc.detail) from exc
    if stamp != call.kept.stamp:
        raise ToolFailed("The data source has changed since the last result. Ask the whole question again.")
    return call.kept


def _answer_from_kept(kept: KeptResult, call: ToolCall) -> Sequence[str]:
    """What the last result says to the question of *call*: worked out by rules from all of its rows, else its first
    rows for a language model."""
    question = call.arguments["question"]
    asked = read_followup(question, kept.table, kept.question)
    if asked is not None:
        language = detect_question_language(question, kept.question)
        return tell_followup(asked, kept.table, language, most_rows=call.head_rows if call.chat else MOST_ROWS)
    if call.chat is not None:
        return describe_kept(kept, call.head_rows)
    names = ", ".join(each.name for each in kept.table.columns)
    raise ToolFailed(f"The last result does not tell this: its columns are {names}. Ask a whole question.")


def describe_kept(kept: KeptResult, head_rows: int) -> list[str]:
    """The first rows of the last result for a language model."""
    lines = describe_head(kept.table, head_rows)
    return lines if kept.table.row_count <= head_rows else [*lines, _NOT_ALL]


async def ask_for(call: ToolCall, ask: AskData, question: str) -> DataAnswer:
    """What the data source that *call* names says to *question*.

    Raises:
        ToolFailed: there is no answer; it says why.
    """
    try:
        return await ask(call.principal, question, call.arguments.get("data_source"), call.chat)
    except ProblemError as exc:
        raise ToolFailed(exc.detail) from exc
    except _ASKING_FAILS as exc:
        raise ToolFailed(str(exc)) from exc


def show_data(answer: DataAnswer) -> dict[str, Any]:
    """The result as the API shows it, as many rows as there is room for."""
    shown = split(answer.result, _SHOWN)
    return {
        "data_source_id": answer.source_id,
        "sql": answer.table.sql,
        "columns": list(shown.columns),
        "rows": [list(row) for row in shown.rows],
        "truncated": shown.truncated,
        "understood": answer.understood or None,
    }


def show_answer(answer: DataAnswer, question: str) -> dict[str, Any]:
    """What a `ToolResult` has of it beside the text."""
    kept, data = answer.keep(question), show_data(answer)
    rest = (*answer.result.rows[len(data["rows"]) :], *answer.result.more)
    return {"table": answer.table, "data": data, "rest": rest, "kept": kept, "attempts": answer.attempts}


def show_kept(kept: KeptResult) -> dict[str, Any]:
    """The same of the last result, for which no query was tried."""
    data = show_data(DataAnswer(kept.table, kept.result, kept.understood, kept.source_id))
    return {"table": kept.table, "data": data, "kept": kept, "attempts": 0}


def describe_answer(answer: DataAnswer) -> Sequence[str]:
    """What answers the question, where rules did; else the result for a language model."""
    return answer.lines or list(describe_table(answer.table))
